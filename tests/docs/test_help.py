"""Every command's help: one style, the same names for the same things, and no package that only the work needs."""

import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections import defaultdict
from collections.abc import Collection, Iterator
from importlib.metadata import version
from typing import Any

import pytest
import typer

from tests.docs.programs import DEVELOPERS, MODULES, PROGRAMS
from tests.service import ROOT

Done = subprocess.CompletedProcess[str]

SCRIPTS: dict[str, str] = {}
for folder in (ROOT, ROOT / "client"):
    SCRIPTS |= tomllib.loads((folder / "pyproject.toml").read_text("utf-8"))["project"]["scripts"]

COMMANDS = {**{name: [name] for name in PROGRAMS}, **{name: ["python", "-m", name] for name in MODULES}}
APPS = {**PROGRAMS, **MODULES}

_RUN = """
import runpy, sys
from importlib.machinery import PathFinder

class Without(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.partition(".")[0] in {absent} else super().find_spec(name, path, target)

sys.meta_path = [Without if finder is PathFinder else finder for finder in sys.meta_path]
sys.argv[0] = {name!r}
{call}
"""
ABSENT = {
    "accelerate", "cachetools", "cv2", "flask", "flask_cors", "flask_openapi3", "fsspec", "litserve", "locust",
    "matplotlib", "mediapipe", "mosec", "nncf", "onnx", "onnxruntime", "openvino", "optimum", "peft", "pillow_heif",
    "prometheus_client", "psutil", "pyarrow", "pytriton", "ray", "safetensors", "scipy", "simplejpeg", "sklearn",
    "tensorboard", "torch", "transformers", "waitress", "werkzeug",
}  # fmt: skip


def parts(name: str) -> Iterator[tuple[str, Any]]:
    """The command, or the commands of a group, with what is typed to call each."""
    command: Any = typer.main.get_command(APPS[name])
    called = " ".join(COMMANDS[name])
    for part, one in getattr(command, "commands", {"": command}).items():
        yield f"{called} {part}".strip(), one


ALL = [pytest.param(called, command, id=called) for name in APPS for called, command in parts(name)]


def help_of(called: str, command: Any) -> str:
    return str(command.get_help(command.make_context(called, ["--help"], resilient_parsing=True)))


