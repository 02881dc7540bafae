"""The result: verdict, findings, faces, people, frames that matter, facts, and the answer as a file."""

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import requests
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from selenium.webdriver import Chrome, Keys

from deepfake_client import create_detector
from deepfake_client.scorer import Face
from export.release import Release
from tests.browser import low_contrast
from tests.inference_server import DESCRIPTION, FUSED
from tests.integration.page.conftest import Page, pixels
from tests.integration.page.file_list import exported
from tests.media import encode_heic, photo, write_pictures_without_a_face
from tests.scripted_gateway import ScriptedGateway, crowd, fused, gateway_over, scored
from tests.service import Service


def test_an_image_is_analysed(page: Page) -> None:
    image = photo("astronaut.png")
    assert "seeded-untrained" in page.text("#health")
    page.choose(image)
    page.result()
    assert page.text("#result-title") == "No verdict: the model is untrained"  # the service's
    assert "mean nothing" in page.text("#notice")
    assert re.fullmatch(r"\d+\.\d %\nfake probability", page.text(".number"))
    facts = page.facts()
    assert facts["SHA-256"] == hashlib.sha256(image.read_bytes()).hexdigest()
    assert facts["Model"] == "seeded-untrained"
    assert facts["Trained"].startswith("no")
    assert facts["Frames"] == "1 scored; 1 face found"
    assert re.fullmatch(r"[0-9a-f]{32}", facts["Request id"])
    assert_face_is_marked(page)


def assert_face_is_marked(page: Page) -> None:
    """The astronaut's face is in the upper middle of the picture."""
    page.wait_for(lambda: page.one(".picture img").get_property("naturalWidth") == 512)
    picture, face = (page.one(selector).rect for selector in (".picture img", ".picture .face .halo"))
    across = (face["x"] + face["width"] / 2 - picture["x"]) / picture["width"]
    down = (face["y"] + face["height"] / 2 - picture["y"]) / picture["height"]
    assert 0.35 < across < 0.55
    assert 0.15 < down < 0.35


def test_the_answer_can_be_kept(page: Page, clip: Path, browser_folder: Path, service: Service) -> None:
    page.choose(clip)
    page.result()
    kept = browser_folder / "downloads" / "clip.mp4.result.json"
    body = json.loads(exported(page, "Download result as JSON", kept, within="#result"))
    assert list(body) == ["result", "confidence_score", "processing_time_seconds", "metadata", "model_version"]
    assert body["metadata"]["sha256"] == page.facts()["SHA-256"]
    assert f"{body['confidence_score'] * 100:.1f} %" in page.text(".number")


@pytest.mark.parametrize(
    ("p", "outcome", "sign", "band", "shown"),
    [
        (0.91, "signs", "fake", "signs", "91.0 %"),
        (0.12, "no_signs", "real", "no sign", "12.0 %"),
        (0.5, "inconclusive", "uncertain", "inconclusive", "50.0 %"),
        (0.99999, "signs", "fake", "signs", "> 99.9 %"),
    ],
)
def test_the_verdict_is_in_the_words_of_the_api(
    scripted_page: Page, scripted: ScriptedGateway, p: float, outcome: str, sign: str, band: str, shown: str
) -> None:
    scripted.scorer.answer = lambda index: scored(p)
    scripted_page.choose(photo("astronaut.png"))
    scripted_page.result()
    said = statement(scripted.url)
    assert said["outcome"] == scripted_page.one(".verdict").get_attribute("data-outcome") == outcome
    assert scripted_page.text("#result-title") == said["headline"]
    assert scripted_page.all(f"#result-title .sign.{sign}")  # a shape, not colour alone
    assert scripted_page.text(".explanation") == said["explanation"].replace("\u00a0", " ")
    assert scripted_page.text(".verdict .aside") == said["calibration"]
    assert scripted_page.text(".number") == f"{shown}\nfake probability"
    assert scripted_page.text(".bands .here strong") == band
    assert [one.text.replace("\u00a0", " ") for one in scripted_page.all(".bands span")] == [
        "below 30 %",
        "between",
        "above 70 %",
    ]
    assert scripted_page.text("#announcer") == f"{said['headline']}. Fake probability {shown}."
    # The number stands once more, beside the face, and nothing nearly the same beside it.
    assert scripted_page.text(".person .score") == f"{shown}\n{band}"
    assert not scripted_page.all(".scores")
    assert not scripted_page.one("#notice").is_displayed()


