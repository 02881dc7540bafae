"""A model for faces, given what shows none: every surface says that the result is worth nothing, and why."""

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from typer.testing import CliRunner, Result

from deepfake_client import create_detector
from deepfake_client.batch.cli import app
from export.release import Release
from tests.media import photo, write_pictures_without_a_face
from tests.scripted_gateway import gateway_over

CODES = {"cat.png": {"NO_FACE"}, "cup.png": {"NO_FACE"}, "portrait.png": {"NO_FACE", "SMALL_FACE"}}
"""What may be found in each; of the portrait, 64 px wide, its face or none."""


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return write_pictures_without_a_face(tmp_path_factory.mktemp("pictures"))


@pytest.fixture(scope="module")
def url(face_release: Release, pictures: list[Path]) -> Iterator[str]:
    with (
        create_detector(face_release.path) as detector,
        gateway_over(detector, media_root=pictures[0].parent) as address,
    ):
        yield address


def critical(findings: list[dict[str, str]]) -> set[str]:
    return {finding["code"] for finding in findings if finding["severity"] == "critical"}


def test_the_api(url: str, pictures: list[Path]) -> None:
    for picture in pictures:
        answer = requests.post(f"{url}detect", files={"file": picture.read_bytes()}, timeout=30).json()
        assert (answer["result"], answer["metadata"]["assessable"]) == ("uncertain", False)
        found = critical(answer["metadata"]["findings"])
        assert found
        assert found <= CODES[picture.name]
        body = {"mediaType": "IMAGE", "extractedFrames": picture.name, "include": ["findings"]}
        listed = requests.post(f"{url}api/v1/inference", json=body, timeout=30).json()
        assert (listed["assessable"], listed["findings"]) == (False, answer["metadata"]["findings"])
        del body["include"]
        plain = requests.post(f"{url}api/v1/inference", json=body, timeout=30).json()
        assert list(listed) == [*plain, "assessable", "findings"]
    face = requests.post(f"{url}detect", files={"file": photo("astronaut.png").read_bytes()}, timeout=30).json()
    assert face["metadata"]["assessable"]
    assert critical(face["metadata"]["findings"]) == set()


def detect(release: Release, *arguments: object) -> Result:
    result = CliRunner().invoke(app, [str(argument) for argument in (*arguments, "--url", release.path)])
    assert result.exit_code == 0, result.output
    return result


def test_the_command_line(face_release: Release, pictures: list[Path]) -> None:
    rows = [json.loads(line) for line in detect(face_release, *pictures, "--format", "jsonl").stdout.splitlines()]
    assert [row["result"] for row in rows] == ["uncertain"] * 3
    assert [row["metadata"]["assessable"] for row in rows] == [False] * 3
    cells = list(csv.DictReader(io.StringIO(detect(face_release, *pictures, "--format", "csv").stdout)))
    for row, cell in zip(rows, cells, strict=True):
        assert critical(row["metadata"]["findings"]) <= CODES[Path(row["file"]).name]
        assert cell["assessable"] == "False"
        assert cell["findings"].split() == [finding["code"] for finding in row["metadata"]["findings"]]
    table = detect(face_release, *pictures).stdout
    assert table.count("Not assessable: ") == 3
    assert "NO_FACE" in table
    assert "Inconclusive" not in table


def test_the_report(face_release: Release, pictures: list[Path], tmp_path: Path) -> None:
    for picture in pictures:
        reports = [tmp_path / f"{picture.name}.{form}" for form in ("html", "json")]
        detect(face_release, picture, "--report", reports[0], "--report", reports[1])
        evidence = json.loads(reports[1].read_text("utf-8"))
        assert (evidence["verdict"]["result"], evidence["verdict"]["assessable"]) == ("uncertain", False)
        assert critical(evidence["findings"]) <= CODES[picture.name]
        html = reports[0].read_text("utf-8")
        assert "Not assessable: no face" in html
        assert "<strong>Critical</strong> <code>" in html
        assert "<td>faces only</td>" in html
