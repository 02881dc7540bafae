import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from typer.testing import CliRunner, Result

from evaluation.cli import app
from tests.inference_server import InferenceServer, inference_server, jpeg
from tests.service import ROOT

Evaluate = Callable[..., Result]

REAL_P = (0.1, 0.2, 0.4, 0.8)
FAKE_P = (0.3, 0.8, 0.9, 0.95)


@pytest.fixture
def server() -> Iterator[InferenceServer]:
    with inference_server() as running:
        yield running


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four real and four fake images that tell the server their score."""
    root = tmp_path / "set"
    for label, scores in (("real", REAL_P), ("fake", FAKE_P)):
        (root / label).mkdir(parents=True)
        for number, p in enumerate(scores):
            (root / label / f"{number}.jpg").write_bytes(jpeg(f"p={p} {label}"))
    return root


@pytest.fixture
def evaluate(tmp_path: Path) -> Evaluate:
    """Runs the command line with few resamples, into `out` below the test's own folder unless told otherwise."""

    def run(*arguments: object) -> Result:
        texts = [str(argument) for argument in arguments]
        defaults = ["--resamples", "100"] if "--resamples" not in texts else []
        defaults += ["--output", str(tmp_path / "out")] if "--output" not in texts else []
        return CliRunner().invoke(app, [*texts, *defaults])

    return run


@pytest.fixture
def no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spares the second that drawing takes where a test is about something else."""
    monkeypatch.setattr("evaluation.cli.write_figures", lambda *_: [])


def read_results(folder: Path) -> Any:
    """results.json, checked against the committed schema."""
    document = json.loads((folder / "results.json").read_text("utf-8"), parse_constant=_not_json)
    schema = json.loads((ROOT / "evaluation" / "results.schema.json").read_text("utf-8"))
    jsonschema.Draft202012Validator(schema).validate(document)
    return document


def _not_json(constant: str) -> None:
    raise AssertionError(f"{constant} in JSON")
