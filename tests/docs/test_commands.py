"""The commands of README and docs run as printed, in a copy of the repository, against one running service."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

from tests.docs.documents import Block, blocks
from tests.docs.programs import PROGRAMS
from tests.service import ROOT, Service

BLOCKS = list(blocks())
MOST_NOT_RUN = 30

_LOOKS_LIKE_A_COMMAND = re.compile(
    r"^\$ |^(deepfake-\w+|make|curl|docker|kubectl|python|pip|prometheus|jq) [-\w./]", re.MULTILINE
)


@pytest.fixture(scope="module")
def copy(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the repository, without what git does not know; its media/ is that of the service."""
    folder = tmp_path_factory.mktemp("checkout")
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    for name in subprocess.run(listed, cwd=ROOT, capture_output=True, check=True).stdout.decode().split("\0"):
        if name and (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    (folder / ".venv").symlink_to(Path(sys.executable).parents[1])
    (folder / "media").symlink_to(service.media_root)
    return folder


def run(block: Block, service: Service, folder: Path) -> None:
    text = block.text
    for printed, real in {
        "127.0.0.1:5000": f"127.0.0.1:{service.port}",
        "127.0.0.1:8001": service.grpc,
        "localhost:8001": service.grpc,
    }.items():
        text = text.replace(printed, real)
    expected = 1 if "exit-1" in block.info.split() else 0
    shell = ["bash", "-uo", "pipefail"] if expected else ["bash", "-euo", "pipefail"]
    command = [*(shell if block.kind == "sh" else [sys.executable]), "-c", text]
    env = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": f"{folder}:{folder / 'client'}",
        "DEEPFAKE_URL": service.grpc,
    }
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False, timeout=280)
    assert done.returncode == expected, f"{block.place}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"


@pytest.mark.parametrize(
    "block",
    [
        pytest.param(block, id=block.place, marks=[pytest.mark.long] if "long" in block.info.split() else [])
        for block in BLOCKS
        if block.kind in ("sh", "python") and not block.not_run_because
    ],
)
def test_a_block_runs_as_printed(block: Block, service: Service, copy: Path) -> None:
    run(block, service, copy)


def test_what_is_not_run_says_why() -> None:
    reasons = {block.place: block.not_run_because for block in BLOCKS if "no-test" in block.info}
    print("\n".join(f"{place}: {reason}" for place, reason in reasons.items()))
    assert "" not in reasons.values()
    assert len(reasons) <= MOST_NOT_RUN


def test_no_command_hides_in_a_block_of_another_kind() -> None:
    hidden = [
        block.place
        for block in BLOCKS
        if block.kind not in ("sh", "console") and _LOOKS_LIKE_A_COMMAND.search(block.text)
    ]
    assert hidden == []


def commands_of_ours() -> list[tuple[str, str]]:
    """Each command of ours in a block or between backticks, with its place."""
    found = [(block.place, command) for block in BLOCKS for command in block.commands()]
    for document in sorted({block.document for block in BLOCKS}):
        text = re.sub(r"^```.*?^```", "", document.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
        found += [(document.name, code) for code in re.findall(r"`([^`\n]+)`", text)]
    return [
        (place, command[start.start() :])
        for place, command in found
        if (start := re.search(r"(?<![\w/-])(?:.venv/bin/)?(" + "|".join(PROGRAMS) + r") ", command))
    ]


@pytest.mark.parametrize(("place", "command"), commands_of_ours())
def test_every_option_of_a_command_exists(place: str, command: str) -> None:
    words = shlex.split(command.split(" | ")[0].split("\\|")[0], comments=True)
    program: Any = typer.main.get_command(PROGRAMS[Path(words[0]).name])
    called = getattr(program, "commands", {}).get(words[1], program)  # of a group, or the program itself
    options = {option for parameter in called.params for option in parameter.opts} | {"--help"}
    assert {word.split("=")[0] for word in words if word.startswith("--") and word != "--"} <= options, place
