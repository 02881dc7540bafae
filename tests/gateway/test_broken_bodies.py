"""Bodies that are not what their headers say, over the real gunicorn. Found by `tests.fuzz.fuzz_gateway`."""

import socket
from collections.abc import Iterator

import pytest
import requests

from tests.fuzz.http_mutation import BOUNDARY, form
from tests.gateway.test_slow_clients import gateway_process
from tests.inference_server import inference_server, jpeg

BODY = b"".join(form(jpeg("p=0.9")))
CHUNKED = (
    b"POST /detect HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n"
    + f"Content-Type: multipart/form-data; boundary={BOUNDARY}\r\n\r\n".encode()
)
CHUNK = f"{len(BODY):x}\r\n".encode() + BODY + b"\r\n"


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with (
        inference_server() as server,
        gateway_process(server, tmp_path_factory.mktemp("gateway"), GATEWAY_WORKERS="1") as running,
    ):
        yield running


def exchange(url: str, content: bytes, ends: bool = True) -> bytes:
    """The status line of the answer, "" without one."""
    with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), timeout=10) as connection:
        connection.sendall(content)
        if ends:
            connection.shutdown(socket.SHUT_WR)
        answer = b""
        while block := connection.recv(65536):
            answer += block
        return answer.partition(b"\r\n")[0]


def test_a_body_in_chunks(url: str) -> None:
    assert exchange(url, CHUNKED + CHUNK + b"0\r\n\r\n", ends=False) == b"HTTP/1.1 200 OK"


@pytest.mark.parametrize(
    "chunks",
    [
        b"0647\r\n647\r\n647\r\n",
        b"zz\r\n",
        b"-1\r\n\r\n",
        b"\r\n\r\n",
        b"5\r\nabcdefgh\r\n0\r\n\r\n",
        CHUNK + b"9\r\nabc",
    ],
)
def test_broken_chunks_are_400(url: str, chunks: bytes) -> None:
    assert b" 400 " in exchange(url, CHUNKED + chunks)
    assert requests.get(f"{url}/health", timeout=10).status_code == 200
