"""What native code writes to file descriptor 2 is dropped in the block, and only there."""

import os
import threading

import pytest

from preprocessing.quiet import quiet_native_code


def _nested() -> None:
    os.write(2, b"before\n")
    with quiet_native_code():
        with quiet_native_code():
            os.write(2, b"inner\n")
        os.write(2, b"outer\n")
    os.write(2, b"after\n")


def test_only_the_block_is_silent_also_when_nested(capfd: pytest.CaptureFixture[str]) -> None:
    thread = threading.Thread(target=_nested, daemon=True)
    thread.start()
    thread.join(timeout=20)

    assert not thread.is_alive(), "the inner block waits for the outer one"
    assert capfd.readouterr().err == "before\nafter\n"
