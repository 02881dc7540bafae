"""Pages of other origins: shut out unless they are named."""

from typing import Any

import pytest
from pydantic import ValidationError

from gateway import GatewaySettings
from gateway.access.api_keys import key_line, new_key
from tests.gateway.access.test_api_keys import write_keys
from tests.gateway.conftest import Gateway

HERE = "https://app.example.com"
PREFLIGHT = {
    "Origin": HERE,
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "authorization,content-type",
}


def cors_headers(response: Any) -> set[str]:
    return {name for name in response.headers.keys() if name.startswith("Access-Control-")}  # noqa: SIM118


def test_off_by_default(gateway: Gateway) -> None:
    assert cors_headers(gateway.http.get("/health", headers={"Origin": HERE})) == set()
    assert cors_headers(gateway.http.options("/detect", headers=PREFLIGHT)) == set()


def test_a_named_origin_may_call(gateway: Gateway) -> None:
    gateway.configure(cors_origins=f"{HERE},http://localhost:3000")
    for origin in (HERE, "http://localhost:3000"):
        response = gateway.http.get("/health", headers={"Origin": origin})
        assert response.headers["Access-Control-Allow-Origin"] == origin
        assert "Access-Control-Allow-Credentials" not in response.headers
        assert "Origin" in response.headers["Vary"]
        assert "X-Request-ID" in response.headers["Access-Control-Expose-Headers"]
    asked = gateway.http.options("/detect", headers=PREFLIGHT)
    assert asked.status_code == 200
    assert "authorization" in asked.headers["Access-Control-Allow-Headers"].lower()
    assert "POST" in asked.headers["Access-Control-Allow-Methods"]


@pytest.mark.parametrize(
    "origin",
    ["https://evil.example", "https://app.example.com.evil.example", "https://appxexample.com", "http://app.example.com",
     "https://app.example.com:8443", "https://sub.app.example.com", "null", "*"],
)  # fmt: skip
def test_no_other_origin_may(gateway: Gateway, origin: str) -> None:
    gateway.configure(cors_origins=HERE)
    assert "Access-Control-Allow-Origin" not in gateway.http.get("/health", headers={"Origin": origin}).headers
    headers = {**PREFLIGHT, "Origin": origin}
    assert "Access-Control-Allow-Origin" not in gateway.http.options("/detect", headers=headers).headers


def test_pages_can_read_errors_and_ask_before_they_send_the_key(gateway: Gateway, tmp_path: Any) -> None:
    gateway.configure(cors_origins=HERE, api_keys_file=write_keys(tmp_path / "keys", key_line("page", new_key())))
    assert gateway.http.options("/detect", headers=PREFLIGHT).headers["Access-Control-Allow-Origin"] == HERE
    refused = gateway.http.post("/detect", headers={"Origin": HERE})
    assert refused.status_code == 401
    assert refused.headers["Access-Control-Allow-Origin"] == HERE


@pytest.mark.parametrize(
    "origins",
    ["*", "null", "app.example.com", "https://app.example.com/path", "https://*.example.com", "https://u@a.example",
     "ftp://a.example", "https://.*", "chrome-extension:abc"],
)  # fmt: skip
def test_what_is_no_origin_is_refused_at_start(origins: str) -> None:
    with pytest.raises(ValidationError, match="is no origin, such as"):
        GatewaySettings(cors_origins=origins)


EXTENSIONS = [
    "chrome-extension://abcdefghijklmnopabcdefghijklmnop",
    "moz-extension://0c6f3ee1-6f2f-4c8e-9d5c-5d7b2a1c9f11",
]


@pytest.mark.parametrize("origin", [HERE, "http://localhost:3000", *EXTENSIONS])
def test_extensions_spaces_and_slashes_are_taken(gateway: Gateway, origin: str) -> None:
    gateway.configure(cors_origins=f" {HERE}/ , http://localhost:3000/,{', '.join(EXTENSIONS)}, ")
    response = gateway.http.options("/detect", headers={**PREFLIGHT, "Origin": origin})
    assert response.headers["Access-Control-Allow-Origin"] == origin
