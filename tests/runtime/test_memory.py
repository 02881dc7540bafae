import subprocess
import sys

_PROGRAM = """
import ctypes, sys
from runtime.memory import keep_large_blocks
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.malloc.argtypes = [ctypes.c_size_t]
if sys.argv[1] == "undo":
    keep_large_blocks()
heap = [int(line.split("-")[0], 16) for line in open("/proc/self/maps") if "[heap]" in line][0]
block = libc.malloc(4 * 2**20)
end = [int(line.split()[0].split("-")[1], 16) for line in open("/proc/self/maps") if "[heap]" in line][0]
print(heap <= block < end)
"""


def on_the_heap(what: str) -> bool:
    """Whether a block of 4 MiB lies on the heap of a process that began with the server's low threshold."""
    command = [sys.executable, "-c", _PROGRAM, what]
    environment = {"MALLOC_MMAP_THRESHOLD_": "131072", "PATH": "/usr/bin:/bin"}
    answer = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    return answer.strip() == "True"


def test_model_processes_keep_large_blocks_although_the_server_maps_them() -> None:
    assert not on_the_heap("leave")
    assert on_the_heap("undo")
