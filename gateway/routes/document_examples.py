"""Examples in the OpenAPI document: how each route is called, and what it answers, out of files that tests run."""

import json
from pathlib import Path, PurePosixPath
from typing import Any

_FOLDER = Path(__file__).parent / "examples"
_ADDRESS = "http://127.0.0.1:5000"
"""The gateway's in the files."""

_KINDS = {
    "curl.sh": ("Shell", "curl"),
    "python.py": ("Python", "Python"),
    "python_grpc.py": ("Python", "Python, gRPC client"),
    "javascript.js": ("JavaScript", "JavaScript"),
}
"""The programs in a route's folder, each with its language and its name for people."""


def add_examples(route: str, operation: dict[str, Any], server: str) -> None:
    """Adds `x-codeSamples` and the examples of answers to an operation of the document.

    Args:
        route: Its path, whose last part names the folder with its examples.
        operation: The document's, which is changed.
        server: The gateway's address, without a slash at its end.
    """
    folder = _FOLDER / PurePosixPath(route).stem
    needs_key = "security" in operation
    operation["x-codeSamples"] = [
        {"lang": language, "label": label, "source": _source(folder / name, server, needs_key)}
        for name, (language, label) in _KINDS.items()
        if (folder / name).exists()
    ]
    for file in sorted(folder.glob("*.json")):
        status, _, name = file.stem.partition("-")
        media = operation["responses"][status]["content"]["application/json"]
        media.setdefault("examples", {})[name] = {"value": json.loads(file.read_text("utf-8"))}


def _source(file: Path, server: str, needs_key: bool) -> str:
    """A program that calls the server; each line that names API_KEY is there for services that need one."""
    lines = file.read_text("utf-8").replace(_ADDRESS, server).splitlines(keepends=True)
    return "".join(line for line in lines if needs_key or "API_KEY" not in line)
