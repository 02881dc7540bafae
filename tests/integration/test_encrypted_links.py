"""`make serve` with API keys, and mutual TLS over gRPC to the real Triton."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import pytest
import requests
import trustme

from deepfake_client import (
    ClientSettings,
    ConfigurationError,
    ServerNotTrustedError,
    ServerUnavailableError,
    create_detector,
)
from export.release import Release
from gateway import GatewaySettings, create_app
from gateway.access.api_keys import key_line, new_key
from tests.media import photo
from tests.service import Service, run_service

KEY = new_key()


@dataclass(frozen=True)
class Secured:
    """A service over TLS and the files of its parties."""

    service: Service
    files: Path

    def client_settings(self, **options: object) -> ClientSettings:
        """Settings of a client that Triton knows, on its first try."""
        known = {
            "tls_ca_file": self.files / "ca.pem",
            "tls_cert_file": self.files / "client.pem",
            "tls_key_file": self.files / "client.key",
        }
        return ClientSettings(**{"attempts": 1, **known, **options})  # type: ignore[arg-type]


def issue(authority: trustme.CA, folder: Path, name: str, *identities: str) -> None:
    issued = authority.issue_cert(*identities)
    issued.private_key_pem.write_to_path(str(folder / f"{name}.key"))
    (folder / f"{name}.pem").write_bytes(b"".join(pem.bytes() for pem in issued.cert_chain_pems))


@pytest.fixture(scope="module")
def secured(
    tiny_checkpoint: Path, tiny_release: Release, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Secured]:
    files = tmp_path_factory.mktemp("certificates")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(files / "ca.pem"))
    trustme.CA().cert_pem.write_to_path(str(files / "other-ca.pem"))
    issue(authority, files, "triton", "triton.internal")
    issue(authority, files, "client", "gateway.internal")
    settings = {
        "DEEPFAKE_TRITON_TLS_CERT_FILE": files / "triton.pem",
        "DEEPFAKE_TRITON_TLS_KEY_FILE": files / "triton.key",
        "DEEPFAKE_TRITON_TLS_CLIENT_CA_FILE": files / "ca.pem",
        "DEEPFAKE_CLIENT_TLS_CA_FILE": files / "ca.pem",
        "DEEPFAKE_CLIENT_TLS_CERT_FILE": files / "client.pem",
        "DEEPFAKE_CLIENT_TLS_KEY_FILE": files / "client.key",
        "DEEPFAKE_CLIENT_TLS_SERVER_NAME": "triton.internal",
    }
    keys = files / "api-keys"
    keys.write_text(key_line("tests", KEY))
    keys.chmod(0o600)
    extra = {name: str(value) for name, value in settings.items()} | {"DEEPFAKE_API_KEYS_FILE": str(keys)}
    releases = tiny_release.path.parent
    with run_service(tiny_checkpoint, releases, tmp_path_factory.mktemp("secured"), extra) as running:
        yield Secured(running, files)


def detect(secured: Secured, stream: BinaryIO, headers: dict[str, str]) -> requests.Response:
    return requests.post(f"{secured.service.url}/detect", files={"file": stream}, headers=headers, timeout=60)


def test_a_request_with_a_key_passes_the_encrypted_link(secured: Secured) -> None:
    with photo("astronaut.png").open("rb") as stream:
        answer = detect(secured, stream, {"Authorization": f"Bearer {KEY}"})
        assert answer.status_code == 200, answer.text
        assert detect(secured, stream, {}).status_code == 401


def test_the_client_talks_to_the_server_it_means(secured: Secured) -> None:
    with create_detector(secured.service.grpc, secured.client_settings(tls_server_name="triton.internal")) as detector:
        assert 0 <= detector.detect(photo("astronaut.png")).confidence_score <= 1


@pytest.mark.parametrize("wrong", ["authority", "name"])
def test_a_server_that_proves_nothing_is_refused(secured: Secured, wrong: str) -> None:
    options = {
        "authority": {"tls_ca_file": secured.files / "other-ca.pem", "tls_server_name": "triton.internal"},
        "name": {"tls_server_name": "elsewhere.internal"},
    }[wrong]
    with (
        create_detector(secured.service.grpc, secured.client_settings(attempts=3, **options)) as detector,
        pytest.raises(ServerNotTrustedError, match="certificate") as caught,
    ):
        detector.info(timeout_s=10)
    assert not caught.value.retryable


def test_the_gateway_says_that_it_does_not_trust_its_server(secured: Secured) -> None:
    settings = secured.client_settings(tls_ca_file=secured.files / "other-ca.pem", tls_server_name="triton.internal")
    with create_detector(secured.service.grpc, settings) as detector:
        http = create_app(GatewaySettings(), detector).test_client()
        assert http.get("/health").status_code == 503
        with photo("astronaut.png").open("rb") as stream:
            answer = http.post("/detect", data={"file": (stream, "x")})
        answer.request.environ["wsgi.input"].close()  # the test client leaves its temporary file open
        assert (answer.status_code, answer.json["code"]) == (503, "SERVER_NOT_TRUSTED")
        assert secured.service.grpc not in answer.text


@pytest.mark.parametrize("client", ["without a certificate", "in plain text"])
def test_triton_answers_no_stranger(secured: Secured, client: str) -> None:
    if client == "in plain text":
        settings = ClientSettings(attempts=1)
    else:
        settings = secured.client_settings(tls_cert_file=None, tls_key_file=None, tls_server_name="triton.internal")
    with (
        create_detector(secured.service.grpc, settings) as detector,
        pytest.raises((ServerUnavailableError, ServerNotTrustedError)),
    ):
        detector.info(timeout_s=10)


def test_a_file_that_is_not_there_is_a_wrong_setting(secured: Secured) -> None:
    settings = secured.client_settings(tls_ca_file=secured.files / "none.pem")
    with (
        create_detector(secured.service.grpc, settings) as detector,
        pytest.raises(ConfigurationError, match=r"none\.pem"),
    ):
        detector.info(timeout_s=10)


@pytest.mark.parametrize(
    "options",
    [
        {"tls_cert_file": "a"},
        {"tls_key_file": "a"},
        {"tls_cert_file": "a", "tls_key_file": "b"},
        {"tls_server_name": "x"},
    ],
)
def test_half_of_the_settings_is_none(options: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="TLS_"):
        ClientSettings(**options)  # type: ignore[arg-type]
