"""The programs in the OpenAPI document run as they are: curl, Python and Node, over the real service."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path, PurePosixPath

import pytest
import requests

from gateway.access.api_keys import key_line, new_key
from tests.scripted_gateway import scripted_gateway
from tests.service import ROOT, Service

NEEDS_NODE = pytest.mark.skipif(shutil.which("node") is None, reason="Node is not installed")
LANGUAGES = ["curl", "Python", pytest.param("JavaScript", marks=NEEDS_NODE)]

# What each prints over the service, whose model is untrained: curl the answer itself, the others what they read of it.
SAYS = {
    "detect": (r'"headline": ?"No verdict: ', r"^No verdict: .*\n.*\nFake probability: \d+\.\d ?%\n\w+: "),
    "inference": (r'"risk_score": ?\d', r"^Risk: \d+\.?\d* of 100\. Mean fake probability: \d+\.?\d* %\n\w+: "),
    "health": (r'"status": ?"healthy"', r"^healthy seeded-untrained"),
    "metrics": (r"^deepfake_gateway_verdicts_total\{", r"^deepfake_gateway_verdicts_total\{"),
    "openapi": (r"^$", r"^POST /detect Judge one uploaded image or video\n"),
}


def programs(url: str) -> dict[tuple[str, str], str]:
    """Every program of the document, by the last part of its route and by its label."""
    paths = requests.get(f"{url}/openapi.json", timeout=10).json()["paths"]
    return {
        (PurePosixPath(path).stem, sample["label"]): sample["source"]
        for path, methods in paths.items()
        for operation in methods.values()
        for sample in operation["x-codeSamples"]
    }


def run(label: str, source: str, folder: Path, api_key: str = "") -> "subprocess.CompletedProcess[str]":
    """Runs a program in a folder with photo.jpg."""
    source = source.replace("your API key", api_key)
    if label == "JavaScript" and "function detect" in source:
        source += 'import { openAsBlob } from "node:fs";\nawait detect(await openAsBlob("photo.jpg"));\n'
    program = folder / {"curl": "program.sh", "JavaScript": "program.mjs"}.get(label, "program.py")
    program.write_text(source, "utf-8")
    command = {"curl": "sh", "JavaScript": "node"}.get(label, sys.executable)
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'client'}", "API_KEY": api_key}
    return subprocess.run(
        [command, program.name],
        cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copy(ROOT / "examples" / "astronaut.png", tmp_path / "photo.jpg")
    return tmp_path


def write_clip(media_root: Path) -> None:
    (media_root / "clip").mkdir(exist_ok=True)
    for name in ("00.jpg", "01.jpg"):
        shutil.copy(ROOT / "examples" / "astronaut.png", media_root / "clip" / name)


@pytest.mark.parametrize("label", LANGUAGES)
@pytest.mark.parametrize("route", SAYS)
def test_a_program_calls_the_service(service: Service, folder: Path, route: str, label: str) -> None:
    write_clip(service.media_root)
    with (folder / "photo.jpg").open("rb") as photo:  # so that there is a verdict for the metrics to count
        requests.post(f"{service.url}/detect", files={"file": photo}, timeout=60).raise_for_status()
    done = run(label, programs(service.url)[route, label], folder)
    assert done.returncode == 0, done.stderr
    assert re.search(SAYS[route][label != "curl"], done.stdout, re.MULTILINE), done.stdout
    assert (folder / "openapi.json").exists() == ((route, label) == ("openapi", "curl"))


def test_the_grpc_client_calls_triton(service: Service, folder: Path) -> None:
    source = programs(service.url)["detect", "Python, gRPC client"].replace("localhost:8001", service.grpc)
    done = run("Python, gRPC client", source, folder)
    assert re.match(SAYS["detect"][1], done.stdout), done.stderr
    (folder / "photo.jpg").write_bytes(b"no picture")
    refused = run("Python, gRPC client", source, folder)
    assert (refused.returncode, refused.stderr[:18]) == (1, "UNSUPPORTED_MEDIA:")


@pytest.mark.parametrize("label", LANGUAGES)
@pytest.mark.parametrize(
    ("route", "code"), [("detect", "415 UNSUPPORTED_MEDIA: "), ("model-card", "404 NO_MODEL_CARD: ")]
)
def test_a_program_says_what_is_wrong(service: Service, folder: Path, route: str, code: str, label: str) -> None:
    (folder / "photo.jpg").write_bytes(b"no picture")
    done = run(label, programs(service.url)[route, label], folder)
    assert done.returncode == (22 if label == "curl" else 1)
    assert (code.split()[1].strip(": ") if label == "curl" else code) in done.stdout + done.stderr


@pytest.mark.parametrize("label", LANGUAGES)
def test_a_program_sends_the_key(folder: Path, tmp_path: Path, label: str) -> None:
    keys, key = tmp_path / "keys", new_key()
    keys.write_text(key_line("programs", key), "utf-8")
    keys.chmod(0o600)
    write_clip(tmp_path)
    with scripted_gateway(api_keys_file=keys, media_root=tmp_path) as locked:
        sources = programs(locked.url.rstrip("/"))
        for route in ("detect", "inference", "metrics"):
            allowed, refused = (run(label, sources[route, label], folder, api_key) for api_key in (key, new_key()))
            assert allowed.returncode == 0, allowed.stderr
            assert refused.returncode == (22 if label == "curl" else 1)
            assert "API_KEY_INVALID" in refused.stdout + refused.stderr
