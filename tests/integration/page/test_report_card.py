"""The report from the page, in a real Chromium."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium.webdriver import Chrome

from deepfake_client.release import ModelInfo
from gateway.access.api_keys import key_line, new_key
from tests.axe import violations
from tests.gateway.access.test_api_keys import write_keys
from tests.inference_server import DESCRIPTION
from tests.integration.page.conftest import Page
from tests.media import photo
from tests.scripted_gateway import ScriptedGateway, scripted_gateway


@pytest.fixture
def saved(browser_folder: Path) -> Iterator[Path]:
    path = browser_folder / "downloads" / "astronaut.png.report.html"
    yield path
    path.unlink(missing_ok=True)


def button(page: Page, name: str) -> None:
    """Presses a button of the card."""
    (found,) = [one for one in page.all(".report button") if one.text == name]
    found.click()


def open_result(page: Page) -> Page:
    page.choose(photo("astronaut.png"))
    page.result()
    return page


def status(page: Page) -> str:
    return page.text(".report [role=status]")


def failure(page: Page) -> str:
    return page.text(".report [role=alert]")


def test_the_report_is_saved_with_the_case(page: Page, saved: Path) -> None:
    open_result(page)
    page.one(".report [name=case_number]").send_keys("2026/117")
    page.one(".report [name=note]").send_keys("Asked for by the desk")
    button(page, "Download report")
    page.wait_for(lambda: status(page) == "Saved as astronaut.png.report.html.")
    page.wait_for(saved.exists)
    text = saved.read_text("utf-8")
    assert text.startswith("<!DOCTYPE html>")
    for shown in ("astronaut.png", "2026/117", "Asked for by the desk", page.facts()["SHA-256"]):
        assert shown in text
    assert "was blurred in turn" not in text
    assert failure(page) == ""
    assert page.driver.execute_script("return [localStorage.length, sessionStorage.length]") == [0, 0]


def test_the_map_is_added_where_it_is_asked_for(page: Page, saved: Path) -> None:
    open_result(page)
    page.one(".report [name=include]").click()
    button(page, "Download report")
    page.wait_for(saved.exists)
    assert "was blurred in turn" in saved.read_text("utf-8")


def test_a_report_that_is_made_can_be_cancelled(
    scripted: ScriptedGateway, scripted_page: Page, browser_folder: Path, saved: Path
) -> None:
    open_result(scripted_page)
    scripted.scorer.gate.clear()
    button(scripted_page, "Download report")
    assert status(scripted_page) == "Making the report …"
    focused = scripted_page.driver.switch_to.active_element
    assert focused.text == "Cancel"
    assert violations(scripted_page.driver) == []
    focused.click()
    scripted_page.wait_for(lambda: status(scripted_page) == "Cancelled. There is no report.")
    assert scripted_page.driver.switch_to.active_element.text == "Download report"
    scripted.scorer.gate.set()
    button(scripted_page, "Download report")
    scripted_page.wait_for(saved.exists)


def test_an_error_is_told_in_the_apis_words(
    scripted: ScriptedGateway, scripted_page: Page, expected_errors: list[str], saved: Path
) -> None:
    expected_errors.extend(["status of 400", "status of 503"])
    open_result(scripted_page)
    note = scripted_page.one(".report [name=note]")
    scripted_page.driver.execute_script("arguments[0].value = 'x'.repeat(1001)", note)
    button(scripted_page, "Download report")
    scripted_page.wait_for(lambda: failure(scripted_page))
    said = "Malformed request: note: String should have at most 1000 characters. (MALFORMED_REQUEST, request "
    assert failure(scripted_page).startswith(said)
    note.clear()
    scripted.scorer.away = True
    try:
        button(scripted_page, "Download report")
        scripted_page.wait_for(lambda: "MODEL_UNAVAILABLE" in failure(scripted_page))
    finally:
        scripted.scorer.away = False
    button(scripted_page, "Download report")
    scripted_page.wait_for(saved.exists)
    assert failure(scripted_page) == ""


def test_another_release_is_named(
    scripted: ScriptedGateway, scripted_page: Page, monkeypatch: pytest.MonkeyPatch, saved: Path
) -> None:
    open_result(scripted_page)
    newer = ModelInfo.model_validate({**DESCRIPTION, "release_id": "newer"})
    monkeypatch.setattr(scripted.scorer, "info", lambda deadline: newer)
    button(scripted_page, "Download report")
    scripted_page.wait_for(lambda: "Saved as" in status(scripted_page))
    assert f"by release newer, the result shown here by {DESCRIPTION['release_id']}" in status(scripted_page)


def test_the_api_key_is_sent(browser: Chrome, tmp_path: Path, saved: Path) -> None:
    key = new_key()
    keys = write_keys(tmp_path / "keys", key_line("page", key))
    with scripted_gateway(api_keys_file=keys) as gateway:
        page = Page(browser, gateway.url).open()
        page.one("#api-key").send_keys(key)
        open_result(page)
        button(page, "Download report")
        page.wait_for(saved.exists)