def sections(text: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    lines: list[str] = []
    for line in text.splitlines():
        if heading := re.fullmatch(r"(\S.*):", line):
            lines = found.setdefault(heading[1], [])
        elif line.strip():
            lines.append(line)
    return found


def options(command: Any) -> list[Any]:
    return [one for one in command.params if one.param_type_name == "option" and not one.hidden]


def long_name(option: Any) -> str:
    return next(name for name in option.opts if name.startswith("--"))


@pytest.mark.parametrize(("called", "command"), ALL)
def test_every_help_has_one_form(called: str, command: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    text = help_of(called, command)
    usage, empty, first, *_ = text.splitlines()
    assert usage.startswith(f"Usage: {called} [OPTIONS]")
    assert (empty, first[:3].strip()) == ("", first[2])
    assert re.match(r"[A-Z][\w-]+s ", first.strip()), "it begins with what the command does"
    assert command.help.partition("\n\n")[0].endswith(".")
    assert max(map(len, text.splitlines())) <= 80
    found = sections(text)
    assert list(found)[-3:] == ["Other options", "Exit codes", "Examples"]
    assert found["Exit codes"][0].startswith("  0  ")
    assert all(one.help for one in command.params)
    assert called not in PROGRAMS or "--version" in text
    assert {"range>", "list["} & set(re.split(r"[ <]", text)) == set()


def test_a_group_lists_its_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    group = typer.main.get_command(PROGRAMS["deepfake-bench"])
    text = help_of("deepfake-bench", group)
    assert max(map(len, text.splitlines())) <= 80
    commands = sections(text)["Commands"]
    assert [line.split()[0] for line in commands] == list(group.commands)  # type: ignore[attr-defined]
    assert not any(line.endswith("...") for line in commands), "nothing is cut off"


@pytest.mark.parametrize(("called", "command"), ALL)
def test_its_examples_are_taken(called: str, command: Any) -> None:
    *_, examples = sections(help_of(called, command)).values()
    lines = "\n".join(examples).replace("\\\n", " ").splitlines()
    assert lines
    names = {name for one in command.params for name in (*one.opts, *one.secondary_opts)}
    for line in lines:
        words = shlex.split(line.partition(called)[2].split(" > ")[0])
        assert called in line
        assert {word.partition("=")[0] for word in words if word.startswith("--")} <= names, line


def test_one_thing_has_one_name_and_one_form() -> None:
    """What a text says is called the same in each command, and an option of one name takes the same kind of value."""
    names, kinds = defaultdict(set), defaultdict(set)
    for name in APPS:
        for called, command in parts(name):
            for one in options(command):
                text = re.sub(r"\s+\[env var: .*", "", one.help or "")
                names[text].add(long_name(one))
                context = command.make_context(called, [], resilient_parsing=True)
                kinds[long_name(one)].add(one.display_type_rich(context).replace("<dir>", "<path>"))
    assert {text: found for text, found in names.items() if len(found) > 1} == {}
    for option in ("--output", "--url", "--timeout-s", "--outage-wait-s", "--seed"):
        assert len(kinds[option] - {"<file>"}) == 1, option


def test_every_console_script_is_known_here() -> None:
    assert set(SCRIPTS) == set(PROGRAMS)


@pytest.mark.parametrize("name", ["deepfake-bench", "deepfake-detect"])  # one of each distribution
def test_it_says_its_version(name: str) -> None:
    done = run(name, "--version")
    distribution = "deepfake-client" if name == "deepfake-detect" else "deepfake-serving"
    assert (done.returncode, done.stdout) == (0, f"{name} {version(distribution)}\n")


@pytest.mark.parametrize("name", ["deepfake-bench", "deepfake-detect"])  # a group, and a command alone
def test_a_shell_completes_it(name: str) -> None:
    called, command = list(parts(name))[-1]
    words = f"{called} --"
    variable = f"_{name.upper().replace('-', '_')}_COMPLETE"
    said = run(
        name, **{variable: "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(len(words.split()) - 1)}
    ).stdout.split()
    assert set(map(long_name, options(command))) <= set(said)
    assert "complete_bash" in run(name, **{variable: "source_bash"}).stdout


@pytest.mark.parametrize("name", sorted(set(APPS) - DEVELOPERS))
def test_help_needs_no_extra(name: str) -> None:
    done = run(name, "--help", absent=ABSENT)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Usage: ")


@pytest.mark.parametrize(
    ("name", "arguments", "extras"),
    [
        ("deepfake-bulk", ("media", "rows"), "bulk"),
        ("deepfake-bench", ("run",), "bench"),
        ("deepfake-calibrate", ("--checkpoint=c", "--data-dir=d", "--output=o"), "export,evaluate,preprocessing"),
        ("deepfake-evaluate", ("tests",), "evaluate"),
        ("deepfake-export", (), "export,preprocessing"),
        ("deepfake-train", ("--data-dir", "d"), "export,train,evaluate,preprocessing"),
        ("gateway", (), "gateway"),
        ("gateway.new_key", ("me",), "gateway"),
    ],
)
def test_a_missing_package_is_named_with_the_command_that_installs_it(
    name: str, arguments: tuple[str, ...], extras: str
) -> None:
    done = run(name, *arguments, absent=ABSENT)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.endswith(f": pip install ./client '.[{extras}]' in the checkout")


def run(name: str, *arguments: str, absent: Collection[str] = (), **environment: str) -> "Done":
    """Runs a command as its console script or `python -m` does, as if packages were not installed."""
    script, _, function = SCRIPTS.get(name, "").partition(":")
    call = (
        f"from {script} import {function}; {function}()" if script else f"runpy.run_module({name!r}, None, '__main__')"
    )
    return subprocess.run(
        [sys.executable, "-c", _RUN.format(absent=set(absent), name=name, call=call), *arguments],
        capture_output=True, text=True, check=False, cwd=ROOT, env={**os.environ, **environment},
    )  # fmt: skip
