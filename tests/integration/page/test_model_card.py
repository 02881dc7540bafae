"""The page of the model's card, in a real Chromium."""

import hashlib

import pytest

from deepfake_client.release import ModelInfo
from tests.axe import violations
from tests.browser import emulate, low_contrast
from tests.inference_server import DESCRIPTION
from tests.integration.page.conftest import Page
from tests.scripted_gateway import ScriptedGateway
from tests.service import ROOT

HOSTILE = """---
license: mit
---
# <script>document.title = "taken"</script><img src=x onerror="document.title = 'taken'">

[a](javascript:document.title='taken') [b](https://example.org) ![c](https://example.org/c.png)

<style>* { display: none }</style>

## Another heading

| left | right |
|------|------:|
"""


@pytest.mark.parametrize("width_px", [390, 1280])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_cards_can_be_read_and_do_nothing(
    scripted: ScriptedGateway, scripted_page: Page, monkeypatch: pytest.MonkeyPatch, width_px: int, dark: bool
) -> None:
    """Afterwards the browser may have complained of nothing and asked for nothing elsewhere."""
    own = (ROOT / "deploy/embedded_checkpoint/README.md").read_text("utf-8")
    wide = f"|{'a wide column|' * 30}\n|{'-|' * 30}\n|{'value|' * 30}\n"
    driver = scripted_page.driver
    emulate(driver, width_px, 900, dark=dark)
    for text in (own, HOSTILE + "| 1 | 2 |\n\n" + wide):
        card = {"name": "a-model", "licence": "mit", "sha256": hashlib.sha256(text.encode()).hexdigest(), "text": text}
        served = ModelInfo.model_validate({**DESCRIPTION, "model_card": card})
        monkeypatch.setattr(scripted.scorer, "info", lambda deadline, served=served: served)
        scripted_page.open("model-card")
        assert scripted_page.text("h1") == "a-model"
        assert scripted_page.one("article h2").is_displayed()
        assert driver.title.startswith("a-model")
        assert violations(driver) == []
        assert low_contrast(driver) == []
        assert driver.execute_script("return document.documentElement.scrollWidth") <= width_px
