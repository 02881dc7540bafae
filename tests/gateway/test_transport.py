"""The gateway over https: real gunicorn, certificates made for the test."""

import os
import socket
import ssl
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests
import trustme

from tests.gateway.conftest import Gateway
from tests.gateway.gateway_process import GatewayProcess, run_gateway
from tests.inference_server import InferenceServer, inference_server, jpeg


@dataclass(frozen=True)
class Certificates:
    """PEM files of an authority and of a server that it vouches for."""

    authority: Path
    certificate: Path
    key: Path

    @property
    def settings(self) -> dict[str, str]:
        return {"TLS_CERT_FILE": str(self.certificate), "TLS_KEY_FILE": str(self.key)}


def make_certificates(folder: Path, *names: str) -> Certificates:
    authority = trustme.CA()
    issued = authority.issue_cert(*names)
    made = Certificates(folder / "ca.pem", folder / "server.pem", folder / "server.key")
    folder.mkdir(exist_ok=True)
    authority.cert_pem.write_to_path(str(made.authority))
    issued.private_key_pem.write_to_path(str(made.key))
    made.certificate.write_bytes(b"".join(pem.bytes() for pem in issued.cert_chain_pems))
    return made


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    return make_certificates(tmp_path, "127.0.0.1", "localhost")


@pytest.fixture
def encrypted(server: InferenceServer, tmp_path: Path, certificates: Certificates) -> Iterator[GatewayProcess]:
    settings = {**certificates.settings, "REQUEST_DEADLINE_S": "1.5"}
    with run_gateway(server, tmp_path, verify=str(certificates.authority), **settings) as gateway:
        yield gateway


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    with inference_server() as server, run_gateway(server, tmp_path_factory.mktemp("plain")) as gateway:
        yield gateway


def test_https(encrypted: GatewayProcess, certificates: Certificates, tmp_path: Path) -> None:
    files = {"file": jpeg("p=0.9")}
    answer = requests.post(f"{encrypted.url}/detect", files=files, timeout=10, verify=encrypted.verify)
    assert (answer.status_code, answer.json()["result"]) == (200, "fake")
    assert answer.headers["Strict-Transport-Security"] == "max-age=31536000"
    with pytest.raises(requests.exceptions.SSLError):
        requests.get(f"{encrypted.url}/health", timeout=5)
    with pytest.raises(requests.exceptions.ConnectionError):
        requests.get(encrypted.url.replace("https", "http") + "/health", timeout=5)
    _refuses_old_tls(encrypted.port)
    _answers_a_slow_body_encrypted(encrypted.port, certificates)
    _takes_a_renewed_certificate(encrypted, tmp_path, certificates)


def _refuses_old_tls(port: int) -> None:
    for version, accepted in ((ssl.TLSVersion.TLSv1_1, False), (ssl.TLSVersion.TLSv1_2, True)):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
            context.minimum_version = ssl.TLSVersion.TLSv1
            context.maximum_version = version
        context.set_ciphers("ALL:@SECLEVEL=0")
        with socket.create_connection(("127.0.0.1", port), timeout=5) as raw:
            if accepted:
                with context.wrap_socket(raw) as wrapped:
                    assert wrapped.version() == "TLSv1.2"
            else:
                with pytest.raises(ssl.SSLError, match=r"(?i)alert|protocol"):
                    context.wrap_socket(raw)


def _answers_a_slow_body_encrypted(port: int, certificates: Certificates) -> None:
    """Ending a read from outside must not end the encryption with it."""
    context = ssl.create_default_context(cafile=str(certificates.authority))
    head = b"POST /api/v1/inference HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    with (
        socket.create_connection(("127.0.0.1", port), timeout=10) as raw,
        context.wrap_socket(raw, server_hostname="localhost") as wrapped,
    ):
        wrapped.sendall(head + b"Content-Length: 99\r\n\r\n{")
        started = time.monotonic()
        answer = wrapped.recv(4000)
        assert answer.startswith(b"HTTP/1.1 504 ")
        assert 1 < time.monotonic() - started < 6


def _takes_a_renewed_certificate(gateway: GatewayProcess, folder: Path, certificates: Certificates) -> None:
    renewed = make_certificates(folder / "renewed", "127.0.0.1")
    for new, old in ((renewed.certificate, certificates.certificate), (renewed.key, certificates.key)):
        os.replace(new, old)  # noqa: PTH105
    answer = requests.get(f"{gateway.url}/health", timeout=5, verify=str(renewed.authority))
    assert answer.status_code == 200


def test_plain_http_never_tells_browsers_to_use_https(gateway: Gateway) -> None:
    assert "Strict-Transport-Security" not in gateway.http.get("/health").headers
    secure = gateway.http.get("/health", base_url="https://localhost")
    assert secure.headers["Strict-Transport-Security"] == "max-age=31536000"
    gateway.configure(hsts_max_age_s=0)
    assert "Strict-Transport-Security" not in gateway.http.get("/health", base_url="https://localhost").headers


@pytest.mark.parametrize(
    "sent",
    [{"X-Forwarded-Proto": "https", "X-Forwarded-SSL": "off"}, {"SCRIPT_NAME": "/x"}, {"X-Forwarded-Proto": "https"}],
)
def test_nothing_that_a_caller_says_of_a_proxy_is_believed(plain: GatewayProcess, sent: dict[str, str]) -> None:
    answer = requests.get(f"{plain.url}/health", headers=sent, timeout=10)
    assert answer.status_code == 200
    assert "Strict-Transport-Security" not in answer.headers


@pytest.mark.parametrize("broken", ["missing", "no pair", "only one"])
def test_a_wrong_certificate_is_one_line_at_start(tmp_path: Path, certificates: Certificates, broken: str) -> None:
    other = make_certificates(tmp_path / "other", "localhost")
    settings = {
        "missing": {**certificates.settings, "TLS_CERT_FILE": str(tmp_path / "none.pem")},
        "no pair": {**certificates.settings, "TLS_KEY_FILE": str(other.key)},
        "only one": {"TLS_CERT_FILE": str(certificates.certificate)},
    }[broken]
    done = subprocess.run(
        [sys.executable, "-m", "gateway"], env={**os.environ, **settings}, capture_output=True, text=True, check=False,
        timeout=60,
    )  # fmt: skip
    assert done.returncode == 1
    assert len(done.stderr.strip().splitlines()) == 1
    assert "TLS_" in done.stderr
