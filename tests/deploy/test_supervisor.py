"""What the supervisor does when a server cannot be started again, or its own output goes nowhere; without servers."""

import configparser
import contextlib
import os
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from deploy import console, supervisor
from deploy.console import show
from deploy.supervisor import KeptServer, StopRequest
from deploy.triton.server import STOP_GRACE_S
from export.errors import ReleaseError
from tests.service import ROOT


class Scripted:
    """A server that runs until a test says why it fails."""

    grace_s = 1.0

    def __init__(self) -> None:
        self.child: Any = SimpleNamespace(pid=1, log_tail=lambda: "")
        self.ready = True
        self.reason = ""

    def failure(self) -> str:
        return self.reason

    def end(self, grace_s: float) -> None:
        pass


@pytest.mark.parametrize("error", [ReleaseError("the release is damaged"), OSError(28, "No space left on device")])
def test_a_start_that_fails_is_tried_again(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "_PAUSES_S", (0.0,))
    first, last = Scripted(), Scripted()
    coming: list[Callable[[], Scripted]] = [lambda: first, lambda: _raised(error), lambda: last]
    said: list[str] = []
    kept = KeptServer("Triton", lambda: coming.pop(0)(), 5.0, said.append, StopRequest())
    first.reason = "ended"
    for _ in range(4):
        kept.watch(restarts=True)
    assert kept._server is last
    assert said == [
        "Triton ended: restarting it",
        f"Triton cannot be started ({error}): restarting it",
        "Triton answers again",
    ]


def _raised(error: Exception) -> Scripted:
    raise error


def test_a_pause_keeps_nobody_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """The other server is watched meanwhile."""
    monkeypatch.setattr(supervisor, "_PAUSES_S", (60.0,))
    made: list[Scripted] = []

    def start() -> Scripted:
        made.append(Scripted())
        return made[-1]

    kept = KeptServer("Triton", start, 5.0, lambda line: None, StopRequest())
    made[0].reason = "ended"
    for _ in range(3):
        kept.watch(restarts=True)
    assert len(made) == 1
    assert kept.pid is None
    kept.end()


def test_output_that_fails_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "_PATIENCE_S", 0.1)
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writer, bytes(4096))
    os.set_blocking(writer, True)
    show(writer, "nobody reads")
    os.close(reader)
    show(writer, "nobody is there")
    os.close(writer)
    full = os.open("/dev/full", os.O_WRONLY)
    show(full, "the disk is full")
    os.close(full)


@pytest.mark.parametrize("is_ignored", [True, False])
def test_an_ignored_hang_up_stays_ignored(is_ignored: bool) -> None:
    code = (
        "import os, signal\n"
        "from deploy.supervisor import on_stop_signals\n"
        "on_stop_signals(lambda *_: print('stops'))\n"
        "os.kill(os.getpid(), signal.SIGHUP)\n"
    )
    prefix = ["env", "--ignore-signal=HUP"] if is_ignored else ["env", "--default-signal=HUP"]
    done = subprocess.run([*prefix, sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == ("" if is_ignored else "stops\n")


def test_the_unit_of_systemd_stops_the_supervisor_first_and_waits_long_enough() -> None:
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read(ROOT / "deploy" / "deepfake-serve.service")
    service = unit["Service"]
    assert service["KillMode"] == "mixed"
    assert float(service["TimeoutStopSec"]) > supervisor.DRAIN_S + STOP_GRACE_S
    program = Path(service["ExecStart"]).name
    assert program in tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["scripts"]
    assert service["TemporaryFileSystem"].startswith("/dev/shm:")
