"""The harness around perf_analyzer: the data it writes, and what it does without the program."""

import base64
import json
import os
import stat
import subprocess
import sys
from pathlib import Path

from benchmark.perf import input_data
from tests.service import ROOT


def test_images_are_length_prefixed_and_fill_whole_batches() -> None:
    data = json.loads(input_data([b"one", b"three"], batch=4))["data"]
    decoded = [base64.b64decode(step["IMAGE"]["b64"]) for step in data]
    assert decoded == [b"\x03\0\0\0one", b"\x05\0\0\0three"] * 2
    assert all(step["IMAGE"]["shape"] == [1] for step in data)


def run_perf(*arguments: str, **env: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "benchmark.perf", *arguments],
        cwd=ROOT, env={**os.environ, **env}, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_without_the_program_it_says_where_to_get_it() -> None:
    done = run_perf("README.md", "--perf-analyzer", "/no/such/program")
    assert done.returncode == 2
    assert "SDK image" in done.stderr


def test_the_program_gets_the_ensemble_and_its_exit_code_is_ours(tmp_path: Path) -> None:
    program = tmp_path / "perf_analyzer"
    program.write_text('#!/bin/sh\necho "$@"\nexit 7\n')
    program.chmod(program.stat().st_mode | stat.S_IEXEC)
    done = run_perf("README.md", "--concurrency", "2:3", "--url", "host:1", PERF_ANALYZER=str(program))
    assert done.returncode == 7
    assert "-m deepfake_detector -u host:1 -i grpc -b 1" in done.stdout
    assert "--concurrency-range 2:3" in done.stdout
