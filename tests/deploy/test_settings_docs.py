import subprocess
import sys

from tests.service import ROOT


def test_the_settings_page_is_what_the_code_says() -> None:
    """Make it again with: python docs/make_settings_page.py > docs/settings.md."""
    made = subprocess.run([sys.executable, "docs/make_settings_page.py"], cwd=ROOT, capture_output=True, check=True)
    assert (ROOT / "docs" / "settings.md").read_bytes() == made.stdout
