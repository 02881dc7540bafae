"""Becomes another program that the kernel kills when the process that started it dies, however it dies.

Run as a script: end_with_parent.py PARENT_PID STOP_SIGNAL PROGRAM ARGUMENT... The setting has to be made in the new
process before it becomes the program, and a process with threads, gRPC's among them, must not fork to run Python code
there.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Sets the signal and becomes the program; ends with 1 if the parent is already gone or there is no program."""
    parent, stop_signal, command = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before the line above
        sys.exit(1)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # Python ignores it, and the program would inherit that
    if stop_signal != signal.SIGTERM:
        # A service manager sends it to all processes at once. This one is still needed by those that finish requests.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    try:
        os.execvp(command[0], command)
    except OSError as error:
        sys.exit(f"{command[0]}: {error.strerror}")


if __name__ == "__main__":
    main()
