"""Runs that are cut off and continued: every file exactly one row."""

import csv
import io
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from deepfake_client.batch.cli import app
from deepfake_client.batch.results_file import ResultsFile
from deepfake_client.batch.rows import CSV_COLUMNS, CommaSeparated, JsonLines, RowFormat
from deepfake_client.batch.scoring import FileReport
from deepfake_client.errors import ConfigurationError
from tests.inference_server import DESCRIPTION, EXPORT_ID, InferenceServer, inference_server, jpeg
from tests.service import ROOT

FORMATS = [JsonLines(), CommaSeparated()]
AWKWARD = [
    "a.jpg",
    "b,c.jpg",
    'quote".jpg',
    "line\nfeed.jpg",
    "back\\nslash.jpg",
    "\udcff.jpg",
    "\u00e4.jpg",
    "tab\t",
    "=1+1",
    "'=1+1",
    "-",
]


def report(name: str) -> FileReport:
    return FileReport(Path(name), error_code="MEDIA_NOT_FOUND", error_message=f"{name}: no such\nfile")


@pytest.mark.parametrize("format_", FORMATS)
def test_rows_are_read_back_as_they_were_written(tmp_path: Path, format_: RowFormat) -> None:
    path = tmp_path / "results"
    with ResultsFile(path, format_, resume=False) as results:
        for name in AWKWARD:
            results.write(report(name))
        assert not path.exists()
        results.complete()
    assert [item.name for item in tmp_path.iterdir()] == ["results"]
    assert path.read_bytes().count(b"\n") == len(AWKWARD) + (format_.name == "csv")
    with ResultsFile(path, format_, resume=True) as results:
        assert results.done == {format_.text(name) for name in AWKWARD}
        assert len(results.done) == len(AWKWARD), "no two names are written alike"


@pytest.mark.parametrize("format_", FORMATS)
def test_a_row_cut_off_anywhere_is_dropped(tmp_path: Path, format_: RowFormat) -> None:
    path = tmp_path / "results"
    with ResultsFile(path, format_, resume=False) as results:
        for number in range(3):
            results.write(report(f"{number}.jpg"))
    whole = (tmp_path / "results.partial").read_bytes()
    for length in range(len(whole) + 1):
        (tmp_path / "results.partial").write_bytes(whole[:length])
        with ResultsFile(path, format_, resume=True) as results:
            rows = max(whole[:length].count(b"\n") - (format_.name == "csv"), 0)
            assert results.done == {f"{number}.jpg" for number in range(rows)}
            results.write(report("next.jpg"))
        kept = (tmp_path / "results.partial").read_bytes()
        assert kept.startswith(whole[: whole[:length].rfind(b"\n") + 1])
        with ResultsFile(path, format_, resume=True) as results:
            assert len(results.done) == rows + 1


def test_a_long_torn_row(tmp_path: Path) -> None:
    (tmp_path / "r.partial").write_bytes(b'{"file": "a", "model_version": null}\n' + b"x" * 200_000)
    with ResultsFile(tmp_path / "r", JsonLines(), resume=True) as results:
        assert results.done == {"a"}
    (tmp_path / "r.partial").write_bytes(b"x" * 200_000)
    with ResultsFile(tmp_path / "r", JsonLines(), resume=True) as results:
        assert results.done == set()


def test_rows_of_a_cut_off_run_are_never_overwritten(tmp_path: Path) -> None:
    with ResultsFile(tmp_path / "r", JsonLines(), resume=False) as results:
        results.write(report("a.jpg"))
    with pytest.raises(ConfigurationError, match="continue it with --resume, or delete it"):
        ResultsFile(tmp_path / "r", JsonLines(), resume=False)


def test_two_runs_do_not_write_the_same_file(tmp_path: Path) -> None:
    with (
        ResultsFile(tmp_path / "r", JsonLines(), resume=False),
        pytest.raises(ConfigurationError, match="being written by another run"),
    ):
        ResultsFile(tmp_path / "r", JsonLines(), resume=True)


def test_of_two_runs_that_add_to_a_complete_file_one_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "r"
    with ResultsFile(path, JsonLines(), resume=False) as results:
        results.write(report("old.jpg"))
        results.complete()
    with ResultsFile(path, JsonLines(), resume=True) as first:
        with pytest.raises(ConfigurationError, match="another run"):
            ResultsFile(path, JsonLines(), resume=True)
        first.write(report("new.jpg"))
        first.complete()
    assert len(path.read_text().splitlines()) == 2


@pytest.mark.parametrize(
    ("format_", "content"),
    [
        (JsonLines(), "file,result\n"),
        (JsonLines(), '{"name": "x"}\n'),
        (JsonLines(), "[1]\n"),
        (CommaSeparated(), '{"file": "x"}\n'),
        (CommaSeparated(), ",".join(CSV_COLUMNS) + "\nonly,three,columns\n"),
        (CommaSeparated(), ",".join(CSV_COLUMNS) + '\n"a"b\n'),
    ],
)
def test_a_file_of_something_else_is_refused_and_left_alone(tmp_path: Path, format_: RowFormat, content: str) -> None:
    (tmp_path / "r").write_text(content)
    with pytest.raises(ConfigurationError, match="was not written with --format"):
        ResultsFile(tmp_path / "r", format_, resume=True)
    assert (tmp_path / "r").read_text() == content


# The command.


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "media"
    root.mkdir()
    for number in range(400):
        broken = number % 40 == 7
        (root / f"{number:03}.jpg").write_bytes(b"broken" if broken else jpeg(f"p=0.{number:03}"))
    return root


def detect(server: InferenceServer | str, *arguments: object) -> Result:
    url = server if isinstance(server, str) else server.url
    return CliRunner().invoke(app, [*map(str, arguments), "--url", url])


