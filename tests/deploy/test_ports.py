"""Ports that a deployment holds: no other user and no other deployment can take them while nothing listens there."""

import contextlib
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from deploy.errors import PreflightError
from deploy.ports import claimed, listening
from deploy.settings import DeploySettings
from runtime.free_ports import free_ports


def settings_of(tmp_path: Path, **others: object) -> DeploySettings:
    port, grpc, metrics = free_ports(3)
    known = {"port": port, "triton_grpc_port": grpc, "triton_metrics_port": metrics, "cache_dir": tmp_path}
    return DeploySettings(**{**known, **others})


@contextlib.contextmanager
def server(address: tuple[str, int], *options: int) -> Iterator[socket.socket]:
    with socket.socket() as one:
        for option in options:
            one.setsockopt(socket.SOL_SOCKET, option, 1)
        one.bind(address)
        one.listen()
        yield one


def refuse(address: tuple[str, int], *options: int) -> None:
    with pytest.raises(OSError, match="in use"), server(address, *options):
        pass


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_only_what_shares_the_port_binds_tritons(host: str, tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    address = (host, settings.triton_grpc_port)
    with claimed(settings, with_gateway=False):
        for options in ((), (socket.SO_REUSEADDR,)):
            refuse(address, *options)
        for _ in range(2):  # Triton, and the one that is started after it
            with server(("127.0.0.1", settings.triton_grpc_port), socket.SO_REUSEADDR, socket.SO_REUSEPORT) as triton:
                with socket.create_connection(triton.getsockname()), triton.accept()[0]:
                    pass
                refuse(address, socket.SO_REUSEADDR)
    with claimed(settings, with_gateway=False):  # in spite of the ended connections
        pass


@pytest.mark.skipif(os.geteuid() != 0, reason="needs two users")
def test_no_other_user_shares_tritons_port(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    code = (
        "import os, socket, sys; os.setuid(65534); s = socket.socket()\n"
        "for option in (socket.SO_REUSEADDR, socket.SO_REUSEPORT): s.setsockopt(socket.SOL_SOCKET, option, 1)\n"
        "s.bind((sys.argv[1], int(sys.argv[2])))\n"
    )
    with claimed(settings, with_gateway=False):
        for host in ("127.0.0.1", "0.0.0.0"):
            command = [sys.executable, "-I", "-S", "-c", code, host, str(settings.triton_grpc_port)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            assert "Address already in use" in done.stderr


@pytest.mark.parametrize(("same", "name"), [("port", "PORT"), ("triton_grpc_port", "DEEPFAKE_TRITON_GRPC_PORT")])
def test_a_deployment_that_starts_at_the_same_moment_is_told(same: str, name: str, tmp_path: Path) -> None:
    first = settings_of(tmp_path)
    second = settings_of(tmp_path, **{same: getattr(first, same)})
    with claimed(first, True), pytest.raises(PreflightError, match=f"set {name}"), claimed(second, True):
        pass
    with claimed(second, True):
        pass


def test_the_same_port_of_another_address_has_logs_of_its_own(tmp_path: Path) -> None:
    first = settings_of(tmp_path)
    second = settings_of(tmp_path, host="127.0.0.2", port=first.port)
    with claimed(first, True), claimed(second, True), contextlib.ExitStack() as stack:
        for one in (*listening(first), *listening(second)):
            stack.enter_context(one)
    assert first.logs != second.logs


@pytest.mark.parametrize(("host", "url"), [("::", "127.0.0.1"), ("::1", "[::1]"), ("localhost", "localhost")])
def test_addresses_of_ipv6(host: str, url: str, tmp_path: Path) -> None:
    settings = settings_of(tmp_path, host=host)
    assert settings.gateway_url == f"http://{url}:{settings.port}"
    with contextlib.ExitStack() as stack:
        for one in listening(settings):
            stack.enter_context(one)
        for reached in {"::": ("127.0.0.1", "::1"), "::1": ("::1",), "localhost": ("127.0.0.1",)}[host]:
            socket.create_connection((reached, settings.port), timeout=5).close()


def test_two_starts_at_once_end_in_one_service(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    at_once = threading.Barrier(2)

    def start(_number: int) -> str:
        at_once.wait(10)
        try:
            with claimed(settings, True):
                time.sleep(0.3)
        except PreflightError as error:
            return "starting" if "that is starting" in str(error) else "in use"
        return "served"

    with ThreadPoolExecutor(2) as pool:
        said = sorted(pool.map(start, range(2)))
    assert said in (["served", "starting"], ["in use", "served"])
