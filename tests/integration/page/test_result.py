"""The result of an image: verdict, findings, faces, facts, and the answer as a file."""

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from selenium.webdriver import Chrome

from deepfake_client import create_detector
from deepfake_client.scorer import Face
from export.release import Release
from tests.browser import low_contrast
from tests.integration.page.conftest import Page, pixels
from tests.media import photo, write_pictures_without_a_face
from tests.scripted_gateway import ScriptedGateway, gateway_over, scored
from tests.service import Service


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
