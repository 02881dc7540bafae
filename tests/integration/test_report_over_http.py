"""One detection, three ways to ask for it: the report over HTTP, the command line's, and the JSON of /detect agree."""

import html
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from typer.testing import CliRunner

from deepfake_client.batch.cli import app
from deepfake_client.plain_text import NO_BREAK, percent
from tests.client.clips import CLIPS
from tests.media import photo, write_video
from tests.service import Service

MOVES = 1e-4
"""How far a figure may move: how frames are batched moves the sixth decimal, and some have four decimals."""


@pytest.fixture(scope="module", params=["image", "video"])
def media(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    if request.param == "image":
        return photo("astronaut.png")
    return write_video(tmp_path_factory.mktemp("clip") / "h264.mov", CLIPS["h264.mov"])


def ask(service: Service, media: Path, accept: str, include: list[str]) -> requests.Response:
    """What the gateway answers."""
    with media.open("rb") as stream:
        answer = requests.post(
            f"{service.url}/detect",
            files={"file": (media.name, stream)},
            data={"include": include, "case_number": "2026/117"},
            headers={"Accept": accept},
            timeout=120,
        )
    assert answer.status_code == 200, answer.text
    return answer


def report_of_command(
    service: Service, media: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[str, dict[str, Any]]:
    """The reports that deepfake-detect writes, with the gateway's places in videos: HTML, and JSON."""
    monkeypatch.setenv("DEEPFAKE_CLIENT_SAMPLING_SECRET_FILE", str(service.run_dir.parent / "sampling-secret"))
    monkeypatch.setenv("DEEPFAKE_CLIENT_FURTHER_FRAMES", "0")  # as the service under test
    paths = [folder / "report.html", folder / "report.json"]
    reports = [part for path in paths for part in ("--report", str(path))]
    command = [str(media), "--url", service.grpc, "--timeout-s", "120", "--sensitivity", "--case-number", "2026/117"]
    result = CliRunner().invoke(app, [*command, *reports])
    assert result.exit_code == 0, result.stderr
    return paths[0].read_text("utf-8"), json.loads(paths[1].read_text("utf-8"))


def numbers(node: Any) -> Iterator[float]:
    """Every number in a JSON document, in order."""
    if isinstance(node, dict | list):
        for part in node.values() if isinstance(node, dict) else node:
            yield from numbers(part)
    elif isinstance(node, int | float):
        yield node


def without_run(text: str) -> str:
    """A report but for when it was made."""
    parts = re.split(r'<div id="run">.*?</div>', text, flags=re.DOTALL)
    assert len(parts) == 2
    return "".join(parts)


def test_the_report_is_the_command_lines(
    service: Service, media: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = ask(service, media, "text/html", ["sensitivity"])
    written, _ = report_of_command(service, media, tmp_path, monkeypatch)
    assert shown.headers["Content-Type"] == "text/html; charset=utf-8"
    assert without_run(shown.text) == without_run(written)
    assert "2026/117" in shown.text
    assert "2026/117" in written


def test_its_figures_are_those_of_the_json(
    service: Service, media: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = ask(service, media, "application/json", ["scores", "stability", "sensitivity", "further_frames"]).json()
    shown = ask(service, media, "text/html", ["sensitivity"])
    _, document = report_of_command(service, media, tmp_path, monkeypatch)
    metadata, text = answer["metadata"], html.unescape(shown.text).replace(NO_BREAK, " ")

    assert shown.headers["X-Release-ID"] == metadata["model"]["release_id"]
    for fact in (metadata["sha256"], percent(answer["confidence_score"]), *metadata["statement"].values()):
        if fact not in ("no_verdict", ""):
            assert fact in text
    for finding in metadata["findings"]:
        assert finding["message"] in text
    for frame in metadata["frame_predictions"]:
        for face in frame["faces"]:
            assert face["person"] != metadata["deciding_person"] or percent(face["fake_probability"]) in text
    for person in metadata["people"]:
        assert percent(person["fake_probability"]) in text

    verdict = document["verdict"]
    assert (verdict["result"], verdict["statement"]) == (answer["result"], metadata["statement"])
    assert verdict["person"] == metadata["deciding_person"]
    assert verdict["fake_probability"] == pytest.approx(answer["confidence_score"], abs=MOVES)
    assert document["findings"] == metadata["findings"]
    shared = ("stability", "sensitivity")
    for found, known in [
        *zip(document["frames"], metadata["frame_predictions"], strict=True),
        *zip(document["people"], metadata["people"], strict=True),
        *((document[name], metadata[name]) for name in shared),
    ]:
        both = {name: found[name] for name in known}
        assert list(numbers(both)) == pytest.approx(list(numbers(known)), abs=MOVES)
    for name, value in document["scores"].items():
        assert value is None or value == pytest.approx(metadata["scores"][name], abs=0.01), name