def statement(url: str) -> dict[str, str]:
    with photo("astronaut.png").open("rb") as stream:
        answer = requests.post(f"{url}detect", files={"file": stream}, timeout=30)
    said: dict[str, str] = answer.json()["metadata"]["statement"]
    return said


@pytest.mark.parametrize(
    ("changed", "headline"),
    [
        ({"trained": False}, "No verdict: the model is untrained"),
        ({"scope": "face"}, "Not assessable: no face found"),
    ],
)
def test_without_a_verdict_all_is_grey(
    scripted_page: Page, scripted: ScriptedGateway, clip: Path, changed: dict[str, Any], headline: str
) -> None:
    scripted.scorer.description = DESCRIPTION | changed
    scripted.scorer.answer = lambda index: scored(0.95, face=False)
    scripted_page.choose(clip)
    scripted_page.result()
    assert scripted_page.text("#result-title") == headline
    assert not scripted_page.all(".gauge"), "a scale would invite to read a verdict off it"
    assert not scripted_page.all(".stability")
    assert scripted_page.all("#result-title .sign.none")
    assert not scripted_page.all(".pictures .sign:not(.none)")
    grey = scripted_page.one(".explanation + .number").value_of_css_property("color")
    assert {one.value_of_css_property("fill") for one in scripted_page.all(".plot .point")} == {
        grey.replace("rgba", "rgb").replace(", 1)", ")")
    }


def test_the_model_card_is_one_click_away(scripted_page: Page, scripted: ScriptedGateway) -> None:
    scripted_page.choose(photo("astronaut.png"))
    scripted_page.result()
    assert not scripted_page.all(".verdict a"), "this model has none"
    scripted.scorer.description = DESCRIPTION | {
        "model_card": {"name": "A detector", "licence": "MIT", "text": "# Card"}
    }
    scripted_page.choose(photo("camera.png"))
    scripted_page.wait_for(lambda: scripted_page.all(".verdict a"))
    assert scripted_page.text(".verdict .aside").endswith("Model card (A detector, MIT)")
    scripted_page.one(".verdict a").click()
    scripted_page.wait_for(lambda: scripted_page.driver.current_url == f"{scripted.url}model-card")


def test_every_face_is_drawn_and_listed(scripted_page: Page, scripted: ScriptedGateway) -> None:
    tiny = Face((400.0, 300.0, 424.0, 330.0), 0.5)
    four = crowd(0.41, 0.93, 0.22, 0.12)
    scripted.scorer.answer = lambda index: replace(four, faces=(*four.faces, tiny))
    scripted_page.choose(photo("astronaut.png"))
    scripted_page.result()
    assert scripted_page.text(".number") == "93.0 %\nfake probability of person 2"
    assert scripted_page.text("#people-title") == "5 faces"
    assert [one.text.replace("\u00a0", " ").split("\n") for one in scripted_page.all(".people-card li")] == [
        ["Person 2", "decides", "93.0 %", "signs", "face of 62 px"],
        ["Person 1", "41.0 %", "inconclusive", "face of 70 px"],
        ["Person 3", "22.0 %", "no sign", "face of 54 px"],
        ["Person 4", "12.0 %", "no sign", "face of 46 px"],
        ["Not judged, too small or too many", "face of 24 px"],
    ]
    crops = scripted_page.all(".people-card img")
    scripted_page.wait_for(lambda: all(one.get_property("naturalWidth") for one in crops))
    assert len({one.get_attribute("src") for one in crops}) == 4
    classes = [one.get_attribute("class").split()[1] for one in scripted_page.all(".picture .face")]
    assert classes == ["uncertain", "fake", "real", "real", "unjudged"]
    labels = [one.get_attribute("textContent").replace("\u00a0", " ") for one in scripted_page.all(".face .label")]
    assert labels == ["141.0 %", "293.0 %", "322.0 %", "412.0 %"]
    assert_boxes_lie(scripted_page, [(x0, x1) for x0, _, x1, _ in (face.box_px for face in (*four.faces, tiny))], 512)


