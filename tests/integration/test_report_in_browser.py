"""The evidence report in a real Chromium, on paper and on screens; its scores are made up."""

import base64
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium.webdriver import Chrome

from deepfake_client import Evidence, build_evidence, evidence_html
from deepfake_client.release import Scope
from tests.axe import violations
from tests.browser import chromium, complaints, emulate
from tests.client.evidence.cases import MODEL, TWO_MODELS, made_output
from tests.client.evidence.full import CASE, full_image, full_video

PAPERS_INCHES = {"A4": (8.27, 11.69), "Letter": (8.5, 11)}
FACES_ONLY = MODEL.model_copy(update={"scope": Scope.FACE})
LONG_NAMES = TWO_MODELS.model_copy(
    update={
        "members": tuple(
            member.model_copy(update={"name": f"{member.name}-deepfake-image-detection-siglip2-base-patch16-512"})
            for member in TWO_MODELS.members
        )
    }
)
REPORTS = {
    "image": build_evidence(full_image(), "portrait.jpg", case=CASE),
    "video": build_evidence(full_video(), "interview.mp4", case=CASE),
    "group": build_evidence(made_output([0.2], is_video=False, others=[[0.9], [0.1], [float("nan")]]), "group.jpg"),
    "no face": build_evidence(made_output([0.8], is_video=False, without_face=[0], model=FACES_ONLY), "cat.jpg"),
    "two models": build_evidence(made_output([0.7] * 4, model=LONG_NAMES, members=[(0.95, 0.1)] * 4), "clip.mp4"),
}


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    with chromium(tmp_path_factory.mktemp("browser")) as running:
        yield running


def show(driver: Chrome, folder: Path, report: Evidence) -> None:
    page = folder / "report.html"
    page.write_text(evidence_html(report), encoding="utf-8")
    driver.get(page.as_uri())


@pytest.mark.parametrize("paper", PAPERS_INCHES)
@pytest.mark.parametrize(("name", "most_pages"), [("image", 2), ("video", 3)])
def test_a_full_report_fits_on_few_pages(
    driver: Chrome, tmp_path: Path, name: str, most_pages: int, paper: str
) -> None:
    show(driver, tmp_path, REPORTS[name])
    width, height = PAPERS_INCHES[paper]
    options = {"paperWidth": width, "paperHeight": height, "printBackground": True}
    pdf = base64.b64decode(driver.execute_cdp_cmd("Page.printToPDF", options)["data"])
    boxes = re.findall(rb"/MediaBox \[0 0 ([0-9.]+) ([0-9.]+)\]", pdf)
    assert {(round(float(w) / 72, 1), round(float(h) / 72, 1)) for w, h in boxes} == {
        (round(width, 1), round(height, 1))
    }
    assert len(re.findall(rb"/Type /Page\b", pdf)) == len(boxes) <= most_pages


@pytest.mark.parametrize("media", ["screen", "print"])
def test_marks_lie_on_their_pictures(driver: Chrome, tmp_path: Path, media: str) -> None:
    emulate(driver, 700, 900)
    show(driver, tmp_path, REPORTS["image"])
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": media})
    places = driver.execute_script(_PLACES)
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
    assert places[0] == pytest.approx(places[1], abs=0.5)


_PLACES = """
return ["img", "svg"].map((name) => {
  const { x, y, width, height } = document.querySelector(`.picture ${name}`).getBoundingClientRect();
  return [x, y, width, height];
});
"""


@pytest.mark.parametrize("name", REPORTS)
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width_px", [390, 1280])
def test_screens_show_all_of_it_to_everybody(
    driver: Chrome, tmp_path: Path, name: str, dark: bool, width_px: int
) -> None:
    emulate(driver, width_px, 900, dark=dark)
    show(driver, tmp_path, REPORTS[name])
    assert driver.execute_script("return document.documentElement.scrollWidth") == width_px
    assert violations(driver) == []
    assert complaints(driver) == []
