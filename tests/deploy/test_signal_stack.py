import signal
import subprocess
import sys

import pytest

_PROGRAM = """
import ctypes, mmap, os, signal, sys
from deploy.signal_stack import _SignalStack, use_ordinary_signal_stack
libc = ctypes.CDLL(None)
libc.mmap.restype = ctypes.c_void_p
gone = libc.mmap(None, 65536, 0, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, -1, 0)  # no access
assert libc.sigaltstack(ctypes.byref(_SignalStack(gone, 0, 65536)), None) == 0
signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
if sys.argv[1] == "drop":
    use_ordinary_signal_stack()
os.kill(os.getpid(), signal.SIGTERM)
"""


@pytest.mark.parametrize(("what", "code"), [("leave", -signal.SIGSEGV), ("drop", 7)])
def test_a_signal_is_handled_although_its_stack_is_gone(what: str, code: int) -> None:
    assert subprocess.run([sys.executable, "-c", _PROGRAM, what], check=False).returncode == code
