"""Where the servers are: fixed addresses, a DNS name with one address per server, or a file that lists them.

A name and a file are looked at again every few seconds, and sooner after a failure, so that servers that are added
are used and removed ones left alone. gRPC's own resolver is no help here: it hides the servers behind one channel, on
which nobody can say which release each of them serves, and asks again only once a connection is lost.
"""

import re
import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from deepfake_client.errors import ConfigurationError, DeadlineExceededError, ServerUnavailableError
from deepfake_client.scorer import Deadline

_DNS = "dns://"
_FILE = "file:"
_SHORTEST_PAUSE_S = 0.5
"""Between two looks, however many requests fail meanwhile."""


@dataclass(frozen=True)
class Address:
    """A server's gRPC endpoint; `str()` is host:port, an IPv6 address in brackets.

    Attributes:
        host: Name or address.
        port: 1-65535.
    """

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Fixed:
    """An address that is taken as it is."""

    changes = False

    def __init__(self, address: Address) -> None:
        self._address = address

    def look(self) -> dict[str, str]:
        """See `Source.look`."""
        return {str(self._address): ""}


class Name:
    """Every address of a DNS name is a server: a headless service of Kubernetes, or a name with several A records."""

    changes = True

    def __init__(self, address: Address) -> None:
        self._address = address

    def look(self) -> dict[str, str]:
        """The name's IPv4 addresses, or its IPv6 ones where it has no other: a server with both is one server.

        Raises:
            OSError: The name has no address, or nobody can be asked.
        """
        host, port = self._address.host, self._address.port
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        families = {family for family, *_ in found}
        chosen = socket.AF_INET if socket.AF_INET in families else socket.AF_INET6
        hosts = sorted({str(where[0]) for family, *_, where in found if family == chosen})
        return {str(Address(one, port)): host for one in hosts}  # the certificate is the name's, not the address's


class ServersFile:
    """The addresses that a file holds, separated by commas, blanks or line ends; # begins a comment."""

    changes = True

    def __init__(self, path: Path) -> None:
        self._path = path

    def look(self) -> dict[str, str]:
        """See `Source.look`.

        Raises:
            OSError: The file cannot be read.
            ConfigurationError: It holds something that is no address.
        """
        try:
            text = self._path.read_text("ascii")
        except UnicodeDecodeError as error:
            raise ConfigurationError(f"{self._path} is no list of host:port") from error
        words = re.split(r"[\s,]+", re.sub(r"#.*", "", text))
        return {str(parse_address(word)): "" for word in words if word}


Source = Fixed | Name | ServersFile
"""`look()` gives host:port of each server now, and the name that its certificate is for where that is another one."""


def parse_address(text: str) -> Address:
    """host:port; `grpc://` may stand before it.

    Raises:
        ConfigurationError: It is something else.
    """
    host, separator, port = text.removeprefix("grpc://").rpartition(":")
    if not separator or not host or not port.isdigit() or not 0 < int(port) < 2**16 or "/" in host:
        raise ConfigurationError(f"{text!r} is not host:port of a Triton server")
    return Address(host.removeprefix("[").removesuffix("]"), int(port))


def parse_source(text: str) -> Source:
    """`host:port`, `dns://name:port` or `file:PATH`.

    Raises:
        ConfigurationError: It is something else.
    """
    if text.startswith(_FILE):
        return ServersFile(Path(text.removeprefix(_FILE)))
    if text.startswith(_DNS):
        return Name(parse_address(text.removeprefix(_DNS).removeprefix("/")))  # gRPC writes dns:///name
    return Fixed(parse_address(text))


class ServerList:
    """Tells of the servers at first and whenever they change. Thread-safe.

    Attributes:
        problem: Why the last look at a source failed, or "".

    The thread that looks begins with the first call and not before, so that a list made before a process forks is of
    use after it.
    """

    def __init__(
        self, sources: Sequence[Source], look_up_s: float, changed: Callable[[Mapping[str, str]], None]
    ) -> None:
        """Looks at nothing yet.

        Args:
            sources: Where the servers are.
            look_up_s: Pause between two looks.
            changed: Told of all servers: host:port, and the name of its certificate or "".
        """
        self._sources = sources
        self._look_up_s = look_up_s
        self._changed = changed
        self._lock = threading.Lock()
        self._looked = threading.Event()
        self._wake = threading.Event()
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None
        self._known: list[dict[str, str]] = [{} for _ in sources]
        self.problem = ""

    def await_first(self, deadline: Deadline) -> None:
        """Returns once the sources have been looked at; at once where that was long ago.

        Raises:
            DeadlineExceededError: The resolver takes longer.
            ServerUnavailableError: No source says where a server is.
        """
        if not self._looked.is_set():
            self._start()
            if not self._looked.wait(deadline.remaining_s()):
                raise DeadlineExceededError(f"no address of a Triton server within {deadline.timeout_s:g} s")
        if not any(self._known):
            self.hurry()
            raise ServerUnavailableError(f"no address of a Triton server is known: {self.problem or 'none is listed'}")

    def hurry(self) -> None:
        """Looks again soon: a server failed, so there may be others now."""
        self._wake.set()

    def close(self) -> None:
        """Ends the thread, without waiting for a resolver that hangs."""
        self._closed.set()
        self._wake.set()

    def _start(self) -> None:
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="server-list", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while not self._closed.is_set():
            self._look()
            self._closed.wait(_SHORTEST_PAUSE_S)
            self._wake.wait(max(self._look_up_s - _SHORTEST_PAUSE_S, 0.0))
            self._wake.clear()

    def _look(self) -> None:
        known, problems = [], []
        for source, before in zip(self._sources, self._known, strict=True):
            try:
                known.append(source.look() or before)  # an empty list is more likely a slip than the wish for no server
            except (OSError, ConfigurationError) as error:
                problems.append(str(error))
                known.append(before)
        self.problem = "; ".join(problems)
        changed = known != self._known or not self._looked.is_set()
        self._known = known
        if changed and not self._closed.is_set():
            self._changed({url: name for found in known for url, name in found.items()})
        self._looked.set()
