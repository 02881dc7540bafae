import io
import sys

import pytest

from deepfake_client.batch.progress import with_progress


def test_a_log_gets_a_line_now_and_then(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    now = iter(range(0, 1000, 4))
    monkeypatch.setattr("deepfake_client.batch.progress.time.monotonic", lambda: next(now))
    assert list(with_progress(range(10), 100)) == list(range(10))
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "3 of 100 files, 0.2 files/s, 6:28 left",
        "6 of 100 files, 0.2 files/s, 6:16 left",
        "9 of 100 files, 0.2 files/s, 6:04 left",
    ]


def test_a_short_run_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(with_progress("abc", 3)) == ["a", "b", "c"]
    assert capsys.readouterr().err == ""


def test_a_terminal_gets_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    assert list(with_progress(range(5), 5, "scoring")) == [0, 1, 2, 3, 4]
    assert "scoring" in terminal.getvalue()
    assert "0/5" in terminal.getvalue()
