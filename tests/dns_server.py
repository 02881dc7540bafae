"""A DNS server on loopback that has the addresses a test gives it (RFC 1035, one question a message, over UDP)."""

import socket
import struct
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

_A = 1
_ANSWER, _NO_SUCH_NAME = 0x8180, 0x8183


class DnsServer:
    """Every name has the IPv4 `addresses`, and no name exists while there are none."""

    def __init__(self, addresses: Sequence[str]) -> None:
        self.addresses = list(addresses)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def target(self, port: int) -> str:
        """gRPC's target for a name that this server is asked for."""
        return f"dns://127.0.0.1:{self._socket.getsockname()[1]}/tritons.test:{port}"

    def close(self) -> None:
        """Ends the server."""
        self._socket.sendto(b"", self._socket.getsockname())
        self._thread.join()
        self._socket.close()

    def _serve(self) -> None:
        while True:
            query, sender = self._socket.recvfrom(512)
            if not query:
                return
            end = query.index(b"\0", 12) + 5  # header, name, type, class
            (kind,) = struct.unpack(">H", query[end - 4 : end - 2])
            records = [b"\xc0\x0c" + struct.pack(">HHIH", _A, 1, 0, 4) + socket.inet_aton(a) for a in self.addresses]
            records = records if kind == _A else []
            flags = _ANSWER if self.addresses else _NO_SUCH_NAME
            header = query[:2] + struct.pack(">HHHHH", flags, 1, len(records), 0, 0)
            self._socket.sendto(header + query[12:end] + b"".join(records), sender)


@contextmanager
def dns_server(addresses: Sequence[str]) -> Iterator[DnsServer]:
    """A running server."""
    server = DnsServer(addresses)
    try:
        yield server
    finally:
        server.close()
