"""The page at / in a real Chromium, by what people see and do; the browser and the services that its tests share."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from selenium.webdriver import ActionChains, Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait

from tests.browser import chromium, complaints, emulate, requested_urls
from tests.inference_server import DESCRIPTION
from tests.media import VideoSpec, encode_image, write_video
from tests.scripted_gateway import ScriptedGateway, scored, scripted_gateway
from tests.service import Service

WAIT_S = 30.0


class Page:
    """The page, by what people see and do."""

    def __init__(self, driver: Chrome, url: str) -> None:
        self.driver = driver
        self.url = url

    def open(self, path: str = "") -> "Page":
        self.driver.get(self.url + path)
        if not path:
            self.wait_for(lambda: self.one("#health").get_attribute("data-state"))
        return self

    def one(self, selector: str) -> WebElement:
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def all(self, selector: str) -> list[WebElement]:
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def text(self, selector: str) -> str:
        return self.one(selector).text.replace("\u00a0", " ")

    def wait_for(self, condition: Callable[[], Any], timeout_s: float = WAIT_S) -> None:
        WebDriverWait(self.driver, timeout_s, 0.05).until(lambda _: condition())

    def choose(self, *paths: Path) -> None:
        self.one("#file").send_keys("\n".join(map(str, paths)))

    def result(self) -> None:
        """Waits for a result, whose heading takes the focus."""
        self.wait_for(lambda: self.focused() == "result-title")

    def problem(self) -> None:
        self.wait_for(lambda: self.focused() == "problem-title")

    def focused(self) -> str:
        identifier: str = self.driver.execute_script("return document.activeElement.id")
        return identifier

    def facts(self) -> dict[str, str]:
        names = [one.text for one in self.all(".facts dt")]
        return dict(zip(names, [one.text.replace("\u00a0", " ") for one in self.all(".facts dd")], strict=True))

    def press(self, *keys: str) -> None:
        ActionChains(self.driver).send_keys(*keys).perform()


@pytest.fixture(scope="module")
def browser_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("browser")


@pytest.fixture(scope="module")
def driver(browser_folder: Path) -> Iterator[Chrome]:
    with chromium(browser_folder) as running:
        yield running


@pytest.fixture(scope="module")
def scripted() -> Iterator[ScriptedGateway]:
    with scripted_gateway(max_frame_bytes=2_000_000, request_deadline_s=WAIT_S) as running:
        yield running


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("clips") / "clip.mp4", VideoSpec(frames=50))


@pytest.fixture
def expected_errors() -> list[str]:
    """Console messages that a test brings about on purpose, as patterns."""
    return []


@pytest.fixture
def browser(driver: Chrome, expected_errors: list[str]) -> Iterator[Chrome]:
    """The browser; afterwards nothing may have been complained about, and nothing have left this machine."""
    emulate(driver, 1200, 900)
    driver.get("about:blank")
    for report in (complaints, requested_urls):
        report(driver)  # what came before is no business of this test
    yield driver
    unexpected = [one for one in complaints(driver) if not any(re.search(known, one) for known in expected_errors)]
    assert unexpected == []
    outside = r"(?!http://127\.0\.0\.1:\d+/|blob:http://127\.0\.0\.1:|data:|about:blank|chrome:)"
    assert [url[:80] for url in requested_urls(driver) if re.match(outside, url)] == []


@pytest.fixture
def page(browser: Chrome, service: Service) -> Page:
    return Page(browser, service.url + "/").open()


@pytest.fixture
def scripted_page(browser: Chrome, scripted: ScriptedGateway) -> Iterator[Page]:
    yield Page(browser, scripted.url).open()
    scripted.scorer.answer = lambda index: scored(0.9)
    scripted.scorer.gate.set()
    scripted.scorer.away = False
    scripted.scorer.description = DESCRIPTION


def pixels(path: Path, side_px: int = 160) -> Path:
    path.write_bytes(encode_image(np.full((side_px, side_px, 3), 120, np.uint8), "PNG"))
    return path


def running_animations(driver: Chrome) -> int:
    count: int = driver.execute_script(
        "return document.getAnimations().filter((one) => one.playState === 'running').length"
    )
    return count
