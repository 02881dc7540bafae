"""One journey over the real service: five files, a video looked at, its report, the list as CSV. All figures agree."""

import csv
import html
import re
from pathlib import Path
from typing import Any

import pytest
import requests

from deepfake_client.plain_text import percent
from tests.browser import drop_files
from tests.integration.page.conftest import Page
from tests.integration.page.file_list import button, exported, idle, opened, rows, states
from tests.integration.page.test_video import Workbench
from tests.media import VideoSpec, photo, write_video
from tests.service import Service


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Two pictures, two videos, and a broken one."""
    videos = [write_video(tmp_path / f"{name}.mp4", VideoSpec(frames=50)) for name in ("talk", "walk")]
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(videos[0].read_bytes()[:5000])
    return [photo("astronaut.png"), videos[0], broken, photo("coffee.png"), videos[1]]


def test_what_page_report_and_csv_say_is_what_the_api_answers(
    page: Page, service: Service, files: list[Path], browser_folder: Path, expected_errors: list[str]
) -> None:
    expected_errors.append("/detect - Failed to load resource.*422")
    drop_files(page.driver, files, 300, 300)
    idle(page)
    assert states(page) == ["done", "done", "failed", "done", "done"]
    assert opened(page) == ["astronaut.png"]
    answers = {path.name: post(service, path) for path in files}
    assert_list_agrees(page, answers)
    video = answers["talk.mp4"]
    button(page, "talk.mp4").click()
    page.result()
    assert_result_agrees(page, video)
    assert_player_goes_to_the_most_suspicious_frame(page, video)
    downloads = browser_folder / "downloads"
    assert_report_agrees(exported(page, "Download report", downloads / "talk.mp4.report.html", within=".report"), video)
    content = exported(page, "Export CSV", downloads / "results.csv")
    assert_csv_agrees(content, answers)


def post(service: Service, path: Path) -> dict[str, Any]:
    """The API's own answer."""
    parts = [("include", name) for name in ("thumbnails", "scores", "stability", "further_frames")]
    with path.open("rb") as file:
        answer: dict[str, Any] = requests.post(
            f"{service.url}/detect", data=parts, files={"file": file}, timeout=60
        ).json()
    return answer


def assert_list_agrees(page: Page, answers: dict[str, dict[str, Any]]) -> None:
    shown = rows(page)
    for name in ("astronaut.png", "talk.mp4", "coffee.png", "walk.mp4"):
        metadata = answers[name]["metadata"]
        probability = readable(answers[name]["confidence_score"])
        assert shown[name] == [metadata["statement"]["headline"], probability, str(metadata["people_found"]), "Done"]
    assert shown["broken.mp4"] == ["", "", "", f"Failed: {answers['broken.mp4']['error']}"]


def assert_result_agrees(page: Page, answer: dict[str, Any]) -> None:
    metadata = answer["metadata"]
    assert page.text("#result-title") == metadata["statement"]["headline"]
    assert page.text(".verdict .explanation") == metadata["statement"]["explanation"]
    assert page.text(".verdict .number strong") == readable(answer["confidence_score"])
    shown = [one.get_attribute("data-code") for one in page.all(".findings li")]
    assert shown == [finding["code"] for finding in metadata["findings"]]
    assert page.facts()["SHA-256"] == metadata["sha256"]


def assert_player_goes_to_the_most_suspicious_frame(page: Page, answer: dict[str, Any]) -> None:
    """The untrained model finds no segment, so the journey goes to a frame of those that matter."""
    (peak,) = [one for one in answer["metadata"]["thumbnails"] if "HIGHEST" in one["reasons"]]
    bench = Workbench(page)
    bench.click(0)
    bench.shows(0)
    (picture,) = [one for one in page.all(".pictures .choice") if f"Frame {peak['index']} at" in one.text]
    picture.click()
    bench.shows(peak["index"])
    (frame,) = [one for one in answer["metadata"]["frame_predictions"] if one["index"] == peak["index"]]
    assert readable(frame["fake_probability"]) in page.text(".frame-detail")


def assert_report_agrees(report: str, answer: dict[str, Any]) -> None:
    markup = r"<(style|svg).*?</\1>|<[^>]+>"
    text = " ".join(html.unescape(re.sub(markup, " ", report, flags=re.DOTALL)).split())
    metadata = answer["metadata"]
    for said in (
        metadata["statement"]["headline"],
        metadata["statement"]["explanation"],
        f"{percent(answer['confidence_score'])} fake probability",
        metadata["sha256"],
    ):
        assert " ".join(said.split()) in text
    for frame in metadata["thumbnails"]:
        assert f"frame {frame['index']} at" in text.lower()


def assert_csv_agrees(content: str, answers: dict[str, dict[str, Any]]) -> None:
    found = list(csv.DictReader(content.splitlines()))
    assert [row["file"] for row in found] == list(answers)
    for row in found:
        answer = answers[row["file"]]
        if "code" in answer:
            assert (row["error_code"], row["error_message"]) == (answer["code"], answer["message"])
            continue
        assert float(row["fake_probability"]) == answer["confidence_score"]
        assert row["headline"] == answer["metadata"]["statement"]["headline"]
        assert row["sha256"] == answer["metadata"]["sha256"]


def readable(probability: float) -> str:
    return percent(probability).replace("\u00a0", " ")
