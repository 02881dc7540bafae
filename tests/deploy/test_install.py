"""The installer's refusals, in a copy of the checkout that has no .venv yet."""

import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from tests.service import ROOT


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    for name in ("deploy/install.sh", "requirements/local.lock", "client/pyproject.toml", "pyproject.toml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def program(path: Path, script: str) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IEXEC)
    return path


def install(checkout: Path, component: str = "local", **env: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["bash", "deploy/install.sh", component],
        cwd=checkout, env={**os.environ, **env}, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


def test_a_python_that_does_not_fit_is_refused(checkout: Path) -> None:
    old = program(checkout / "bin" / "python3.9", "exit 1")
    done = install(checkout, PYTHON=str(old))
    assert done.returncode == 1
    assert "is not a Python 3.11 or 3.12 with a shared libpython" in done.stderr


def test_no_fitting_python_at_all_says_what_to_install(checkout: Path) -> None:
    for name in ("python3.11", "python3.12", "python3"):
        program(checkout / "bin" / name, "exit 1")
    done = install(checkout, PATH=f"{checkout / 'bin'}:{os.environ['PATH']}", PYTHON="")
    assert done.returncode == 1
    assert "no Python 3.11 or 3.12" in done.stderr
    assert not (checkout / ".venv").exists()


def test_another_platform_is_refused(checkout: Path) -> None:
    program(checkout / "bin" / "uname", '[ "$1" = -s ] && echo Darwin || echo arm64')
    done = install(checkout, PATH=f"{checkout / 'bin'}:{os.environ['PATH']}")
    assert done.returncode == 1
    assert done.stderr.strip() == "install: Linux on x86-64 is needed, this is Darwin arm64: use Docker there"


def test_an_unreachable_package_index_is_one_clear_line(checkout: Path) -> None:
    nowhere = {"PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_RETRIES": "0", "PIP_CONFIG_FILE": os.devnull}
    done = install(checkout, **nowhere, PIP_FIND_LINKS="", PIP_EXTRA_INDEX_URL="", PIP_NO_CACHE_DIR="1")
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1].startswith("install: pip could not install requirements/local.lock")
    assert not (checkout / ".venv" / ".installed-local").exists()


def test_a_missing_browser_names_the_command_where_apt_may_not_be_run(checkout: Path) -> None:
    program(checkout / "bin" / "id", "echo 1000")
    script = (checkout / "deploy" / "install.sh").read_text().replace("/usr/bin/chrom", "/nowhere/chrom")
    (checkout / "deploy" / "install.sh").write_text(script)
    path = f"{checkout / 'bin'}:{os.environ['PATH']}"
    done = install(checkout, "dev", PATH=path, CHROMIUM="", CHROMEDRIVER="")
    assert done.returncode == 1
    assert done.stderr.strip() == (
        "install: the browser of the tests is missing: chromium chromium-driver. "
        "Run: sudo apt-get install --no-install-recommends chromium chromium-driver"
    )
    assert "browser" not in install(checkout, PATH=path, PYTHON="/nowhere/python").stderr


def test_a_browser_of_ones_own_must_exist(checkout: Path) -> None:
    done = install(checkout, "dev", CHROMIUM="/nowhere/chromium")
    assert done.returncode == 1
    assert "CHROMIUM=/nowhere/chromium" in done.stderr
