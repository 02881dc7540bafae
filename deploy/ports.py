"""The addresses of one deployment: what it listens on, and what nobody else can take while a server is started again.

The gateway's sockets are made here and inherited by each of its processes. Triton makes its own. So its gRPC port is
held by a socket that is bound and never listens. Beside that one, the kernel lets only this user bind the address, and
only with SO_REUSEPORT, as Triton then does.
"""

import contextlib
import errno
import socket
import time
from collections.abc import Iterator
from typing import Any

from deploy.errors import PreflightError
from deploy.settings import DeploySettings

_REMEMBERED_S = 65.0  # so long the kernel may keep an address that had connections, of a server without SO_REUSEPORT
_PAUSE_S = 0.5

Address = tuple[socket.AddressFamily, Any]


def addresses_of(host: str, port: int) -> list[Address]:
    """Family and address of everything that a host stands for; of several only what this machine has.

    Raises:
        OSError: It stands for nothing.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    addresses = list(dict.fromkeys((family, address) for family, _, _, _, address in found))
    return [one for one in addresses if len(addresses) == 1 or _is_here(*one)]


def _is_here(family: socket.AddressFamily, address: Any) -> bool:
    with contextlib.suppress(OSError), socket.socket(family) as probe:
        probe.bind((address[0], 0, *address[2:]))
        return True
    return False


def require_free(host: str, port: int, advice: str) -> None:
    """Refuses an address that is in use, or not of this machine.

    Raises:
        PreflightError: It is; the message ends with `advice`.
    """
    try:
        for family, address in addresses_of(host, port):
            with socket.socket(family) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(address)
    except (OSError, OverflowError) as error:
        reason = error.strerror if isinstance(error, OSError) else "no such port"
        raise PreflightError(f"{host}:{port} cannot be used ({reason}): {advice}") from error


@contextlib.contextmanager
def claimed(settings: DeploySettings, with_gateway: bool) -> Iterator[None]:
    """Keeps the deployment's ports from every other deployment, and the gRPC ports of its Tritons from everyone.

    Raises:
        PreflightError: Another deployment has one of them, or is starting with it.
    """
    ports = [("DEEPFAKE_TRITON_GRPC_PORT", settings.triton_host, settings.triton_grpc_port)]
    if with_gateway:
        others = [("DEEPFAKE_PREPROCESS_GRPC_PORT", one.host, one.grpc_port) for one in settings.preprocess_addresses]
        ports = [*ports, *others, ("PORT", settings.host, settings.port)]
    with contextlib.ExitStack() as held:
        for name, host, port in ports:
            require_free(host, port, f"stop what uses it or set {name}")
            held.enter_context(_named(host, port, f"end it or set {name}"))
        for name, host, port in ports:
            if name == "PORT":
                continue
            try:
                for family, address in addresses_of(host, port):
                    held.enter_context(_bound(family, address))
            except OSError as error:
                raise PreflightError(
                    f"{host}:{port} cannot be used ({error.strerror}): stop what uses it or set {name}"
                ) from error
        yield


def _named(host: str, port: int, advice: str) -> socket.socket:
    """A name that only one process of the machine can have: two of this user could both bind with SO_REUSEPORT."""
    one = socket.socket(socket.AF_UNIX)
    try:
        one.bind(f"\0deepfake-serving {host}:{port}")
    except OSError as error:
        one.close()
        raise PreflightError(f"{host}:{port} belongs to another deployment that is starting: {advice}") from error
    return one


def _bound(family: socket.AddressFamily, address: Any) -> socket.socket:
    give_up = time.monotonic() + _REMEMBERED_S
    while True:
        one = socket.socket(family)
        try:
            # Without SO_REUSEADDR: with it, other users could bind as well while nothing listens.
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            one.bind(address)
        except OSError as error:
            one.close()
            if error.errno != errno.EADDRINUSE or time.monotonic() > give_up:
                raise
            time.sleep(_PAUSE_S)
        else:
            return one


def listening(settings: DeploySettings) -> list[socket.socket]:
    """The gateway's sockets, on which connections wait from now on; `::` takes those of IPv4 too.

    Raises:
        PreflightError: The address is in use, or not of this machine.
    """
    try:
        return [
            socket.create_server(address, family=family, dualstack_ipv6=settings.host == "::")
            for family, address in addresses_of(settings.host, settings.port)
        ]
    except OSError as error:
        raise PreflightError(
            f"{settings.host}:{settings.port} cannot be used ({error.strerror}): stop what uses it or set PORT"
        ) from error
