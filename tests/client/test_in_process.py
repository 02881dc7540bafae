"""The in-process scorer's own duties, with the model and the preprocessing replaced."""

import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from deepfake_client.errors import ConfigurationError, DeadlineExceededError
from deepfake_client.in_process import _export, _Model
from deepfake_client.scorer import Deadline
from export.release import Release
from tests.media import photo
from tests.service import ROOT


def model_with(prepare: Any) -> _Model:
    model = _Model.__new__(_Model)
    model._local = threading.local()
    model._preparers = []
    model._pool = ThreadPoolExecutor(1)
    model._classifiers = []
    model._make_preparer = lambda: type("Preparer", (), {"prepare": staticmethod(prepare), "close": lambda _: None})()
    return model


def test_the_deadline_bounds_the_preparing_too() -> None:
    prepared = []

    def slow(encoded: bytes, _face_box: None) -> Any:
        prepared.append(encoded)
        time.sleep(0.2)
        return SimpleNamespace(faces=(), pixels=None, further=())

    model = model_with(slow)
    started = time.monotonic()
    with pytest.raises(DeadlineExceededError):
        model.score([(image, None) for image in (b"1", b"2", b"3", b"4", b"5")], Deadline(0.3))
    assert time.monotonic() - started < 0.6
    model.close()
    assert len(prepared) <= 2, "images that nobody waits for any more are not prepared"


def test_a_module_that_hides_a_package_is_named(tiny_release: Release, tmp_path: Path) -> None:
    (tmp_path / "preprocessing.py").write_text("")
    script = tmp_path / "script.py"
    script.write_text(f"from deepfake_client import create_detector\ncreate_detector({str(tiny_release.path)!r})\n")
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'client'}"}
    done = subprocess.run([sys.executable, script], env=environment, capture_output=True, text=True, check=False)
    assert f"{tmp_path / 'preprocessing.py'} hides the package preprocessing of deepfake-serving" in done.stderr


def test_exports_go_to_the_cache_of_the_assets(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    commands = []

    def run(command: list[str], **_: Any) -> Any:
        commands.append(command)
        return subprocess.CompletedProcess(command, 1, stderr="refused")

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.delenv("DEEPFAKE_CACHE_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(ConfigurationError, match="refused"):
        _export(tmp_path)
    (command,) = commands
    assert "-P" in command
    assert command[-1].startswith(str(tmp_path / "deepfake-serving" / "in-process"))


def test_the_command_line_prints_nothing_but_its_output(tiny_release: Release) -> None:
    """MediaPipe's libraries write dozens of lines to file descriptor 2 while they load, search and end."""
    command = [sys.executable, "-m", "deepfake_client", str(photo("astronaut.png")), "--url", str(tiny_release.path)]
    done = subprocess.run([*command, "--format", "csv"], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n") == 2
    notice = tiny_release.info.notice
    assert [line.partition(": ")[2] for line in done.stderr.splitlines()] == [notice]
