"""What a new user gets wrong: each message says what happened and what to do."""

import json
import signal
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from deepfake_client.batch.cli import app
from tests.inference_server import InferenceServer, jpeg
from tests.service import ROOT

NO_SERVER = "Is `make serve` running? Its gRPC port is printed at its start; 5000 is the HTTP port.\n"


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "a.jpg"
    path.write_bytes(jpeg("p=0.9"))
    return path


def run(*arguments: object) -> Result:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.stdout == ""
    return result


def test_no_server(photo: Path) -> None:
    result = run(photo, "--url", "127.0.0.1:9")
    assert result.exit_code == 3
    assert result.stderr == (
        f"deepfake-detect: no Triton server answers at 127.0.0.1:9: Connection refused. {NO_SERVER}"
    )


class _Page(BaseHTTPRequestHandler):
    def log_message(self, *_: object) -> None: ...


def test_the_http_port(photo: Path) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"127.0.0.1:{server.server_port}"
        result = run(photo, "--url", url)
        server.shutdown()
    assert result.exit_code == 3
    assert result.stderr == (
        f"deepfake-detect: {url} is the port of an HTTP server, not Triton's gRPC port. {NO_SERVER}"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--url", "http://localhost:5000"), "is a web address; Triton is asked over gRPC: give host:port"),
        (("--url", "localhost"), "'localhost' lacks a port; give host:port"),
        (("--url", "no/such/folder"), "or an existing directory"),
        (("--url", "docs"), "holds neither a release (release.json) nor a checkpoint (config.json or fusion.json)"),
        (("--ouput", "r.csv"), "No such option: --ouput (Possible options: --note, --output)"),
        (("--output", "r.xlsx"), "must end in .jsonl, .ndjson, .csv, or give --format"),
        (("--output", "r.txt"), "must end in .jsonl, .ndjson, .csv, or give --format"),
        (("--output", "r.xlsx", "--format", "csv"), "no workbook is written; spreadsheet programs open a .csv"),
        (("--output", "no/such/r.csv"), "there is no directory no/such"),
        (("--report", "r.pdf"), "the name must end in .html or .json"),
        (("--format", "excel"), "'table', 'jsonl', 'csv'"),
    ],
)
def test_wrong_arguments(
    photo: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], message: str
) -> None:
    monkeypatch.chdir(ROOT)
    result = run(photo, *arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert not Path(arguments[1]).is_file()


def test_a_folder_without_media(tmp_path: Path) -> None:
    (tmp_path / "a.txt").touch()
    result = run(tmp_path)
    assert result.exit_code == 2
    left_out, said = result.stderr.splitlines()
    assert left_out == f"{tmp_path}: 1 left out by suffix: .txt 1"
    assert said.endswith(f"there is no image or video in {tmp_path}; name a file to have it tried whatever its suffix")


# Processes that a shell starts in the background ignore SIGINT, and so would this one. It is not set in the fork: the
# server's gRPC threads do not survive a fork that runs Python.
_TAKES_INTERRUPTS = """
import runpy, signal
signal.signal(signal.SIGINT, signal.default_int_handler)
runpy.run_module("deepfake_client", run_name="__main__")
"""


def test_ctrl_c_says_how_to_go_on_and_that_works(server: InferenceServer, tmp_path: Path) -> None:
    (tmp_path / "media").mkdir()
    for number in range(40):
        (tmp_path / "media" / f"{number}.jpg").write_bytes(jpeg(f"p=0.{number:02}"))
    server.behaviour.delay_s = 0.2
    output = tmp_path / "rows.jsonl"
    command = [
        sys.executable, "-c", _TAKES_INTERRUPTS, str(tmp_path / "media"), "--output", str(output), "--workers", "1",
        "--url", server.url,
    ]  # fmt: skip
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        partial = tmp_path / "rows.jsonl.partial"
        while process.poll() is None and not (partial.exists() and partial.stat().st_size):
            time.sleep(0.02)
        time.sleep(0.05)  # a row is counted once it is written, and the next one takes 0.2 s
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        said = process.stderr.read()
    assert process.returncode == 130, said
    assert "Traceback" not in said
    done = len(partial.read_text().splitlines())
    assert f"interrupted: {40 - done} files have not been scored; the same command with --resume goes on" in said
    server.behaviour.delay_s = 0
    assert subprocess.run([*command, "--resume"], cwd=ROOT, check=False, capture_output=True).returncode == 0
    assert len({json.loads(line)["file"] for line in output.read_text().splitlines()}) == 40
