"""A process that has compiled and freed models survives the next signal."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from export.release import Release

_PROGRAM = """
import os, signal, sys, threading
from pathlib import Path
import numpy as np
from runtime import load_classifier
from tests.signal_stack import signal_stack

def work():
    opened = [load_classifier(Path(sys.argv[1]), 1) for _ in range(3)]
    opened[0].run(np.zeros((1, 224, 224, 3), np.uint8), np.zeros((1, 1), np.int32))
    while opened:
        opened.pop(0).close()
    assert signal_stack() is None

if sys.argv[2] == "other":
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
else:
    work()
signal.signal(signal.SIGUSR1, lambda *_: sys.exit(7))
os.kill(os.getpid(), signal.SIGUSR1)
"""


@pytest.mark.parametrize("thread", ["main", "other"])
def test_a_signal_is_handled_after_models_were_freed_in_the_order_of_their_making(
    tiny_release: Release, thread: str
) -> None:
    folder = tiny_release.repository / "classifier" / "1"
    run = subprocess.run([sys.executable, "-c", _PROGRAM, str(folder), thread], check=False, timeout=120)
    assert run.returncode == 7


_FREED_STACK = """
import ctypes, mmap, os, signal, sys
from runtime.openvino_core import SignalStack, signal_stack_restored
libc = ctypes.CDLL(None)
libc.mmap.restype = ctypes.c_void_p
signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
def leave_a_stack_that_is_gone():
    gone = libc.mmap(None, 65536, 0, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, -1, 0)  # no access
    assert libc.sigaltstack(ctypes.byref(SignalStack(gone, 0, 65536)), None) == 0
if sys.argv[1] == "restored":
    with signal_stack_restored():
        leave_a_stack_that_is_gone()
elif sys.argv[1] == "meanwhile":
    with signal_stack_restored():
        leave_a_stack_that_is_gone()
        os.kill(os.getpid(), signal.SIGTERM)
else:
    leave_a_stack_that_is_gone()
os.kill(os.getpid(), signal.SIGTERM)
"""


@pytest.mark.parametrize(("what", "code"), [("left", -signal.SIGSEGV), ("restored", 7), ("meanwhile", 7)])
def test_a_stack_that_is_gone_is_replaced(what: str, code: int) -> None:
    root = Path(__file__).parents[2]
    run = subprocess.run([sys.executable, "-c", _FREED_STACK, what], cwd=root, check=False, timeout=60)
    assert run.returncode == code
