import csv
import io
import json
import os
import re
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from deepfake_client.batch.cli import app
from deepfake_client.batch.inputs import find_media
from deepfake_client.batch.rows import CSV_COLUMNS
from deepfake_client.batch.scoring import detect_files
from deepfake_client.connect import create_detector
from deepfake_client.media import SUFFIXES
from deepfake_client.settings import ClientSettings
from tests.inference_server import DESCRIPTION, Behaviour, InferenceServer, inference_server, jpeg
from tests.media import VideoSpec, photo, write_video
from tests.service import ROOT

Run = Callable[..., Result]


@pytest.fixture
def run(server: InferenceServer, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("DEEPFAKE_URL", server.url)
    return lambda *arguments, **options: CliRunner().invoke(app, [str(argument) for argument in arguments], **options)


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
    assert [row["assessable"] for row in rows] == ["True", "True", "", "True", ""]
    assert rows[0]["findings"] == "DEFAULT_BANDS"
    assert rows[2]["error_code"] == "UNSUPPORTED_MEDIA"


def test_table(run: Run, folder: Path) -> None:
    result = run(folder, "--format", "table")
    assert result.exit_code == 1
    assert "Signs of manipulation" in result.stdout
    assert "90.0 %" in result.stdout
    assert "UNSUPPORTED_MEDIA" in result.stdout
    assert "\x1b[" not in result.stdout


def test_people_are_counted_in_table_and_csv(run: Run, tmp_path: Path) -> None:
    (tmp_path / "three.jpg").write_bytes(jpeg("faces=0.1/0.2/0.9"))
    (row,) = csv.DictReader(io.StringIO(run(tmp_path, "--format", "csv").stdout))
    assert (row["result"], row["faces_detected"], row["people"]) == ("fake", "3", "3")
    assert "faces 3, people 3" in run(tmp_path).stdout


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

    monkeypatch.setattr("deepfake_client.detector.Detector.detect", fail)
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


@pytest.fixture
def lost(server: InferenceServer) -> InferenceServer:
    import grpc

    server.behaviour.error = (grpc.StatusCode.UNAVAILABLE, "connection reset")
    return server


def test_a_server_that_goes_away_ends_the_run(run: Run, lost: InferenceServer, folder: Path) -> None:
    result = run(folder / "notes.txt", folder, "--format", "jsonl", "--outage-wait-s", "0.1")
    assert result.exit_code == 3
    assert [row["error"]["code"] for row in lines(result)] == ["UNSUPPORTED_MEDIA"], "no row for what was not scored"
    assert "connection reset" in result.stderr
    assert "5 files have not been scored" in result.stderr


def test_a_file_that_brings_the_service_down_is_a_row(
    run: Run, server: InferenceServer, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import grpc

    (folder / "b.PNG").write_bytes(jpeg("poison"))
    infer = server.ModelInfer

    def dies(request: Any, context: Any) -> Any:
        if b"poison" in request.raw_input_contents[0]:
            context.abort(grpc.StatusCode.INTERNAL, "Stub process is not healthy.")
        return infer(request, context)

    monkeypatch.setattr(server, "ModelInfer", dies)
    server.stop()
    server.start()
    monkeypatch.setenv("DEEPFAKE_CLIENT_ATTEMPTS", "2")
    result = run(folder, "--format", "jsonl", "--outage-wait-s", "0.1")
    assert result.exit_code == 1
    codes = [row["error"] and row["error"]["code"] for row in lines(result)]
    assert codes == [None, "MODEL_UNAVAILABLE", "UNSUPPORTED_MEDIA", None, "NOTHING_SCORED"]


def test_a_server_that_comes_back_is_waited_for(run: Run, server: InferenceServer, folder: Path) -> None:
    paths = [folder / "a.jpg"] * 3
    server.behaviour.delay_s = 0.1
    threading.Timer(0.2, server.stop).start()
    threading.Timer(2.0, server.start).start()
    (folder / "many").mkdir()
    for number in range(40):
        (folder / "many" / f"{number}.jpg").write_bytes(jpeg(f"p=0.{number:02}"))
    result = run(folder / "many", *paths, "--workers", "2", "--format", "jsonl")
    assert result.exit_code == 0, result.stderr
    assert len(lines(result)) == 41


def test_rows_go_to_standard_output_while_a_bar_is_on_the_terminal(
    server: InferenceServer, folder: Path, tmp_path: Path
) -> None:
    import pty

    terminal, inside = pty.openpty()
    with (tmp_path / "rows.jsonl").open("wb") as rows:
        command = [sys.executable, "-m", "deepfake_client", str(folder), "--url", server.url, "--format", "jsonl"]
        done = subprocess.run(command, cwd=ROOT, stdout=rows, stderr=inside, check=False)
    shown = os.read(terminal, 65536)
    os.close(inside)
    os.close(terminal)
    assert done.returncode == 1
    assert b"detecting" in shown
    assert len((tmp_path / "rows.jsonl").read_text().splitlines()) == 5


def test_an_interrupt_ends_videos_that_wait_for_their_turn(server: InferenceServer, folder: Path) -> None:
    server.behaviour.delay_s = 0.5
    videos = [write_video(folder / f"{number}.mp4", VideoSpec(frames=4)) for number in range(12)]
    with create_detector(server.url) as detector:
        reports = detect_files(detector, videos, workers=12, video_workers=1)
        next(reports)
        reports.close()
        assert len(server.received) <= 3


def test_the_output_replaces_no_input(run: Run, folder: Path, tmp_path: Path) -> None:
    result = run(folder / "a.jpg", "--format", "csv", "--output", folder / "a.jpg")
    assert result.exit_code == 2
    assert "would be replaced" in result.stderr
    assert (folder / "a.jpg").read_bytes() == jpeg("p=0.9 face")
    assert run(folder / "a.jpg", "--output", "/dev/null").exit_code == 2
    for _ in range(2):  # its own results are no media, also when a pattern covers them
        result = run(f"{folder}/*.*", "--output", folder / "results.jsonl", "--resume")
        assert result.exit_code == 1
    rows = (folder / "results.jsonl").read_text().splitlines()
    assert sorted(Path(json.loads(row)["file"]).name for row in rows) == ["a.jpg", "b.PNG", "broken.webm", "notes.txt"]


def test_only_a_lone_dash_is_standard_input(run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    (folder / "-").write_bytes(jpeg("p=0.1"))
    (row,) = lines(run("./-", "--format", "jsonl", input=jpeg("p=0.9")))
    assert row["result"] == "real"


@pytest.mark.parametrize(("closed", "code"), [("2>&-", 1), (">&-", 2), ("<&-", 2)])
def test_closed_streams(server: InferenceServer, folder: Path, tmp_path: Path, closed: str, code: int) -> None:
    inputs = "-" if closed == "<&-" else str(folder)
    output = "" if closed == ">&-" else f"--output {tmp_path}/rows.jsonl"
    command = f"{sys.executable} -m deepfake_client {inputs} --url {server.url} --format jsonl {output} {closed}"
    done = subprocess.run(command, shell=True, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    if code == 1:
        assert len((tmp_path / "rows.jsonl").read_text().splitlines()) == 5


def test_several_servers(folder: Path) -> None:
    with inference_server() as one, inference_server() as two:
        urls = f"{one.url},grpc://{two.url}"
        result = CliRunner().invoke(app, [str(folder), "--url", urls, "--format", "jsonl", "--workers", "4"])
        assert result.exit_code == 1
        assert len(lines(result)) == 5
        assert one.received
        assert two.received


def test_standard_input_is_a_file(run: Run) -> None:
    result = run("-", "--format", "jsonl", input=jpeg("p=0.9"))
    assert result.exit_code == 0, result.stderr
    (row,) = lines(result)
    assert (row["file"], row["result"]) == ("-", "fake")


def test_a_video_on_standard_input(server: InferenceServer, folder: Path) -> None:
    """A real pipe cannot be sought in; a video's frames are not read in order."""
    video = write_video(folder / "clip.mp4", VideoSpec(frames=60))
    command = f"cat {video} | {sys.executable} -m deepfake_client --format jsonl -"
    done = subprocess.run(
        command, shell=True, capture_output=True, text=True, cwd=ROOT, env={**os.environ, "DEEPFAKE_URL": server.url},
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["metadata"]["frames_analyzed"] == 30


def test_what_is_no_media_on_standard_input(run: Run) -> None:
    (row,) = lines(run("-", "--format", "jsonl", input=b"text"))
    assert row["error"]["message"].startswith("-: a text file; send an image")


@pytest.mark.parametrize("separator", ["\n", "\0", "\r\n"])
def test_files_from_a_list(run: Run, folder: Path, tmp_path: Path, separator: str) -> None:
    names = [str(folder / "a.jpg"), str(folder / "b.PNG"), str(folder / "none.jpg"), str(folder / "a.jpg")]
    (tmp_path / "list").write_text(separator.join(names) + separator, newline="")
    result = run("--files-from", tmp_path / "list", "--format", "jsonl")
    assert [row["file"] for row in lines(result)] == names[:3]
    from_input = run("--files-from", "-", "--format", "jsonl", input=separator.join(names))
    assert [row["file"] for row in lines(from_input)] == names[:3]


def test_only_so_many_videos_at_once(server: InferenceServer, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from deepfake_client import detector as module

    most, now, lock = 0, 0, threading.Lock()
    read = module.read_frames

    def counted(*arguments: Any, **keywords: Any) -> Any:
        nonlocal most, now
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.05)
        try:
            return read(*arguments, **keywords)
        finally:
            with lock:
                now -= 1

    monkeypatch.setattr(module, "read_frames", counted)
    videos = [write_video(folder / f"{number}.mp4", VideoSpec(frames=4)) for number in range(6)]
    with create_detector(server.url) as detector:
        assert all(report.output for report in detect_files(detector, videos, workers=6, video_workers=2))
    assert most == 2


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
        ["--resume", "a.jpg"],
        ["--output", "table.txt", "a.jpg"],
        ["--format", "table", "--output", "x.csv", "a.jpg"],
        ["--files-from", "no/such/list"],
        ["--files-from", "-", "-"],
    ],
)
def test_wrong_usage(run: Run, arguments: list[str]) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr


def test_a_wrong_setting_in_the_environment(run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEEPFAKE_CLIENT_ATTEMPTS", "many")
    assert run(folder / "a.jpg").exit_code == 2


def test_the_models_notice_goes_to_stderr(run: Run, server: InferenceServer, folder: Path) -> None:
    server.behaviour.description = {**DESCRIPTION, "model": "\x1b]0;x\x07", "notice": "Untrained \x1b[2Jweights."}
    result = run(folder / "a.jpg", "--format", "jsonl")
    assert "Untrained \\x1b[2Jweights." in result.stderr
    assert len(lines(result)) == 1
    for format_ in ("table", "csv", "jsonl"):
        result = run(folder / "a.jpg", "\x1b[2J.jpg", "--format", format_)
        assert "\x1b" not in result.output
    result = run(folder / "a.jpg", "--files-from", "\x1b[2J.txt")
    assert "\\x1b[2J.txt" in result.stderr
    assert "\x1b" not in result.stderr


def test_no_cell_of_a_csv_file_is_a_formula(
    run: Run, server: InferenceServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    name = '=HYPERLINK("https:x").jpg'
    Path(name).mkdir(parents=True)
    Path(name, "a.jpg").write_bytes(jpeg("p=0.9"))
    server.behaviour.description = {**DESCRIPTION, "model": "@SUM(1)"}
    result = run("--format", "csv", "--", f"{name}/a.jpg", "+1.jpg", "-2.jpg")
    rows = list(csv.DictReader(io.StringIO(result.stdout)))
    assert [row["file"] for row in rows] == [f"'{name}/a.jpg", "'+1.jpg", "'-2.jpg"]
    assert rows[0]["model_version"].startswith("'@SUM(1)")
    for row in rows:
        assert not any(value.startswith(("=", "+", "-", "@")) for value in row.values())


def test_help_names_the_exit_codes_and_the_suffixes(run: Run) -> None:
    text = " ".join(run("--help").stdout.split())
    for part in ("0 every file", "1 some files were not", "2 wrong usage", "3 no server answers", "130 interrupted"):
        assert part in text
    assert str(ClientSettings.model_fields["timeout_s"].default) in text
    assert all(suffix[1:] in text for suffix in SUFFIXES)


def test_find_media(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("b.jpg", "a.MP4", "x.pdf", "deep/er/z.webm", "deep/k.mkv", "we[i]rd.png"):
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
    assert found("x.pdf", "*.nothing", "none.jpg") == ["x.pdf", "*.nothing", "none.jpg"]


def test_a_scan_takes_every_suffix_of_what_is_accepted_and_counts_what_it_leaves_out(run: Run, tmp_path: Path) -> None:
    for number, suffix in enumerate((".jfif", ".JPE", ".mpo", ".jpeg", ".apng")):
        (tmp_path / f"{number}{suffix}").write_bytes(jpeg("p=0.1"))
    for name in ("1.m4v", "2.3gp", "3.3g2", "4.qt"):
        (tmp_path / name).write_bytes(b"no video")
    assert len(lines(run(tmp_path, "--format", "jsonl"))) == 9
    assert "left out" not in run(tmp_path, "--format", "jsonl").stderr
    (tmp_path / "deep").mkdir()
    for name in ("a.txt", "deep/b.TXT", "c.psd", "README", "d.\x1b[2J"):
        (tmp_path / name).touch()
    result = run(tmp_path, "--format", "jsonl")
    assert len(lines(result)) == 9
    said = r"5 left out by suffix: .txt 2, .psd 1, no suffix 1, .\x1b[2j 1"
    assert sorted(said.split(": ")[1].split(", ")) == sorted(result.stderr.splitlines()[0].split(": ")[-1].split(", "))
    assert result.stderr.startswith(f"{tmp_path}: 5 left out by suffix: ")
    assert run(tmp_path / "c.psd", "--format", "jsonl").stderr == ""


def test_an_empty_file_is_said_to_be_empty(run: Run, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").touch()
    (row,) = lines(run(tmp_path, "--format", "jsonl"))
    assert row["error"]["code"] == "EMPTY_FILE"
    (row,) = lines(run("-", "--format", "jsonl", input=b""))
    assert row["error"]["code"] == "EMPTY_FILE"


def test_a_pipe_of_the_shell_is_read_as_standard_input_is(server: InferenceServer, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(jpeg("p=0.9"))
    (tmp_path / "b").write_bytes(jpeg("p=0.1"))
    command = f"{sys.executable} -m deepfake_client --format jsonl <(cat a) b <(cat b) --url {server.url}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["result"] for row in rows] == ["fake", "real", "real"]
    assert rows[0]["file"].startswith("/dev/fd/")


def test_a_named_pipe_without_a_writer_holds_nothing_up(run: Run, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.jpg")
    for given in (tmp_path, tmp_path / "a.jpg"):
        (row,) = lines(run(given, "--format", "jsonl"))
        assert row["error"]["code"] == "MEDIA_NOT_FOUND"


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
    command = [
        sys.executable,
        "-m",
        "deepfake_client",
        "--format",
        "jsonl",
        str(folder / "a.jpg"),
        str(photo("coffee.png")),
    ]
    environment = {**os.environ, "DEEPFAKE_URL": server.url}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 2
    (said,) = done.stderr.splitlines()  # no progress bar when standard error is no terminal
    assert said.startswith("2 files in ")


def test_a_reader_that_has_enough(server: InferenceServer, folder: Path) -> None:
    command = f"{sys.executable} -m deepfake_client --format jsonl {folder} {folder} | head -n 1"
    environment = {**os.environ, "DEEPFAKE_URL": server.url}
    done = subprocess.run(command, shell=True, capture_output=True, text=True, env=environment, cwd=ROOT, check=False)
    assert len(done.stdout.splitlines()) == 1
    assert "Traceback" not in done.stderr


def test_a_run_ends_with_what_became_of_its_files(run: Run, folder: Path) -> None:
    said = run(folder, "--format", "csv").stderr.splitlines()[-1]
    assert re.match(r"5 files in \d+\.\d s: failed \(2\), ", said)
    assert {"Signs of manipulation (1)", "No sign of manipulation found (1)"} <= set(said.split(": ")[1].split(", "))
    assert "files in" not in run(folder / "a.jpg", "--format", "csv").stderr


def test_a_written_report_is_named(run: Run, folder: Path, tmp_path: Path) -> None:
    result = run(folder / "a.jpg", "--report", tmp_path / "r.json", "--report", tmp_path / "r.html")
    assert result.stderr.splitlines()[-2:] == [f"report written to {tmp_path / name}" for name in ("r.json", "r.html")]
