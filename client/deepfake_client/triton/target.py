"""Where the servers are: one reading of an address for the client, the gateway, bulk and deploy."""

import ipaddress
import logging
import re
import socket
from collections.abc import Sequence
from dataclasses import dataclass

from deepfake_client.errors import ConfigurationError, ServerUnavailableError

FORMS = "host:port, dns:///name:port, ipv4:address:port,address:port, or several host:port separated by commas"

_LOG = logging.getLogger("deepfake_client.triton.target")
_LABEL = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)")
_LONGEST_NAME = 253
_SCHEME = re.compile(r"grpc://|dns:(?:///?)?|ipv4:|ipv6:")

_Ip = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True)
class Address:
    """A gRPC endpoint; `str()` is host:port, an IPv6 address in brackets.

    Attributes:
        host: Name or IP address.
        port: 1-65535.
    """

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True)
class Target:
    """The servers that one channel spreads its requests over.

    Attributes:
        addresses: At least one. A name stands for all addresses that DNS has for it.
        resolver: host:port of the DNS server that is asked for the name; "" for the system's own.
        by_dns: Whether the text is one name with `dns:` before it, so that several servers are expected behind it.
    """

    addresses: tuple[Address, ...]
    resolver: str = ""
    by_dns: bool = False

    def __str__(self) -> str:
        if self.by_dns:
            return f"dns://{self.resolver}/{self.addresses[0]}"
        return ",".join(map(str, self.addresses))

    @property
    def has_several(self) -> bool:
        """Whether another server may answer where one does not."""
        return self.by_dns or len(self.addresses) > 1

    def for_grpc(self) -> str:
        """The target in gRPC's own form.

        gRPC looks up one name itself, again and again. It takes several servers only as IP addresses, so the names in a
        list are looked up here; one that has no address is left out.

        Raises:
            ServerUnavailableError: No name in the list has an address.
        """
        if len(self.addresses) == 1:
            return str(self)
        found = dict.fromkeys(ip_and_port for address in self.addresses for ip_and_port in _look_up(address))
        if not found:
            raise ServerUnavailableError(f"no name in {self} has an address")
        if all(ip.version == 4 for ip, _ in found):
            return "ipv4:" + ",".join(f"{ip}:{port}" for ip, port in found)
        # One list holds one family only, and every IPv4 address has an IPv6 form (RFC 4291, section 2.5.5.2).
        return "ipv6:" + ",".join(f"[{ip if ip.version == 6 else f'::ffff:{ip}'}]:{port}" for ip, port in found)


def parse_target(target: str | Sequence[str]) -> Target:
    """Reads an address, or several in a sequence or separated by commas.

    Raises:
        ConfigurationError: It is none of `FORMS`.
    """
    text = target if isinstance(target, str) else ",".join(target)
    if text.startswith(("http://", "https://")):
        raise ConfigurationError(f"{text!r} is a web address; Triton is asked over gRPC: give host:port")
    if text.startswith("file:"):
        raise ConfigurationError(
            f"{text!r}: files that list servers are no longer followed; give the servers one DNS name, dns:///name:port"
        )
    parts = [part.strip() for part in text.split(",")]
    by_dns = len(parts) == 1 and parts[0].startswith("dns:")
    parts = [_SCHEME.sub("", part, count=1) if _SCHEME.match(part) else part for part in parts]
    resolver = ""
    if by_dns and "/" in parts[0]:
        resolver, _, parts[0] = parts[0].partition("/")
        _parse_address(resolver, text)
    return Target(tuple(dict.fromkeys(_parse_address(part, text) for part in parts)), resolver, by_dns)


def _parse_address(part: str, text: str) -> Address:
    """Reads host:port, a part of `text`."""
    host, separator, port = part.rpartition(":")
    if not separator or not (port.isascii() and port.isdigit() and 0 < int(port) < 2**16):
        raise ConfigurationError(f"{text!r} is no address of a Triton server: {part!r} lacks a port; give {FORMS}")
    in_brackets = host.startswith("[") and host.endswith("]")
    host = host[1:-1] if in_brackets else host
    is_ipv6 = ":" in host and _is_ip(host)
    if in_brackets != is_ipv6 or not (is_ipv6 or _is_name(host)):
        raise ConfigurationError(f"{text!r} is no address of a Triton server: {host!r} is no host; give {FORMS}")
    return Address(host, int(port))


def _is_name(host: str) -> bool:
    """A DNS name or an IPv4 address; the last dot of a full name may be there."""
    return len(host) <= _LONGEST_NAME and all(map(_LABEL.fullmatch, host.removesuffix(".").split(".")))


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _look_up(address: Address) -> list[tuple[_Ip, int]]:
    """The IPv4 addresses of a host, or its IPv6 ones where it has no other: a server with both is one server."""
    try:
        entries = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    except OSError as error:
        _LOG.warning("%s is left out: %s", address, error.strerror or error)
        return []
    ips = [ipaddress.ip_address(entry[4][0]) for entry in entries]
    version = min(ip.version for ip in ips)
    return [(ip, address.port) for ip in ips if ip.version == version]
