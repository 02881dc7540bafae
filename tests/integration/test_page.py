"""The page at / and the reference at /docs in a real Chromium: over the real service, and over one that is scripted."""

import hashlib
import itertools
import json
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from selenium.common.exceptions import NoSuchElementException
from selenium.webdriver import ActionChains, Chrome, Keys
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait

from deepfake_client import create_detector
from deepfake_client.scorer import Face, FrameScore
from export.release import Release
from gateway.access.api_keys import key_line, new_key
from tests.browser import accessibility_tree, chromium, complaints, drop_file, emulate, low_contrast, requested_urls
from tests.media import VideoSpec, encode_image, photo, write_pictures_without_a_face, write_video
from tests.scripted_gateway import ScriptedGateway, gateway_over, scored, scripted_gateway
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

    def choose(self, path: Path) -> None:
        self.one("#file").send_keys(str(path))

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


# --- Over the real service


def test_an_image_is_analysed(page: Page) -> None:
    image = photo("astronaut.png")
    assert "seeded-untrained" in page.text("#health")
    page.choose(image)
    page.result()
    assert page.text("#result-title") == "No verdict"  # the service's model is untrained
    assert "mean nothing" in page.text("#notice")
    assert re.search(r"its answer “(real|fake|uncertain)” means nothing", page.text(".sentence"))
    assert re.fullmatch(r"\d+\.\d % fake probability", page.text(".number"))
    assert re.match(r"No verdict: the model is untrained", page.text("#announcer"))
    label = page.one(".gauge").get_attribute("aria-label")
    assert "real below 30" in label
    assert "fake above 70" in label
    facts = page.facts()
    assert facts["SHA-256"] == hashlib.sha256(image.read_bytes()).hexdigest()
    assert facts["Model"] == "seeded-untrained"
    assert facts["Trained"].startswith("no")
    assert facts["Frames"] == "1 scored; 1 face found"
    assert re.fullmatch(r"[0-9a-f]{32}", facts["Request id"])
    assert_face_is_marked(page)


def assert_face_is_marked(page: Page) -> None:
    """The astronaut's face is in the upper middle of the picture."""
    page.wait_for(lambda: page.all(".picture .face rect"))
    picture, face = (page.one(selector).rect for selector in (".picture img", ".picture .face .halo"))
    across = (face["x"] + face["width"] / 2 - picture["x"]) / picture["width"]
    down = (face["y"] + face["height"] / 2 - picture["y"]) / picture["height"]
    assert 0.35 < across < 0.55
    assert 0.15 < down < 0.35


def test_a_dropped_video_is_analysed(page: Page, clip: Path) -> None:
    box = page.one("#chooser").rect
    drop_file(page.driver, clip, int(box["x"] + 50), int(box["y"] + 50))
    page.result()
    assert page.text("#result-title") == "No verdict"
    options = page.all(".plot [role=option]")
    assert len(options) == 30
    assert page.facts()["Frames"].startswith("30 scored; ")
    assert page.facts()["Content"].startswith("MP4 video")
    pictures = page.all(".pictures img")
    assert 7 <= len(pictures) <= 8
    page.wait_for(lambda: all(one.get_property("naturalWidth") == 320 for one in pictures))
    marked = [one for one in pictures if "with the face marked" in one.get_attribute("alt")]
    assert len(page.all(".pictures .face")) == len(marked) > 4
    assert len(page.all(".scores dt")) == 6
    page.one(".frames summary").click()
    rows = [row.text.replace("\u00a0", " ") for row in page.all(".frames tbody tr")]
    assert len(rows) == 30
    assert re.match(r"1 0\.0\d s \d+\.\d % (real|fake|uncertain) (found, 0\.\d\d|none found)", rows[0])
    ticks = [one.get_attribute("textContent").replace("\u00a0", " ") for one in page.all(".plot .tick")]
    assert ticks == ["0 %", "40 %", "60 %", "100 %", "0.0 s", "0.5 s", "1.0 s", "1.5 s"]


def test_the_answer_can_be_kept(page: Page, clip: Path, browser_folder: Path, service: Service) -> None:
    page.choose(clip)
    page.result()
    (download,) = [one for one in page.all("#result button") if one.text == "Download result as JSON"]
    download.click()
    kept = browser_folder / "downloads" / "clip.mp4.result.json"
    page.wait_for(kept.exists)
    body = json.loads(kept.read_text("utf-8"))
    assert list(body) == ["result", "confidence_score", "processing_time_seconds", "metadata", "model_version"]
    assert body["metadata"]["sha256"] == page.facts()["SHA-256"]
    assert len(body["metadata"]["thumbnails"]) == len(page.all(".pictures img"))
    assert f"{body['confidence_score'] * 100:.1f} %" in page.text(".number")
    kept.unlink()


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


