"""docs/operations.md: its commands have the options that it gives them, and its own anchors exist."""

import re
from typing import Any

import pytest
import typer
from deepfake_client.batch.cli import app as detect
from typer.testing import CliRunner

from benchmark.cli import app as bench
from evaluation.cli import app as evaluate
from tests.service import ROOT
from training.calibration.cli import app as calibrate

TEXT = (ROOT / "docs" / "operations.md").read_text("utf-8")
APPS = {
    "deepfake-bench": bench,
    "deepfake-detect": detect,
    "deepfake-evaluate": evaluate,
    "deepfake-calibrate": calibrate,
}
_PROGRAM = r"deepfake-(?:bench|detect|evaluate|calibrate)\b"
# Between `, over the end of one line at most, or a line of a block.
_COMMAND = re.compile(rf"(?:`|^\s*\$? ?)({_PROGRAM}[^`\n]*(?:\n[^`\n]+(?=`))?)", re.MULTILINE)


def commands() -> list[str]:
    return [" ".join(found.split()) for found in _COMMAND.findall(TEXT)]


def options_of(words: list[str]) -> set[str]:
    command: Any = typer.main.get_command(APPS[words[0]])
    command = getattr(command, "commands", {}).get(words[1], command)  # a group's, or the program itself
    return {option for parameter in command.params for option in parameter.opts}


def test_the_page_has_commands() -> None:
    assert len(commands()) >= 8
    assert {command.split()[0] for command in commands()} == set(APPS)


@pytest.mark.parametrize("command", commands())
def test_every_option_exists(command: str) -> None:
    words = command.split()
    given = {word.split("=")[0] for word in words if word.startswith("--")}
    assert given <= options_of(words)


def test_the_plan_of_the_page_is_planned() -> None:
    (line,) = re.findall(r"^\$ deepfake-bench (plan .*)$", TEXT, re.MULTILINE)
    done = CliRunner().invoke(bench, line.split())
    assert done.exit_code == 0, done.output
    titles = [row.strip()[:12] for row in done.stdout.splitlines() if row.strip()]
    assert [title for title in titles if title not in TEXT] == []


def test_anchors_of_the_page_exist() -> None:
    headings = {
        re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-")
        for heading in re.findall(r"^#+ (.*)$", TEXT, re.MULTILINE)
    }
    assert set(re.findall(r"\]\(#([^)]+)\)", TEXT)) <= headings