def assert_boxes_lie(page: Page, spans_px: list[tuple[float, float]], width_px: int) -> None:
    """Left and right edge of each box, by pixels of a frame that is so wide."""
    picture = page.one(".picture img").rect
    shown = [
        page.driver.execute_script("return arguments[0].getBoundingClientRect().toJSON()", one)
        for one in page.all(".face .line")
    ]
    for box, (left, right) in zip(shown, spans_px, strict=True):
        at = [(box[edge] - picture["x"]) / picture["width"] * width_px for edge in ("left", "right")]
        assert at == pytest.approx([left, right], abs=2)


def test_a_face_is_selected_in_the_picture_and_in_the_list(scripted_page: Page, scripted: ScriptedGateway) -> None:
    scripted.scorer.answer = lambda index: crowd(0.41, 0.93, 0.22)
    scripted_page.choose(photo("astronaut.png"))
    scripted_page.result()
    assert selected(scripted_page) == ("Person 2", [1])
    scripted_page.all(".picture .face .line")[2].click()
    assert selected(scripted_page) == ("Person 3", [2])
    scripted_page.all(".people-card button")[1].send_keys(Keys.ENTER)
    assert selected(scripted_page) == ("Person 1", [0])


def selected(page: Page) -> tuple[str, list[int]]:
    (name,) = [one.text for one in page.all(".people-card [aria-pressed=true] strong")]
    drawn = [
        number
        for number, one in enumerate(page.all("#result .picture .face"))
        if "selected" in one.get_attribute("class")
    ]
    return name, drawn


def test_a_thumbnail_stands_in_for_what_the_browser_cannot_show(
    scripted_page: Page, scripted: ScriptedGateway, tmp_path: Path
) -> None:
    path = tmp_path / "photo.heic"
    path.write_bytes(encode_heic(Image.open(photo("astronaut.png"))))
    scripted_page.choose(path)
    scripted_page.result()
    scripted_page.wait_for(lambda: scripted_page.one(".picture img").get_property("naturalWidth") == 320)
    assert_boxes_lie(scripted_page, [(40, 120)], 512)


def test_people_of_a_video(scripted_page: Page, scripted: ScriptedGateway, clip: Path) -> None:
    scripted.scorer.answer = lambda index: crowd(0.2, 0.9) if 5 <= index < 20 else crowd(0.2)
    scripted_page.choose(clip)
    scripted_page.result()
    assert scripted_page.text(".number") == "90.0 %\nfake probability of person 2"
    assert [one.text.replace("\u00a0", " ").split("\n") for one in scripted_page.all(".people-card li")] == [
        ["Person 2", "decides", "90.0 %", "signs", "in 15 frames, 0.3 s to 1.3 s"],
        ["Person 1", "20.0 %", "no sign", "in 30 frames, 0.0 s to 2.0 s"],
    ]
    scripted_page.all(".people-card button")[1].click()
    assert selected(scripted_page)[0] == "Person 1"