def test_everything_works_from_the_keyboard(page: Page, clip: Path, browser_folder: Path) -> None:
    page.press(Keys.TAB)
    assert page.driver.switch_to.active_element.text == "Skip to the content"
    page.press(Keys.TAB)
    assert page.driver.switch_to.active_element.text == "API reference"
    page.press(Keys.TAB)
    assert page.focused() == "file"
    assert page.one("#file + label").value_of_css_property("outline-style") == "solid"
    page.choose(clip)  # what the system's own file dialog would do
    page.result()
    page.press(Keys.TAB)
    assert page.driver.switch_to.active_element.text == "Download result as JSON"
    page.press(Keys.ENTER)
    kept = browser_folder / "downloads" / "clip.mp4.result.json"
    page.wait_for(kept.exists)
    kept.unlink()
    page.press(Keys.TAB)
    option = page.driver.switch_to.active_element
    assert option.get_attribute("role") == "option"
    page.press(Keys.HOME)
    assert page.text(".frame-detail").startswith("Frame 1 at 0.0")
    page.press(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    assert page.text(".frame-detail").startswith("Frame 3 at")
    chosen = page.driver.switch_to.active_element
    assert chosen.get_attribute("aria-selected") == "true"
    assert chosen.get_attribute("aria-label").replace("\u00a0", " ") == page.text(".frame-detail")
    assert len(page.all("[role=option][tabindex='0']")) == 1
    page.press(Keys.END)
    assert page.text(".frame-detail").startswith("Frame 30 at")
    page.press(Keys.TAB, Keys.ENTER)
    assert page.one(".frames").get_attribute("open") is not None


# --- Over the scripted one


def pixels(path: Path, side_px: int = 160) -> Path:
    path.write_bytes(encode_image(np.full((side_px, side_px, 3), 120, np.uint8), "PNG"))
    return path


@pytest.mark.parametrize(
    ("p", "title", "sentence", "shown"),
    [
        (0.91, "Fake", "The model takes this image for a deepfake.", "91.0 %"),
        (0.12, "Real", "The model takes this image for genuine.", "12.0 %"),
        (0.5, "Uncertain", "The model cannot tell whether this image is a deepfake.", "50.0 %"),
        (0.99999, "Fake", "The model takes this image for a deepfake.", "> 99.9 %"),
    ],
)
def test_verdicts_of_a_trained_model(
    scripted_page: Page, scripted: ScriptedGateway, tmp_path: Path, p: float, title: str, sentence: str, shown: str
) -> None:
    scripted.scorer.answer = lambda index: scored(p)
    scripted_page.choose(pixels(tmp_path / "image.png"))
    scripted_page.result()
    assert scripted_page.text("#result-title") == title
    assert scripted_page.all(f"#result-title .sign.{title.lower()}")  # a shape, not colour alone
    assert scripted_page.text(".sentence") == sentence
    assert scripted_page.text(".number") == f"{shown} fake probability"
    assert scripted_page.text("#announcer") == f"Verdict: {title.lower()}, fake probability {shown}."
    assert not scripted_page.one("#notice").is_displayed()


def test_of_several_people_the_one_who_decides_is_named(scripted: ScriptedGateway, scripted_page: Page) -> None:
    faces = Face((40.0, 30.0, 120.0, 110.0), 0.9, 0.2), Face((130.0, 30.0, 200.0, 100.0), 0.9)
    scripted.scorer.answer = lambda index: replace(scored(0.9), faces=faces)
    scripted_page.choose(photo("astronaut.png"))
    scripted_page.result()
    assert scripted_page.text(".number") == "90.0 % fake probability of person 2"


@pytest.fixture(scope="module")
def for_faces(face_release: Release) -> Iterator[str]:
    with create_detector(face_release.path) as detector, gateway_over(detector) as url:
        yield url


def test_what_shows_no_face_has_a_grey_verdict_and_its_reason(
    browser: Chrome, for_faces: str, tmp_path: Path, expected_errors: list[str]
) -> None:
    expected_errors.append("/health - Failed to load resource.*503")  # its canary may wait long for the one model
    page = Page(browser, for_faces)
    for picture in write_pictures_without_a_face(tmp_path):
        page.open().choose(picture)
        page.result()
        assert page.text("#result-title") == "Not assessable"
        assert page.one(".verdict").get_attribute("data-verdict") == "none"
        assert page.text("#announcer").startswith("No verdict: not assessable, fake probability")
        worst = page.all(".findings li")[0]
        assert worst.get_attribute("class") == "critical"
        assert worst.get_attribute("data-code") in ("NO_FACE", "SMALL_FACE")
        assert worst.text.startswith("Critical: ")
    assert low_contrast(browser) == []


def test_findings_stand_under_the_verdict(scripted_page: Page, scripted: ScriptedGateway, tmp_path: Path) -> None:
    scripted.scorer.answer = lambda index: scored(0.91, face=False)
    scripted_page.choose(pixels(tmp_path / "image.png"))
    scripted_page.result()
    found = [(one.get_attribute("data-code"), one.get_attribute("class")) for one in scripted_page.all(".findings li")]
    assert found == [("NO_FACE", "warning"), ("LOW_RESOLUTION", "warning"), ("DEFAULT_BANDS", "info")]
    assert scripted_page.text("#result-title") == "Fake", "this model is for any picture"


def test_what_a_file_says_of_itself_is_text(scripted_page: Page, tmp_path: Path) -> None:
    texts = PngInfo()
    texts.add_text("prompt", '<img src=x onerror="alert(1)"> {"class_type": "KSampler"}')
    path = tmp_path / "image.png"
    Image.new("RGB", (64, 64)).save(path, pnginfo=texts)
    scripted_page.choose(path)
    scripted_page.result()
    assert scripted_page.facts()["PNG text: prompt"] == '<img src=x onerror="alert(1)"> {"class_type": "KSampler"}'
    assert "DECLARED_SYNTHETIC" in [one.get_attribute("data-code") for one in scripted_page.all(".findings li")]
    scripted_page.choose(pixels(tmp_path / "plain.png"))
    scripted_page.result()
    assert not [term for term in scripted_page.facts() if term.startswith("PNG")]


def test_frames_that_were_not_scored_are_marked(scripted_page: Page, scripted: ScriptedGateway, clip: Path) -> None:
    failed = FrameScore(status="DECODE_FAILED")
    scripted.scorer.answer = lambda index: failed if index in (3, 4) else scored(0.2 + index / 50, face=index != 6)
    scripted_page.choose(clip)
    scripted_page.result()
    labels = [one.get_attribute("aria-label").replace("\u00a0", " ") for one in scripted_page.all("[role=option]")]
    assert labels[3].endswith(": not scored, DECODE_FAILED")
    assert labels[6].endswith("fake probability 32.0 %, real, no face found")
    assert len(scripted_page.all(".plot .unscored")) == 2
    assert len(scripted_page.all(".plot .connection")) == 29 - 3  # the line is broken there
    assert "2 not scored" in scripted_page.text(".legend")
    assert scripted_page.facts()["Frames"].startswith("28 scored, 2 not; 27 faces")
    band = [one.get_attribute("class") for one in scripted_page.all(".plot .point")]
    assert band[0] == "point real"
    assert band[-1] == "point fake"


def test_stretches_and_further_frames_stand_on_the_timeline(browser: Chrome, tmp_path: Path) -> None:
    """The first 8 of the first round are suspicious, and of the second: 10 s, a frame every 0.34 s."""
    clip = write_video(tmp_path / "clip.mp4", VideoSpec(frames=250, options={"preset": "ultrafast"}))
    with scripted_gateway(further_frames=30) as scripted:
        scripted.scorer.answer = lambda index: scored(0.9 if index < 8 else 0.1)
        page = Page(browser, scripted.url).open()
        page.choose(clip)
        page.result()
        further = len(page.all("[role=option]")) - 30
        assert 20 < further <= 30
        assert f"{further} further frames" in page.text(".legend")
        assert len(page.all(".frames tbody tr")) == 30 + further
        page.one(".frames summary").click()
        times = [float(row.text.replace("\u00a0", " ").split()[1]) for row in page.all(".frames tbody tr")]
        assert times == sorted(times)
        stretches = page.text(".stretches")
        assert re.match(r"Above the fake band: 0\.0 s to 0\.\d s, person 1", stretches)
        assert len(page.all(".plot .stretch")) == stretches.count(", person ") > 1


def test_a_pointer_over_the_timeline_shows_the_frame(scripted_page: Page, clip: Path) -> None:
    scripted_page.choose(clip)
    scripted_page.result()
    ActionChains(scripted_page.driver).move_to_element(scripted_page.all("[role=option] .strip")[10]).perform()
    assert scripted_page.text(".frame-detail").startswith("Frame 11 at")


def test_the_analysis_can_be_watched_and_cancelled(scripted_page: Page, scripted: ScriptedGateway, clip: Path) -> None:
    scripted.scorer.gate = threading.Event()
    scripted_page.choose(clip)
    scripted_page.wait_for(lambda: "Analysing" in scripted_page.text("#progress"))
    assert scripted_page.text("#progress h2") == "clip.mp4"
    assert scripted_page.text("#announcer") == "Uploaded. Analysing …"
    (bar,) = [node for node in accessibility_tree(scripted_page.driver) if node["role"] == "progressbar"]
    assert bar["name"] == "clip.mp4"
    before = scripted_page.text(".clock")
    scripted_page.wait_for(lambda: scripted_page.text(".clock") != before)
    assert scripted_page.driver.switch_to.active_element.text == "Cancel"
    scripted_page.press(Keys.ENTER)
    assert scripted_page.focused() == "file"
    assert not scripted_page.one("#progress").is_displayed()
    assert scripted_page.text("#announcer") == "Cancelled."
    scripted.scorer.gate.set()
    assert not scripted_page.one("#result").is_displayed()


def test_another_file_takes_the_place_of_one_under_way(
    scripted_page: Page, scripted: ScriptedGateway, clip: Path, tmp_path: Path
) -> None:
    scripted.scorer.gate = threading.Event()
    scripted_page.choose(clip)
    scripted_page.wait_for(lambda: "Analysing" in scripted_page.text("#progress"))
    scripted_page.choose(pixels(tmp_path / "second.png"))
    scripted_page.wait_for(lambda: scripted_page.text("#progress h2") == "second.png")
    scripted.scorer.gate.set()
    scripted_page.result()
    assert scripted_page.facts()["File"] == "second.png"


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
    assert scripted_page.text("#result-title") == "Fake"


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
        assert page.text("#result-title") == "Fake"
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


def test_a_dropped_folder_is_refused(scripted_page: Page, tmp_path: Path) -> None:
    (tmp_path / "holiday").mkdir()
    drop_file(scripted_page.driver, tmp_path / "holiday", 300, 300)
    scripted_page.problem()
    assert scripted_page.facts() == {"File": "holiday", "Code": "FOLDER"}
    assert "drop one of its files" in scripted_page.text("#problem")


# --- What all of it must hold


@pytest.fixture
def noise(tmp_path: Path) -> Path:
    """An image over the limit of the scripted gateway."""
    path = tmp_path / "noise.png"
    path.write_bytes(encode_image(np.random.default_rng(0).integers(0, 256, (900, 900, 3), np.uint8), "PNG"))
    return path


def test_the_page_is_complete_for_assistive_technology(scripted_page: Page, clip: Path, noise: Path) -> None:
    assert_accessible(scripted_page)
    scripted_page.choose(clip)
    scripted_page.result()
    scripted_page.one(".frames summary").click()
    assert_accessible(scripted_page)
    roles = [node["role"] for node in accessibility_tree(scripted_page.driver)]
    assert roles.count("option") == 30
    inside = scripted_page.all("[role=listbox] > :not([role=option]):not([aria-hidden=true])")
    assert inside == []
    assert roles.count("row") == 31
    assert {"listbox", "table", "columnheader", "rowheader", "figure", "list", "article", "region"} <= set(roles)
    scripted_page.choose(noise)
    scripted_page.problem()
    assert_accessible(scripted_page)
    assert "alert" in [node["role"] for node in accessibility_tree(scripted_page.driver)]


def assert_accessible(page: Page) -> None:
    tree = accessibility_tree(page.driver)
    roles = [node["role"] for node in tree]
    for landmark in ("banner", "navigation", "main", "contentinfo"):
        assert roles.count(landmark) == 1, landmark
    named = {
        "button",
        "link",
        "image",
        "img",
        "listbox",
        "option",
        "progressbar",
        "table",
        "region",
        "textbox",
        "alert",
    }
    named -= {"alert"}
    assert [node for node in tree if node["role"] in named and not node["name"].strip()] == []
    levels = [node["level"] for node in tree if node["role"] == "heading"]
    assert levels.count(1) == 1
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    assert all(node["name"].strip() for node in tree if node["role"] == "heading")
    assert page.one("html").get_attribute("lang") == "en"
    assert all(one.get_attribute("alt") is not None for one in page.all("img"))
    ids = [one.get_attribute("id") for one in page.all("[id]")]
    assert len(ids) == len(set(ids))
    for one in page.all("[aria-labelledby], [aria-describedby]"):
        for attribute in ("aria-labelledby", "aria-describedby"):
            for name in (one.get_attribute(attribute) or "").split():
                if one.is_displayed():
                    page.one(f"#{name}")
    assert page.driver.execute_script("return document.querySelectorAll('[style]').length") == 0


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_text_stands_out_and_nothing_overflows(scripted_page: Page, clip: Path, noise: Path, dark: bool) -> None:
    for width in (1200, 320):
        emulate(scripted_page.driver, width, 900, dark=dark)
        scripted_page.open()
        assert_readable(scripted_page, width)
        scripted_page.choose(clip)
        scripted_page.result()
        scripted_page.one(".frames summary").click()
        assert_readable(scripted_page, width)
        scripted_page.choose(noise)
        scripted_page.problem()
        assert_readable(scripted_page, width)


def assert_readable(page: Page, width_px: int) -> None:
    assert low_contrast(page.driver) == []
    assert page.driver.execute_script("return document.documentElement.scrollWidth") <= width_px


def test_still_for_those_who_want_no_motion(scripted_page: Page, scripted: ScriptedGateway, clip: Path) -> None:
    scripted.scorer.gate = threading.Event()
    for reduced, expected in ((False, 1), (True, 0)):
        emulate(scripted_page.driver, 1200, 900, reduced_motion=reduced)
        scripted_page.choose(clip)
        scripted_page.wait_for(lambda: "Analysing" in scripted_page.text("#progress"))
        assert running_animations(scripted_page.driver) == expected


def running_animations(driver: Chrome) -> int:
    count: int = driver.execute_script(
        "return document.getAnimations().filter((one) => one.playState === 'running').length"
    )
    return count


def test_the_policy_stops_what_is_injected(scripted_page: Page, expected_errors: list[str]) -> None:
    """And the watch of the other tests would see it."""
    expected_errors += ["script-src", "style-src", "Content Security Policy", "require-trusted-types"]
    scripted_page.driver.execute_script(
        """
        const script = document.createElement("script");
        script.append("window.injected = true");
        document.body.append(script);
        const image = document.createElement("img");
        image.setAttribute("style", "width: 7px");
        document.body.append(image);
        try {
          image.setAttribute("onerror", "window.injected = true");
        } catch { /* the browser asks for a trusted script */ }
        """
    )
    scripted_page.wait_for(lambda: len(complaints(scripted_page.driver)) >= 3)
    assert scripted_page.driver.execute_script("return window.injected") is None


# --- /docs


def test_the_reference_is_rendered_and_can_be_tried(browser: Chrome, service: Service) -> None:
    reference = Page(browser, service.url + "/").open("docs")
    reference.wait_for(lambda: len(reference.all(".opblock")) == 4)
    paths = [one.text.replace("\u200b", "") for one in reference.all(".opblock-summary-path")]
    assert paths == ["/api/v1/inference", "/detect", "/health", "/model-card"]
    assert reference.text(".info .title").startswith("Deepfake detection")
    reference.all(".opblock-summary-control")[1].click()
    reference.wait_for(lambda: reference.all(".try-out__btn"))
    assert {"400", "413", "415", "422", "500", "503", "504"} <= {
        one.text for one in reference.all(".responses-table .response-col_status")
    }
    reference.one(".try-out__btn").click()
    reference.one("input[type=file]").send_keys(str(photo("coffee.png")))
    reference.one(".btn.execute").click()
    reference.wait_for(lambda: "seeded-untrained" in live_answer(reference))
    assert '"input_type": "image"' in live_answer(reference)


def live_answer(reference: Page) -> str:
    try:
        return reference.text(".live-responses-table .highlight-code")
    except NoSuchElementException:
        return ""


def test_the_reference_is_readable_and_follows_the_system(browser: Chrome, scripted: ScriptedGateway) -> None:
    reference = Page(browser, scripted.url).open("docs")
    reference.wait_for(lambda: len(reference.all(".opblock")) == 4)
    for one in reference.all(".opblock-summary-control"):
        one.click()
    reference.wait_for(lambda: len(reference.all(".opblock-body")) == 4)
    for dark in (False, True):
        emulate(browser, 1200, 900, dark=dark)
        reference.wait_for(lambda dark=dark: bool(reference.all("html.dark-mode")) == dark)
        reference.wait_for(lambda: running_animations(browser) == 0)  # links change colour slowly
        assert low_contrast(browser) == []
        ground = reference.one("body").value_of_css_property("background-color")
        assert ground == ("rgba(18, 19, 23, 1)" if dark else "rgba(247, 246, 242, 1)")
