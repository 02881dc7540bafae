import csv
import io
import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from client.batch import SCANNED_SUFFIXES, detect_files, find_media
from client.cli import app
from client.connect import create_detector
from client.report import CSV_COLUMNS
from client.settings import ClientSettings
from tests.inference_server import DESCRIPTION, Behaviour, InferenceServer, jpeg
from tests.media import photo

Run = Callable[..., Result]


@pytest.fixture
def run(server: InferenceServer, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("DEEPFAKE_URL", server.url)
    return lambda *arguments: CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three images that can be scored and two that cannot, one level deep, beside files of other kinds."""
    root = tmp_path / "media"
    (root / "sub").mkdir(parents=True)
    (root / "a.jpg").write_bytes(jpeg("p=0.9 face"))
    (root / "b.PNG").write_bytes(jpeg("p=0.1"))
    (root / "broken.webm").write_bytes(b"not a video")
    (root / "notes.txt").write_text("text")
    (root / "sub" / "c.jpeg").write_bytes(jpeg("p=0.5"))
    (root / "sub" / "d.jpg").write_bytes(jpeg("status=5"))
    return root


def lines(result: Result) -> list[dict]:
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_one_file_as_json(run: Run, folder: Path) -> None:
    result = run(folder / "a.jpg", "--format", "jsonl")
    assert result.exit_code == 0
    (row,) = lines(result)
    assert row["file"] == str(folder / "a.jpg")
    assert (row["result"], row["error"]) == ("fake", None)
    assert row["confidence_score"] == pytest.approx(0.9)
    assert row["scores"]["risk_score"] == 90.0
    assert row["metadata"]["faces_detected"] == 1
    assert row["model_version"] == "example/detector@fp32-0123456789ab"


def test_a_directory_keeps_its_order_and_reports_what_failed(run: Run, folder: Path) -> None:
    result = run(folder, "--format", "jsonl")
    assert result.exit_code == 1
    rows = lines(result)
    names = [Path(row["file"]).name for row in rows]
    assert names == ["a.jpg", "b.PNG", "broken.webm", "c.jpeg", "d.jpg"]
    assert [row["result"] for row in rows] == ["fake", "real", None, "uncertain", None]
    assert [row["error"] and row["error"]["code"] for row in rows] == [
        None,
        None,
        "UNSUPPORTED_MEDIA",
        None,
        "NOTHING_SCORED",
    ]
    assert "TOO_MANY_PIXELS" in rows[4]["error"]["message"]
    assert {tuple(row) for row in rows} == {tuple(rows[0])}, "every row has the same keys"


def test_csv(run: Run, folder: Path) -> None:
    result = run(folder, "--format", "csv")
    assert result.exit_code == 1
    rows = list(csv.DictReader(io.StringIO(result.stdout)))
    assert tuple(rows[0]) == CSV_COLUMNS
    assert [row["result"] for row in rows] == ["fake", "real", "", "uncertain", ""]
    assert float(rows[0]["risk_score"]) == 90.0
    assert rows[0]["frames_analyzed"] == "1"
    assert rows[2]["error_code"] == "UNSUPPORTED_MEDIA"


def test_table(run: Run, folder: Path) -> None:
    result = run(folder, "--format", "table")
    assert result.exit_code == 1
    assert "fake" in result.stdout
    assert "0.9000" in result.stdout
    assert "UNSUPPORTED_MEDIA" in result.stdout
    assert "\x1b[" not in result.stdout


def test_results_come_in_input_order_whatever_finishes_first(server: InferenceServer, folder: Path) -> None:
    class SlowFirst(Behaviour):
        calls = 0

        @property
        def delay_s(self) -> float:
            self.calls += 1
            return 0.3 if self.calls == 1 else 0.0

        @delay_s.setter
        def delay_s(self, _value: float) -> None: ...

    server.behaviour = SlowFirst()
    paths = [folder / "a.jpg", folder / "b.PNG", *[folder / "sub" / "c.jpeg"] * 20]
    with create_detector(server.url) as detector:
        reports = list(detect_files(detector, paths, workers=4))
    assert [report.path for report in reports] == paths
    assert [report.output.result for report in reports if report.output] == ["fake", "real"] + ["uncertain"] * 20


def test_an_unexpected_error_is_a_row_too(run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise MemoryError("no room")

    monkeypatch.setattr("client.detector.Detector.detect", fail)
    result = run(folder / "a.jpg", "--format", "jsonl")
    assert result.exit_code == 1
    assert lines(result)[0]["error"] == {"code": "INTERNAL", "message": "MemoryError: no room"}


def test_a_missing_file_is_a_row(run: Run, folder: Path) -> None:
    result = run(folder / "none.jpg", folder / "a.jpg", "--format", "jsonl")
    assert result.exit_code == 1
    assert [row["error"] and row["error"]["code"] for row in lines(result)] == ["MEDIA_NOT_FOUND", None]


def test_a_named_file_is_tried_whatever_it_is_called(run: Run, folder: Path) -> None:
    (folder / "image.bin").write_bytes(jpeg("p=0.1"))
    assert run(folder / "image.bin").exit_code == 0


def test_type_is_checked(run: Run, folder: Path) -> None:
    result = run(folder / "a.jpg", "--type", "video", "--format", "jsonl")
    assert result.exit_code == 1
    assert lines(result)[0]["error"]["code"] == "INVALID_INPUT"


def test_timeout(run: Run, server: InferenceServer, folder: Path) -> None:
    server.behaviour.delay_s = 1.0
    result = run(folder / "a.jpg", "--timeout-s", "0.2", "--format", "jsonl")
    assert result.exit_code == 1
    assert lines(result)[0]["error"]["code"] == "DEADLINE"


def test_output_file_appears_complete(run: Run, folder: Path, tmp_path: Path) -> None:
    target = tmp_path / "out" / "results.jsonl"
    target.parent.mkdir()
    result = run(folder, "--format", "jsonl", "--output", target)
    assert result.exit_code == 1
    assert result.stdout == ""
    assert len(target.read_text().splitlines()) == 5
    assert list(target.parent.iterdir()) == [target]
    assert stat.S_IMODE(target.stat().st_mode) == 0o666 & ~current_umask()


def current_umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_an_interrupted_run_leaves_the_old_output(
    run: Run, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "results.csv"
    target.write_text("old")

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("client.cli.write_reports", interrupt)
    assert run(folder, "--output", target).exit_code == 130
    assert target.read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["media", "results.csv"]


def test_a_server_that_is_not_there(folder: Path) -> None:
    result = CliRunner().invoke(app, [str(folder / "a.jpg"), "--url", "127.0.0.1:1"])
    assert result.exit_code == 3
    assert "no Triton server answers" in result.stderr
    assert result.stdout == ""


def test_a_server_that_goes_away_later(run: Run, server: InferenceServer, folder: Path) -> None:
    import grpc

    server.behaviour.error = (grpc.StatusCode.UNAVAILABLE, "connection reset")
    result = run(folder / "a.jpg", folder / "notes.txt", "--format", "jsonl")
    assert result.exit_code == 3
    assert [row["error"]["code"] for row in lines(result)] == ["MODEL_UNAVAILABLE", "UNSUPPORTED_MEDIA"]


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--format", "xml", "a.jpg"],
        ["--workers", "0", "a.jpg"],
        ["--timeout-s", "0", "a.jpg"],
        ["--type", "audio", "a.jpg"],
        ["--url", "nonsense", "a.jpg"],
        ["--output", "no/such/directory/x.csv", "a.jpg"],
        ["--nonsense", "a.jpg"],
    ],
)
def test_wrong_usage(run: Run, arguments: list[str]) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr


def test_an_empty_directory_is_wrong_usage(run: Run, tmp_path: Path) -> None:
    result = run(tmp_path)
    assert result.exit_code == 2
    assert "no image or video" in result.stderr


def test_a_wrong_setting_in_the_environment(run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEEPFAKE_CLIENT_ATTEMPTS", "many")
    assert run(folder / "a.jpg").exit_code == 2


def test_the_models_notice_goes_to_stderr(run: Run, server: InferenceServer, folder: Path) -> None:
    server.behaviour.description = {**DESCRIPTION, "notice": "Untrained weights."}
    result = run(folder / "a.jpg", "--format", "jsonl")
    assert "Untrained weights." in result.stderr
    assert len(lines(result)) == 1


def test_help_names_the_exit_codes_and_every_option(run: Run) -> None:
    text = " ".join(run("--help").stdout.split())
    for part in ("0 every file", "1 some were not", "2 wrong usage", "3 the server cannot be reached"):
        assert part in text
    for option in ("--url", "--format", "--type", "--timeout-s", "--workers", "--output", "DEEPFAKE_URL"):
        assert option in text
    assert str(ClientSettings.model_fields["timeout_s"].default) in text
    assert all(suffix[1:] in text for suffix in SCANNED_SUFFIXES)


def test_find_media(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("b.jpg", "a.MP4", "x.gif", "deep/er/z.webm", "deep/k.mkv", "we[i]rd.png"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "loop").symlink_to(tmp_path, target_is_directory=True)

    def found(*inputs: str) -> list[str]:
        return [path.as_posix() for path in find_media(inputs)]

    assert found(".") == ["a.MP4", "b.jpg", "we[i]rd.png", "deep/k.mkv", "deep/er/z.webm"]
    assert found("*.jpg", "deep/**/*.webm") == ["b.jpg", "deep/er/z.webm"]
    assert found("we[i]rd.png") == ["we[i]rd.png"]
    assert found("b.jpg", "b.jpg", ".") == ["b.jpg", "a.MP4", "we[i]rd.png", "deep/k.mkv", "deep/er/z.webm"]
    assert found("x.gif", "*.nothing", "none.jpg") == ["x.gif", "*.nothing", "none.jpg"]


def test_names_that_are_no_text(run: Run, tmp_path: Path) -> None:
    name = os.fsdecode(b"\xff\x1b[31m.jpg")
    (tmp_path / name).write_bytes(jpeg("p=0.1"))
    for format_ in ("table", "csv"):
        result = run(tmp_path, "--format", format_)
        assert result.exit_code == 0
        assert "\x1b" not in result.stdout
    (row,) = lines(run(tmp_path, "--format", "jsonl"))
    assert Path(row["file"]).name == name


def test_python_m_client_in_a_process_of_its_own(server: InferenceServer, folder: Path) -> None:
    command = [sys.executable, "-m", "client", "--format", "jsonl", str(folder / "a.jpg"), str(photo("coffee.png"))]
    environment = {**os.environ, "DEEPFAKE_URL": server.url}
    root = Path(__file__).parent.parent.parent
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=root, check=False)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 2
    assert done.stderr == "", "no progress bar when standard error is no terminal"


def test_a_reader_that_has_enough(server: InferenceServer, folder: Path) -> None:
    command = f"{sys.executable} -m client --format jsonl {folder} {folder} | head -n 1"
    environment = {**os.environ, "DEEPFAKE_URL": server.url}
    root = Path(__file__).parent.parent.parent
    done = subprocess.run(command, shell=True, capture_output=True, text=True, env=environment, cwd=root, check=False)
    assert len(done.stdout.splitlines()) == 1
    assert "Traceback" not in done.stderr
