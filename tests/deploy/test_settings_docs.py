from deploy.settings_docs import settings_page
from tests.service import ROOT


def test_the_settings_page_is_what_the_code_says() -> None:
    """Make it again with: python -m deploy.settings_docs > docs/settings.md."""
    assert (ROOT / "docs" / "settings.md").read_text("utf-8") == settings_page()
