"""`deepfake-bench perf`: the data it writes, and what it does without the program."""

import base64
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from benchmark.cli import app
from benchmark.perf_analyzer import input_data
from tests.service import ROOT

IMAGE = str(ROOT / "README.md")


def test_images_are_length_prefixed_and_fill_whole_batches() -> None:
    data = json.loads(input_data([b"one", b"three"], batch=4))["data"]
    decoded = [base64.b64decode(step["IMAGE"]["b64"]) for step in data]
    assert decoded == [b"\x03\0\0\0one", b"\x05\0\0\0three"] * 2
    assert all(step["IMAGE"]["shape"] == [1] for step in data)


def test_without_the_program_it_says_how_to_name_it() -> None:
    done = CliRunner().invoke(app, ["perf", IMAGE, "--perf-analyzer", "/no/such/program"])
    assert done.exit_code == 2
    assert "PERF_ANALYZER" in done.stderr


def test_the_program_gets_the_ensemble_and_its_exit_code_is_ours(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    program = tmp_path / "perf_analyzer"
    program.write_text('#!/bin/sh\necho "$@"\nexit 7\n')
    program.chmod(0o755)
    arguments = ["perf", IMAGE, "--concurrency", "2:3", "--url", "host:1", "--options", "-v --async"]
    done = CliRunner().invoke(app, arguments, env={"PERF_ANALYZER": str(program)})
    assert done.exit_code == 7
    printed = capfd.readouterr().out
    assert "-m deepfake_detector -u host:1 -i grpc -b 1" in printed
    assert "--concurrency-range 2:3" in printed
    assert "-v --async" in printed
