"""What model processes set for themselves, each in a process of its own."""

import signal
import subprocess
import sys

_SLOW_PROGRAM = """
import sys, time
from runtime.process import show_where_stuck
def read_the_weights():
    time.sleep(float(sys.argv[1]))
with show_where_stuck(0.3):
    read_the_weights()
time.sleep(float(sys.argv[2]))
print("went on")
"""


def run(inside_s: float, after_s: float) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-c", _SLOW_PROGRAM, str(inside_s), str(after_s)]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)


def test_a_load_that_takes_too_long_says_where_it_is_and_goes_on() -> None:
    done = run(1.0, 0)
    assert "in read_the_weights" in done.stderr
    assert done.stdout == "went on\n"


def test_one_in_time_says_nothing_even_later() -> None:
    done = run(0, 0.6)
    assert done.stderr == ""
    assert done.stdout == "went on\n"


_CRASHING_PROGRAM = """
import os, signal
from preprocessing.quiet import quiet_native_code
from runtime.process import show_crashes
def load_a_library():
    os.kill(os.getpid(), signal.SIGSEGV)
show_crashes()
with quiet_native_code():
    load_a_library()
"""


def test_a_crash_says_where_it_was_even_while_native_code_is_kept_quiet() -> None:
    done = subprocess.run([sys.executable, "-c", _CRASHING_PROGRAM], capture_output=True, text=True, timeout=60)
    assert done.returncode == -signal.SIGSEGV
    assert "Fatal Python error: Segmentation fault" in done.stderr
    assert "in load_a_library" in done.stderr


_HEAP_PROGRAM = """
import ctypes, sys
from runtime.process import keep_large_blocks
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.malloc.argtypes = [ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]
if sys.argv[1] == "undo":
    keep_large_blocks()
def heap():
    line = next(line for line in open("/proc/self/maps") if "[heap]" in line)
    return tuple(int(end, 16) for end in line.split()[0].split("-"))
block = libc.malloc(4 * 2**20)
start, end = heap()
libc.free(block)
print(start <= block < end and heap()[1] == end)
"""


def stays_on_the_heap(what: str) -> bool:
    """Whether a freed block of 4 MiB still lies on the heap of a process that began with the server's low threshold."""
    command = [sys.executable, "-c", _HEAP_PROGRAM, what]
    environment = {"MALLOC_MMAP_THRESHOLD_": "131072", "PATH": "/usr/bin:/bin"}
    answer = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    return answer.strip() == "True"


def test_model_processes_keep_large_blocks_although_the_server_maps_them() -> None:
    assert not stays_on_the_heap("leave")
    assert stays_on_the_heap("undo")
