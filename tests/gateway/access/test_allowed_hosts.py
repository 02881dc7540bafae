"""The Host header: a site whose name leads to this machine (DNS rebinding) reaches nothing."""

import pytest
from pydantic import ValidationError

from gateway import GatewaySettings
from tests.gateway.conftest import Gateway
from tests.gateway.routes.test_bad_requests import error_of

OWN = ["localhost", "LOCALHOST:5000", "app.localhost", "127.0.0.1:5000", "10.1.2.3", "[::1]:5000", "[fd00::1]"]
STRANGE = [
    "evil.example",
    "evil.example:5000",
    "localhost.evil.example",
    "127.0.0.1.evil.example",
    "gateway",
    "",
    "a b",
]
PATHS = ["/", "/docs", "/openapi.json", "/model-card", "//detect", "/no-such-route"]


@pytest.mark.parametrize("host", OWN)
def test_loopback_names_and_addresses_are_answered(gateway: Gateway, host: str) -> None:
    assert gateway.http.get("/", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("host", STRANGE)
def test_other_names_are_refused_everywhere(gateway: Gateway, host: str) -> None:
    for path in PATHS:
        response = gateway.http.get(path, headers={"Host": host})
        assert "DEEPFAKE_ALLOWED_HOSTS" in error_of(response, 400, "HOST_NOT_ALLOWED")
        assert "Location" not in response.headers
    error_of(gateway.http.post("/detect", data=b"", headers={"Host": host}), 400, "HOST_NOT_ALLOWED")
    assert gateway.http.get("/health", headers={"Host": host}).status_code == 200, "probes name whatever they like"


def test_named_hosts_are_answered(gateway: Gateway) -> None:
    gateway.configure(allowed_hosts="App.Example.com, .cluster.local,gateway")
    for host in ("app.example.com", "app.example.com:8443", "a.b.cluster.local", "gateway:5000", "localhost"):
        assert gateway.http.get("/", headers={"Host": host}).status_code == 200, host
    for host in ("example.com", "sub.app.example.com", "notcluster.local"):
        assert gateway.http.get("/", headers={"Host": host}).status_code == 400, host
    gateway.configure(allowed_hosts="*")
    assert gateway.http.get("/", headers={"Host": "evil.example"}).status_code == 200


@pytest.mark.parametrize("hosts", ["https://app.example.com", "app.example.com:443", "*.example.com", "a b", "a..b"])
def test_what_is_no_host_is_refused_at_start(hosts: str) -> None:
    with pytest.raises(ValidationError, match="is no host name without a port, such as"):
        GatewaySettings(allowed_hosts=hosts)
