"""The reference at /docs: what it shows, what it lets its reader try, and for whom."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium.common.exceptions import NoSuchElementException
from selenium.webdriver import Chrome, Keys

from gateway.access.api_keys import key_line, new_key
from tests import axe
from tests.browser import emulate, low_contrast
from tests.integration.page.conftest import Page, running_animations
from tests.integration.test_http_examples import write_clip
from tests.media import photo
from tests.scripted_gateway import ScriptedGateway, scripted_gateway
from tests.service import Service

RUN_PROGRAM = """
const [bytes, done] = arguments;
const lines = [];
const print = { log: (...words) => lines.push(words.join(" ")) };
const program = async (console, file) => {
  PROGRAM
  if (typeof detect === "function") await detect(file);
};
program(print, new Blob([new Uint8Array(bytes)]))
  .catch((error) => lines.push(String(error)))
  .then(() => done(lines));
"""
ROUTES = ["/detect", "/api/v1/inference", "/health", "/model-card", "/metrics", "/openapi.json"]


class Reference(Page):
    """The reference, by what its readers see and do."""

    def open(self, path: str = "docs") -> "Reference":
        super().open(path)
        self.wait_for(lambda: len(self.all(".opblock")) == len(ROUTES))
        return self

    def unfold(self, route: str) -> None:
        """Opens an operation, while all others are closed."""
        self.all(".opblock-summary-control")[ROUTES.index(route)].click()
        self.wait_for(lambda: self.all(".try-out__btn"))

    def fold(self, route: str) -> None:
        self.all(".opblock-summary-control")[ROUTES.index(route)].click()
        self.wait_for(lambda: not self.all(".try-out__btn"))

    def live_answer(self) -> str:
        try:
            return self.text(".live-responses-table .highlight-code")
        except NoSuchElementException:
            return ""


@pytest.fixture
def reference(browser: Chrome, service: Service) -> Reference:
    return Reference(browser, service.url + "/").open()


@pytest.fixture
def scripted_reference(browser: Chrome, scripted: ScriptedGateway) -> Reference:
    return Reference(browser, scripted.url).open()


def test_it_is_rendered_and_can_be_tried(reference: Reference) -> None:
    paths = [one.text.replace("\u200b", "") for one in reference.all(".opblock-summary-path")]
    assert paths == ROUTES
    assert reference.text(".info .title").startswith("Deepfake detection")
    reference.unfold("/detect")
    assert {"400", "413", "415", "422", "500", "503", "504"} <= {
        one.text for one in reference.all(".responses-table .response-col_status")
    }
    assert '"headline": "Inconclusive"' in reference.text(".response[data-code='200'] .highlight-code")
    reference.one(".try-out__btn").click()
    reference.one("input[type=file]").send_keys(str(photo("coffee.png")))
    reference.one(".btn.execute").click()
    reference.wait_for(lambda: "seeded-untrained" in reference.live_answer())
    assert '"input_type": "image"' in reference.live_answer()


def test_a_video_can_be_tried_with_the_form_as_it_is(scripted_reference: Reference, clip: Path) -> None:
    """The form once said that every file is an image."""
    scripted_reference.unfold("/detect")
    scripted_reference.one(".try-out__btn").click()
    rows = [one.get_attribute("data-property-name") for one in scripted_reference.all("[data-property-name]")]
    assert rows == ["file", "type", "include", "case_number", "note"]
    scripted_reference.one("input[type=file]").send_keys(str(clip))
    scripted_reference.one(".btn.execute").click()
    scripted_reference.wait_for(scripted_reference.live_answer)
    assert '"input_type": "video"' in scripted_reference.live_answer()


def test_the_javascript_that_it_shows_runs_in_a_page(
    reference: Reference, service: Service, expected_errors: list[str]
) -> None:
    expected_errors.append("model-card - Failed to load resource.*404")
    write_clip(service.media_root)
    programs = {}
    for route in ROUTES:
        reference.unfold(route)
        summaries = reference.all(".code-samples summary")
        assert [one.text for one in summaries] == [
            "curl", "Python", *(["Python, gRPC client"] * (route == "/detect")), "JavaScript",
        ]  # fmt: skip
        programs[route] = reference.all(".code-samples code")[-1].get_attribute("textContent") or ""
        reference.fold(route)
    printed = {route: run_javascript(reference.driver, program) for route, program in programs.items()}
    assert printed["/detect"][0].startswith("No verdict: the model is untrained\n")
    assert printed["/api/v1/inference"][0].startswith("Risk: ")
    assert printed["/health"][0].startswith("healthy seeded-untrained")
    assert printed["/model-card"][-1].startswith("Error: 404 NO_MODEL_CARD: ")
    assert any(line.startswith("deepfake_gateway_verdicts_total{") for line in printed["/metrics"])
    assert printed["/openapi.json"][0] == "POST /detect Judge one uploaded image or video"


def run_javascript(driver: Chrome, program: str) -> list[str]:
    """What a program prints, and the error that it ends with."""
    script = RUN_PROGRAM.replace("PROGRAM", program)
    lines: list[str] = driver.execute_async_script(script, list(photo("coffee.png").read_bytes()))
    return lines


def test_the_address_is_the_browsers_whatever_a_proxy_says(browser: Chrome) -> None:
    headers = "Network.setExtraHTTPHeaders"
    browser.execute_cdp_cmd("Network.enable", {})
    browser.execute_cdp_cmd(headers, {"headers": {"X-Forwarded-Proto": "https"}})
    try:
        with scripted_gateway(trusted_proxies=1) as behind:
            reference = Reference(browser, behind.url).open()
            reference.unfold("/health")
            reference.one(".code-samples summary").click()
            assert f"{behind.url}health" in reference.text(".code-samples details[open]")
            reference.one(".try-out__btn").click()
            reference.one(".btn.execute").click()
            reference.wait_for(reference.live_answer)
            assert '"status": "healthy"' in reference.live_answer()
    finally:
        browser.execute_cdp_cmd(headers, {"headers": {}})


def test_a_key_can_be_given_once_for_every_call(browser: Chrome, locked: ScriptedGateway, key: str) -> None:
    reference = Reference(browser, locked.url).open()
    reference.one(".scheme-container .btn.authorize").click()
    reference.one(".modal-ux input").send_keys(key, Keys.ENTER)
    reference.one(".close-modal").click()
    reference.unfold("/metrics")
    reference.one(".try-out__btn").click()
    reference.one(".btn.execute").click()
    reference.wait_for(reference.live_answer)
    assert "deepfake_gateway_build_info" in reference.live_answer()


@pytest.fixture
def key() -> str:
    return new_key()


@pytest.fixture
def locked(tmp_path: Path, key: str) -> Iterator[ScriptedGateway]:
    """A gateway that asks for a key."""
    keys = tmp_path / "keys"
    keys.write_text(key_line("reader", key), "utf-8")
    keys.chmod(0o600)
    with scripted_gateway(api_keys_file=keys) as running:
        yield running


@pytest.mark.parametrize(("width_px", "dark"), [(390, True), (1280, False)], ids=["390-dark", "1280-light"])
def test_it_is_accessible_and_readable(browser: Chrome, locked: ScriptedGateway, width_px: int, dark: bool) -> None:
    """With everything folded, with an operation of each kind open and tried, and while a key is asked for."""
    emulate(browser, width_px, 900, dark=dark)
    reference = Reference(browser, locked.url).open()
    ground = reference.one("body").value_of_css_property("background-color")
    assert ground == ("rgba(18, 19, 23, 1)" if dark else "rgba(247, 246, 242, 1)")
    assert_clear(reference, width_px)
    for route in ("/detect", "/health"):
        reference.unfold(route)
        for summary in reference.all(".code-samples summary"):
            summary.click()
        assert_clear(reference, width_px)
        reference.one(".try-out__btn").click()
        reference.one(".btn.execute").click()
        assert_clear(reference, width_px)
        reference.fold(route)
    reference.one(".models button").click()
    reference.one(".models .json-schema-2020-12-accordion").click()
    assert_clear(reference, width_px)
    reference.one(".scheme-container .btn.authorize").click()
    assert_clear(reference, width_px)


def assert_clear(reference: Reference, width_px: int) -> None:
    reference.wait_for(lambda: running_animations(reference.driver) == 0)  # links change colour slowly
    assert axe.violations(reference.driver) == []
    assert low_contrast(reference.driver) == []
    assert reference.driver.execute_script("return document.documentElement.scrollWidth") <= width_px


def test_it_follows_the_systems_colours(scripted_reference: Reference) -> None:
    for dark in (True, False):
        emulate(scripted_reference.driver, 1200, 900, dark=dark)
        scripted_reference.wait_for(lambda dark=dark: bool(scripted_reference.all("html.dark-mode")) == dark)
