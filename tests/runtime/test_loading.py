import subprocess
import sys

_PROGRAM = """
import sys, time
from runtime.loading import show_where_stuck
def read_the_weights():
    time.sleep(float(sys.argv[1]))
with show_where_stuck(0.3):
    read_the_weights()
time.sleep(float(sys.argv[2]))
print("went on")
"""


def run(inside_s: float, after_s: float) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-c", _PROGRAM, str(inside_s), str(after_s)]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)


def test_a_load_that_takes_too_long_says_where_it_is_and_goes_on() -> None:
    done = run(1.0, 0)
    assert "in read_the_weights" in done.stderr
    assert done.stdout == "went on\n"


def test_one_in_time_says_nothing_even_later() -> None:
    done = run(0, 0.6)
    assert done.stderr == ""
    assert done.stdout == "went on\n"
