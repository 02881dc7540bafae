"""Settings: defaults people expect, names in the environment, values that make no sense."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

import gateway as gateway_package
from deepfake_client import create_detector
from gateway import GatewaySettings


@pytest.fixture(autouse=True)
def empty_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in GatewaySettings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
        monkeypatch.delenv(f"DEEPFAKE_{name.upper()}", raising=False)


def test_defaults() -> None:
    settings = GatewaySettings()
    assert (settings.host, settings.port, settings.triton_url) == ("127.0.0.1", 5000, "127.0.0.1:8001")
    assert settings.request_deadline_s == 25
    assert not settings.development


def test_environment_names_have_a_prefix_but_those_that_are_documented_without(monkeypatch: pytest.MonkeyPatch) -> None:
    values = {
        "DEEPFAKE_HOST": "0.0.0.0",
        "PORT": "8080",
        "MEDIA_ROOT": "/srv/media",
        "FLASK_ENV": "development",
        "DEEPFAKE_TRITON_URL": "",
    }
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    settings = GatewaySettings()
    assert (settings.host, settings.port, settings.media_root) == ("0.0.0.0", 8080, Path("/srv/media"))
    assert settings.development
    assert settings.triton_url == "127.0.0.1:8001"


@pytest.mark.parametrize("host", ["x86_64-conda-linux-gnu", "my-laptop"])
def test_a_shell_s_host_is_no_setting(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    monkeypatch.setenv("HOST", host)
    assert GatewaySettings().host == "127.0.0.1"


def test_keys_do_not_travel_in_plain_text_where_they_were_encrypted_before() -> None:
    environment = {**os.environ, "TLS_CERT_FILE": "/cert.pem"}
    done = subprocess.run(
        [sys.executable, "-m", "gateway", "--host", "192.0.2.1"], env=environment, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "TLS_CERT_FILE is set" in done.stderr


@pytest.mark.parametrize(
    "options",
    [
        {"port": 0},
        {"triton_url": "http://triton:8001"},
        {"triton_url": "triton"},
        {"max_in_flight": 0},
        {"canary_timeout_s": 5},
        {"no_such_setting": 1},
        {"trusted_proxies": -1},
        {"accepted_formats": "jpeg,doc"},
    ],
)
def test_senseless_values_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        GatewaySettings(**options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "url", ["triton:8001", "a:8001,b:8001", "[::1]:8001", "dns:///triton:8001", "dns://a:8001,dns://b:8001"]
)
def test_every_way_to_name_servers_is_taken(url: str) -> None:
    assert GatewaySettings(triton_url=url).triton_url == url
    with create_detector(url):
        pass


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("DEEPFAKE_CORS_ORIGINS", "app.example.com"),
        ("DEEPFAKE_ALLOWED_HOSTS", "https://app.example.com"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318"),
    ],
)
def test_a_refusal_says_what_is_expected_and_no_regular_expression(variable: str, value: str) -> None:
    environment = {**os.environ, variable: value}
    done = subprocess.run(
        [sys.executable, "-m", "gateway"], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert f"{value}' is no " in done.stderr
    assert "such as " in done.stderr
    assert not set(done.stderr) & set("^$[]()*\\")


def test_no_setting_is_checked_by_a_pattern_that_would_be_printed() -> None:
    patterns = [name for name, field in GatewaySettings.model_fields.items() if "pattern=" in repr(field.metadata)]
    assert patterns == []


def test_every_setting_is_described() -> None:
    assert [name for name, field in GatewaySettings.model_fields.items() if not field.description] == []


def test_frozen() -> None:
    with pytest.raises(ValidationError):
        GatewaySettings().port = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [(["--help"], 0, "--media-root"), (["--port", "x"], 2, "port"), (["--nonsense"], 2, "nonsense")],
)
def test_command_line(arguments: list[str], code: int, text: str) -> None:
    done = subprocess.run([sys.executable, "-m", "gateway", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == code
    assert text in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_the_gateway_imports_no_model_runtime_and_nothing_above_it() -> None:
    allowed = {
        "PIL", "cachetools", "deepfake_client", "flask", "flask_cors", "flask_openapi3", "gateway", "markdown_it",
        "markupsafe", "opentelemetry", "prometheus_client", "pydantic", "pydantic_core",
        "pydantic_settings", "typer", "waitress", "werkzeug", *sys.stdlib_module_names,
    }  # fmt: skip
    folder = Path(gateway_package.__file__).parent
    for path in set(folder.rglob("*.py")) - set((folder / "routes" / "examples").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert {name.split(".")[0] for name in names} <= allowed, path
