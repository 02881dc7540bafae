"""deepfake-detect --report: what it writes, when it writes nothing, and what it refuses."""

import json
import os
import stat
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from deepfake_client.batch.cli import app
from tests.inference_server import InferenceServer, jpeg
from tests.media import encode_image, photo_pixels

Run = Callable[..., Result]


@pytest.fixture
def run(server: InferenceServer, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("DEEPFAKE_URL", server.url)
    return lambda *arguments, **options: CliRunner().invoke(app, [str(argument) for argument in arguments], **options)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "media" / "a <b>.jpg"
    path.parent.mkdir()
    path.write_bytes(encode_image(photo_pixels("astronaut.png"), "JPEG"))
    return path


def test_both_forms_beside_the_normal_output(run: Run, image: Path, tmp_path: Path) -> None:
    html, data = tmp_path / "out.html", tmp_path / "out.JSON"
    html.write_text("old")
    result = run(image, "--format", "jsonl", "--report", html, "--report", data)
    assert result.exit_code == 0
    row = json.loads(result.stdout)
    document = json.loads(data.read_text("utf-8"))
    assert document["input"]["sha256"] == row["metadata"]["sha256"]
    assert document["input"]["file_name"] == "a <b>.jpg"
    assert document["verdict"]["result"] == row["result"]
    assert document["key_frames"][0]["picture"]["width_px"] == 480
    assert "a &lt;b&gt;.jpg" in html.read_text("utf-8")
    assert str(tmp_path) not in html.read_text("utf-8") + data.read_text("utf-8"), "folders name people"
    assert document["run"]["created_at"][:19].replace("T", " ") in html.read_text("utf-8"), "one report in two forms"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["media", "out.JSON", "out.html"]
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE(html.stat().st_mode) == 0o666 & ~umask


def test_a_report_carries_the_case_and_the_note(run: Run, image: Path, tmp_path: Path) -> None:
    html, data = tmp_path / "out.html", tmp_path / "out.json"
    reports = ("--report", html, "--report", data)
    assert run(image, *reports, "--case-number", "2026-17", "--note", "Second\nopinion").exit_code == 0
    assert json.loads(data.read_text())["case"] == {"number": "2026-17", "note": "Second opinion"}
    assert "Case <strong>2026-17</strong>" in html.read_text("utf-8")
    assert run(image, *reports).exit_code == 0
    assert json.loads(data.read_text())["case"] is None


def test_nothing_is_written_when_detection_fails(run: Run, tmp_path: Path) -> None:
    (tmp_path / "bad.jpg").write_bytes(jpeg("status=6"))
    (tmp_path / "old.html").write_text("old")
    for name in ("bad.jpg", "missing.jpg"):
        for report in ("old.html", "new.json"):
            result = run(tmp_path / name, "--report", tmp_path / report)
            assert result.exit_code == 1
            assert isinstance(result.exception, SystemExit)
    assert (tmp_path / "old.html").read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.jpg", "old.html"]


@pytest.mark.parametrize(
    "step", ["deepfake_client.evidence.files.os.fsync", "deepfake_client.evidence.files.Path.replace"]
)
def test_a_failed_write_leaves_the_old_report(
    run: Run, image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    (tmp_path / "out.html").write_text("old")
    monkeypatch.setattr(step, fail)
    result = run(image, "--report", tmp_path / "out.html")
    assert result.exit_code == 2
    assert "No space left on device" in result.stderr
    assert (tmp_path / "out.html").read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["media", "out.html"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{image}", "--report", "x.pdf"], "must end in .html or .json"),
        (["{image}", "--report", "x"], "must end in .html or .json"),
        (["{image}", "{image}2", "--report", "x.html"], "about one file, not 2"),
        (["{folder}", "--report", "x.html"], "about one file"),
        (["{image}", "--report", "no/such/folder/x.html"], "cannot be written there"),
        (["{image}", "--report", "{folder}/a.html"], "cannot be written there"),
        (["{folder}/b.json", "--report", "{folder}/b.json"], "would replace the input file"),
        (["{image}", "--report", "x.html", "--output", "x.jsonl", "--resume"], "no --resume"),
        (["{image}", "--case-number", "17"], "give --report, too"),
        (["{image}", "--note", "n"], "give --report, too"),
        (["{image}", "--report", "x.html", "--case-number", "1" * 81], "--case-number is too long"),
        (["{image}", "--report", "x.html", "--note", "1" * 1001], "--note is too long"),
    ],
)
def test_wrong_usage_is_refused_before_anything_is_scored(
    run: Run,
    server: InferenceServer,
    image: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    image.parent.joinpath("a.html").mkdir()
    image.parent.joinpath("b.json").write_bytes(image.read_bytes())
    result = run(*(argument.format(image=image, folder=image.parent) for argument in arguments))
    assert result.exit_code == 2
    assert message in result.stderr
    assert server.received == []
    assert [path.name for path in tmp_path.iterdir()] == ["media"]


def test_standard_input(run: Run, image: Path, tmp_path: Path) -> None:
    result = run("-", "--report", tmp_path / "out.json", input=image.read_bytes())
    assert result.exit_code == 0
    assert json.loads((tmp_path / "out.json").read_text())["input"]["file_name"] == "standard input"


def test_a_report_tells_of_stability_and_draws_the_sensitivity_on_request(
    run: Run, server: InferenceServer, image: Path, tmp_path: Path
) -> None:
    report = tmp_path / "out.json"
    assert run(image, "--report", report).exit_code == 0
    document = json.loads(report.read_text())
    (face,) = document["stability"]["faces"]
    assert len(face["variants"]) == 4, "without a face there is no margin to widen"
    assert document["sensitivity"] is None
    assert run(image, "--report", report, "--sensitivity").exit_code == 0
    document = json.loads(report.read_text())
    assert np.shape(document["sensitivity"]["map"]["changes"]) == (7, 7)
    assert document["sensitivity_picture"]["width_px"] == 448


def test_rows_tell_of_stability_on_request(run: Run, server: InferenceServer, image: Path) -> None:
    metadata = json.loads(run(image, "--format", "jsonl", "--stability").stdout)["metadata"]
    assert metadata["stability"]["skipped"] is None
    assert "sensitivity" not in metadata
    assert "stability" not in json.loads(run(image, "--format", "jsonl").stdout)["metadata"]


def test_help_names_the_option(run: Run) -> None:
    assert "--report" in run("--help").stdout