def test_the_frames_that_matter(scripted_page: Page, scripted: ScriptedGateway, clip: Path) -> None:
    scripted.scorer.answer = lambda index: scored(0.9 if index == 12 else 0.2 + index / 100)
    scripted_page.choose(clip)
    scripted_page.result()
    cards = scripted_page.all(".pictures button")
    texts = [one.text.replace("\u00a0", " ").split("\n") for one in cards]
    assert [(text[0].split(" at ")[0], text[1], text[2]) for text in texts][:2] == [
        ("Frame 0", "20.0 %", "lowest fake probability"),
        ("Frame 12", "90.0 %", "highest fake probability"),
    ]
    assert [one.get_attribute("aria-pressed") for one in cards].index("true") == 1, "the most suspicious frame"
    cards[0].click()
    assert [one.get_attribute("aria-pressed") for one in cards].index("true") == 0
    assert len(scripted_page.all(".pictures .face")) == len(cards)
    scripted_page.wait_for(
        lambda: all(one.get_property("naturalWidth") == 320 for one in scripted_page.all(".pictures img"))
    )


def test_the_stability_of_a_score(scripted_page: Page, scripted: ScriptedGateway) -> None:
    scripted.scorer.answer = lambda index: scored(0.9 - index / 10)
    scripted_page.choose(photo("astronaut.png"))
    scripted_page.result()
    assert scripted_page.text(".stability p") == "After small changes the deciding face scores 50.0 % to 90.0 %."
    rows = [one.text.replace("\u00a0", " ") for one in scripted_page.all(".stability tbody tr")]
    assert rows[0] == "Unchanged\n90.0 %"
    assert rows[2] == "Saved as JPEG of quality 75\n80.0 %"
    assert len(rows) == 6


@pytest.fixture(scope="module")
def for_faces(face_release: Release) -> Iterator[str]:
    with create_detector(face_release.path) as detector, gateway_over(detector) as url:
        yield url


def test_each_of_several_models_has_a_row(scripted_page: Page, scripted: ScriptedGateway) -> None:
    scripted.scorer.description = FUSED
    scripted.scorer.answer = lambda index: fused(scored(0.5), (0.912, 0.2))
    scripted_page.choose(photo("astronaut.png"))
    scripted_page.result()
    assert [one.text.replace("\u00a0", " ").split("\n") for one in scripted_page.all(".models tbody tr > *")] == [
        ["example/face", "face crop, calibrated"], ["91.2 %", "signs"], ["0.75"],
        ["example/whole", "whole picture, not calibrated"], ["20.0 %", "no sign"], ["0.5"],
    ]  # fmt: skip
    assert len(scripted_page.all(".models .sign")) == 2
    assert not scripted_page.all(".people-card .aside"), "each saw something else"
    assert scripted_page.text(".stability p").startswith("Not examined. The models that are fused see different parts")
    scripted.scorer.description = FUSED | {"trained": False}
    scripted_page.choose(photo("astronaut.png"))
    scripted_page.result()
    assert scripted_page.all(".models .sign.none"), "grey where there is no verdict"
    scripted.scorer.description, scripted.scorer.answer = DESCRIPTION, lambda index: scored(0.5)
    scripted_page.choose(photo("astronaut.png"))
    scripted_page.result()
    assert not scripted_page.all(".models")
    assert scripted_page.text(".people-card .aside") == "As the model saw it."


def test_what_shows_no_face_has_a_grey_verdict_and_its_reason(
    browser: Chrome, for_faces: str, tmp_path: Path, expected_errors: list[str]
) -> None:
    expected_errors.append("/health - Failed to load resource.*503")  # its canary may wait long for the one model
    page = Page(browser, for_faces)
    for picture in write_pictures_without_a_face(tmp_path):
        page.open().choose(picture)
        page.result()
        small = picture.name == "portrait.png"
        assert page.text("#result-title") == f"Not assessable: no face {'large enough' if small else 'found'}"
        assert page.one(".verdict").get_attribute("data-outcome") == "not_assessable"
        assert page.text("#announcer").startswith("Not assessable: ")
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
    assert scripted_page.text("#result-title") == "Signs of manipulation", "this model is for any picture"
    assert not scripted_page.all(".people-card")
    assert not scripted_page.all(".picture .face")


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
