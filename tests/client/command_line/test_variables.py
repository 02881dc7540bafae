"""A misspelt environment variable is told of, once; the list of those that there are is whole."""

import os
import subprocess
import sys
from typing import Any

import pytest
import typer

from deepfake_client import ClientSettings
from deepfake_client.command_line.variables import NAMES, PREFIX, warn_of_unknown_variables
from deploy.console import exits_with_one_line
from deploy.settings import DeploySettings
from gateway import GatewaySettings
from tests.deploy.settings_variables import variables_of
from tests.docs.programs import MODULES, PROGRAMS
from tests.service import ROOT


def test_the_list_holds_every_setting_and_option_and_no_other() -> None:
    names = {name for model in (ClientSettings, DeploySettings, GatewaySettings) for name in variables_of(model)}
    for app in (*PROGRAMS.values(), *MODULES.values()):
        command: Any = typer.main.get_command(app)
        for one in getattr(command, "commands", {"": command}).values():
            for option in one.params:
                given = getattr(option, "envvar", None) or []
                names |= {given} if isinstance(given, str) else set(given)
    assert {name.removeprefix(PREFIX) for name in names if name.startswith(PREFIX)} == NAMES


def test_a_program_tells_the_nearest_name() -> None:
    variables = {"DEEPFAKE_TRITON_ULR": "a:8001", "DEEPFAKE_SOMETHING_ELSE": "1", "DEEPFAKE_TRITON_URL": "b:8001"}
    done = subprocess.run(
        [sys.executable, "-m", "gateway", "--version"],
        cwd=ROOT, env={**os.environ, **variables}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stderr.splitlines() == [
        "WARNING: no setting is called DEEPFAKE_SOMETHING_ELSE: docs/settings.md has them all",
        "WARNING: no setting is called DEEPFAKE_TRITON_ULR: did you mean DEEPFAKE_TRITON_URL?",
    ]


def test_a_container_s_program_tells_it_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DEEPFAKE_START_TIMEOUT", "5")
    warn_of_unknown_variables.cache_clear()
    for _ in range(2):
        with exits_with_one_line("triton"):
            pass
    assert capsys.readouterr().err == (
        "WARNING: no setting is called DEEPFAKE_START_TIMEOUT: did you mean DEEPFAKE_START_TIMEOUT_S?\n"
    )