@pytest.mark.parametrize("suffix", ["jsonl", "csv"])
def test_killed_at_random_and_resumed_every_file_has_one_row(
    server: InferenceServer, folder: Path, tmp_path: Path, suffix: str
) -> None:
    """SIGKILL twice at random moments while it writes, then to the end."""
    server.behaviour.delay_s = 0.01
    output = tmp_path / f"results.{suffix}"
    partial = tmp_path / f"results.{suffix}.partial"
    command = [
        sys.executable, "-m", "deepfake_client", str(folder), "--url", server.url, "--output", str(output), "--resume",
        "--workers", "4",
    ]  # fmt: skip
    moments = random.Random(suffix)
    for _ in range(2):
        before = partial.stat().st_size if partial.exists() else 0
        with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL) as process:
            while process.poll() is None and (not partial.exists() or partial.stat().st_size <= before + 2000):
                time.sleep(0.005)
            time.sleep(moments.uniform(0, 0.2))
            process.send_signal(signal.SIGKILL)
        assert process.returncode == -signal.SIGKILL, "it was over before it could be killed"
        assert not output.exists()
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    assert "files have a row already" in done.stderr
    assert not partial.exists()
    text = output.read_text()
    rows = (
        [json.loads(line) for line in text.splitlines()]
        if suffix == "jsonl"
        else list(csv.DictReader(io.StringIO(text)))
    )
    assert Counter(row["file"] for row in rows) == Counter(str(path) for path in folder.iterdir())
    failed = [row for row in rows if not row["result"]]
    assert len(failed) == 10


def test_files_that_came_later_are_added(server: InferenceServer, folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "results.jsonl"
    assert detect(server, folder, "--output", output).exit_code == 1
    asked = len(server.received)
    (folder / "new.jpg").write_bytes(jpeg("p=0.5"))
    again = detect(server, folder, "--output", output, "--resume")
    assert again.exit_code == 1, "ten of the rows that are there failed"
    assert "400 files have a row already, 1 are left" in again.stderr
    assert len(server.received) == asked + 1
    assert len(output.read_text().splitlines()) == 401


def test_an_interrupted_run_keeps_its_rows_and_the_old_file(
    server: InferenceServer, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "results.csv"
    output.write_text("old")
    write = ResultsFile.write

    def interrupted(self: ResultsFile, report: FileReport) -> None:
        if report.path.name == "100.jpg":
            raise KeyboardInterrupt
        write(self, report)

    monkeypatch.setattr(ResultsFile, "write", interrupted)
    result = detect(server, folder, "--output", output)
    assert result.exit_code == 130
    assert "300 files have not been scored; the same command with --resume" in result.stderr
    assert output.read_text() == "old"
    monkeypatch.undo()
    refused = detect(server, folder, "--output", output)
    assert refused.exit_code == 2
    assert "--resume" in refused.stderr
    assert detect(server, folder, "--output", output, "--resume").exit_code == 1
    assert len(output.read_text().splitlines()) == 401


def test_another_model_does_not_continue(server: InferenceServer, folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "results.jsonl"
    assert detect(server, folder / "001.jpg", "--output", output).exit_code == 0
    server.behaviour.description = {**DESCRIPTION, "release_id": "ffffffffffff"}
    result = detect(server, folder, "--output", output, "--resume")
    assert result.exit_code == 2
    assert "serve that model again" in result.stderr
    assert len(output.read_text().splitlines()) == 1
    assert not output.with_name("results.jsonl.partial").exists()


def test_a_model_that_changes_during_the_run_ends_it(
    server: InferenceServer, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deepfake_client.triton.scorer._INFO_FRESH_S", 0.0)
    write = ResultsFile.write

    def changing(self: ResultsFile, report: FileReport) -> None:
        server.behaviour.description = {**DESCRIPTION, "release_id": "ffffffffffff"}
        write(self, report)

    monkeypatch.setattr(ResultsFile, "write", changing)
    output = tmp_path / "results.jsonl"
    result = detect(server, folder, "--output", output)
    assert result.exit_code == 2
    assert "ffffffffffff answers now" in result.stderr
    assert "continue with --resume" in result.stderr
    rows = [json.loads(line) for line in output.with_name("results.jsonl.partial").read_text().splitlines()]
    assert {row["model_version"] for row in rows} - {None} == {"example/detector@fp32-0123456789ab"}


def test_a_run_over_two_releases_says_so_and_can_be_continued(
    server: InferenceServer, folder: Path, tmp_path: Path
) -> None:
    output = tmp_path / "results.jsonl"
    with inference_server() as rollout:
        rollout.behaviour.description = {**DESCRIPTION, "release_id": "ffffffffffff", "export_id": EXPORT_ID + 1}
        rollout.behaviour.export_id = EXPORT_ID + 1
        result = detect(f"{server.url},{rollout.url}", folder, "--output", output)
    assert result.exit_code == 2
    assert "answers now" in result.stderr
    partial = output.with_name("results.jsonl.partial")
    rows = [json.loads(line) for line in partial.read_text().splitlines()] if partial.exists() else []
    versions = {row["model_version"] for row in rows} - {None}
    assert len(versions) < 2
    if versions == {f"example/detector@fp32-{DESCRIPTION['release_id']}"}:
        assert detect(server, folder, "--output", output, "--resume").exit_code == 1


def test_a_full_disk_is_said(server: InferenceServer, folder: Path) -> None:
    environment = {**os.environ, "DEEPFAKE_URL": server.url}
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "deepfake_client", str(folder / "001.jpg"), "--format", "jsonl"],
            cwd=ROOT, env=environment, stdout=full, stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 4
    assert "No space left" in done.stderr
    assert "Traceback" not in done.stderr
