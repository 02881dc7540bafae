"""What hostile files point to: an address and a file that notice when somebody reads them."""

import ctypes
import os
import socket
from pathlib import Path

_IN_ACCESS, _IN_OPEN = 0x1, 0x20
_LIBC = ctypes.CDLL(None, use_errno=True)


class AddressCanary:
    """A port on the loopback address that accepts nobody: whoever connects waits in its queue."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._socket.setblocking(False)
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}/canary.mp4"

    def was_called(self) -> bool:
        """Whether anybody connected since the last call."""
        try:
            self._socket.accept()[0].close()
        except BlockingIOError:
            return False
        return True

    def close(self) -> None:
        self._socket.close()


class FileCanary:
    """A file of which the kernel reports when it is opened or read."""

    def __init__(self, path: Path, content: bytes) -> None:
        path.write_bytes(content)
        self.path = path
        self._events = _LIBC.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        watch = _LIBC.inotify_add_watch(self._events, os.fsencode(path), _IN_ACCESS | _IN_OPEN)
        assert watch >= 0, os.strerror(ctypes.get_errno())

    def was_opened(self) -> bool:
        """Whether anybody opened it since the last call."""
        try:
            return bool(os.read(self._events, 4096))
        except BlockingIOError:
            return False

    def close(self) -> None:
        os.close(self._events)
