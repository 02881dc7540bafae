"""What comes before the result of one file: choosing, sending, waiting, cancelling, and what goes wrong."""

import re
import threading
from pathlib import Path

import pytest
from selenium.webdriver import Chrome, Keys

from gateway.access.api_keys import key_line, new_key
from tests.browser import accessibility_tree, requested_urls
from tests.integration.page.conftest import Page, pixels
from tests.media import photo
from tests.scripted_gateway import ScriptedGateway, scripted_gateway


def test_a_file_that_is_no_media_is_explained(page: Page, tmp_path: Path, expected_errors: list[str]) -> None:
    expected_errors.append("/detect - Failed to load resource.*415")
    text = tmp_path / "<b>notes<b>.txt"
    text.write_text("plain text")
    page.choose(text)
    page.problem()
    assert page.text("#problem h2") == "Unsupported media"
    assert page.text("#problem .message").startswith("file: a text file; send an image (JPEG, PNG, BMP, WebP")
    assert "Choose a file of one of the formats" in page.text("#problem")
    assert page.facts()["File"] == "<b>notes<b>.txt"
    assert page.facts()["Code"] == "UNSUPPORTED_MEDIA"
    assert re.fullmatch(r"[0-9a-f]{32}", page.facts()["Request id"])
    assert page.all("#problem button") == []  # sending it again would not help
    page.choose(photo("coffee.png"))
    page.result()
    assert not page.one("#problem").is_displayed()


@pytest.mark.parametrize("key", [Keys.ENTER, Keys.ESCAPE])
def test_the_analysis_can_be_watched_and_cancelled(
    scripted_page: Page, scripted: ScriptedGateway, clip: Path, key: str
) -> None:
    scripted.scorer.gate = threading.Event()
    scripted_page.choose(clip)
    scripted_page.wait_for(lambda: "Analysing" in scripted_page.text("#progress"))
    assert scripted_page.text("#progress h2") == "clip.mp4"
    assert scripted_page.text("#announcer") == "Uploaded. Analysing …"
    (bar,) = [node for node in accessibility_tree(scripted_page.driver) if node["role"] == "progressbar"]
    assert bar["name"] == "clip.mp4"
    before = scripted_page.text(".clock")
    scripted_page.wait_for(lambda: scripted_page.text(".clock") != before)
    assert scripted_page.focused() == "cancel"
    scripted_page.press(key)
    assert scripted_page.focused() == "file"
    assert not scripted_page.one("#progress").is_displayed()
    assert scripted_page.text("#announcer") == "Cancelled."
    scripted.scorer.gate.set()
    assert not scripted_page.one("#result").is_displayed()
    assert not scripted_page.one("#files").is_displayed()


def test_a_pasted_image_is_analysed(scripted_page: Page) -> None:
    scripted_page.driver.execute_script(
        """
        const canvas = document.createElement("canvas");
        canvas.toBlob((blob) => {
          const data = new DataTransfer();
          data.items.add(new File([blob], "pasted.png", { type: "image/png" }));
          document.dispatchEvent(new ClipboardEvent("paste", { clipboardData: data, bubbles: true }));
        });
        """
    )
    scripted_page.result()
    assert scripted_page.facts()["File"] == "pasted.png"


def test_a_service_that_is_away_is_shown_and_tried_again(
    scripted_page: Page, scripted: ScriptedGateway, tmp_path: Path, expected_errors: list[str]
) -> None:
    expected_errors.append("Failed to load resource.*503")
    scripted.scorer.away = True
    scripted_page.choose(pixels(tmp_path / "image.png"))
    scripted_page.problem()
    assert scripted_page.facts()["Code"] == "MODEL_UNAVAILABLE"
    # At once, not when the page would have asked anyway.
    scripted_page.wait_for(lambda: "not healthy: MODEL_UNAVAILABLE" in scripted_page.text("#health"), timeout_s=10)
    scripted.scorer.away = False
    (again,) = scripted_page.all("#problem button")
    assert again.text == "Try again"
    again.click()
    scripted_page.result()
    assert scripted_page.text("#result-title") == "Signs of manipulation"


def test_the_api_key_is_asked_for_and_kept_nowhere(browser: Chrome, tmp_path: Path, expected_errors: list[str]) -> None:
    expected_errors.append("Failed to load resource.*401")
    key = new_key()
    keys = tmp_path / "keys"
    keys.write_text(key_line("page", key))
    keys.chmod(0o600)
    with scripted_gateway(api_keys_file=keys) as locked:
        page = Page(browser, locked.url).open()
        page.choose(pixels(tmp_path / "image.png"))
        page.problem()
        assert page.facts()["Code"] == "API_KEY_REQUIRED"
        assert "Enter your API key" in page.text("#problem")
        page.one("#api-key").send_keys(key)
        page.one("#problem button").click()
        page.result()
        assert page.text("#result-title") == "Signs of manipulation"
        kept = browser.execute_script("return JSON.stringify([localStorage, sessionStorage, document.cookie])")
        assert key not in kept
        page.open()
        assert page.one("#api-key").get_attribute("value") == ""


def test_a_file_over_the_limit_is_not_sent(scripted_page: Page, tmp_path: Path) -> None:
    large = pixels(tmp_path / "large.png")
    large.write_bytes(large.read_bytes() + b"\0" * 2_000_000)
    requested_urls(scripted_page.driver)
    scripted_page.choose(large)
    scripted_page.problem()
    assert scripted_page.facts()["Code"] == "FILE_TOO_LARGE"
    assert "at most 1.9 MiB are taken. It was not sent." in scripted_page.text("#problem .message")
    assert not any(url.endswith("/detect") for url in requested_urls(scripted_page.driver))


@pytest.mark.parametrize("address", ["https://example.org/clip.mp4?x=1", "www.example.org/photo"])
def test_a_pasted_address_is_answered_with_what_to_do(scripted_page: Page, address: str) -> None:
    paste(scripted_page, "nothing that looks like an address")
    assert scripted_page.text("#hint") == ""
    paste(scripted_page, address)
    assert "save the file on your device, then drop or choose it here" in scripted_page.text("#hint")


def paste(page: Page, text: str) -> None:
    page.driver.execute_script(
        """
        const data = new DataTransfer();
        data.setData("text/plain", arguments[0]);
        document.body.dispatchEvent(new ClipboardEvent("paste", { clipboardData: data, bubbles: true }));
        """,
        text,
    )


def test_a_file_that_has_gone_is_explained(
    scripted_page: Page, scripted: ScriptedGateway, tmp_path: Path, expected_errors: list[str]
) -> None:
    """While it waits for its turn."""
    expected_errors.append("net::ERR_(FILE_NOT_FOUND|UPLOAD_FILE_CHANGED)")
    scripted.scorer.gate = threading.Event()
    gone = pixels(tmp_path / "gone.png")
    scripted_page.choose(pixels(tmp_path / "first.png"), gone)
    scripted_page.wait_for(lambda: "Analysing" in scripted_page.text("#progress"))
    gone.unlink()
    scripted.scorer.gate.set()
    scripted_page.wait_for(lambda: "Failed: The file cannot be read" in scripted_page.text("#files"))
