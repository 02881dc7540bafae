"""The start of the compose file's Grafana: no default password, whatever is left out."""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "deploy" / "monitoring" / "grafana" / "start.sh"


@pytest.fixture
def grafana(tmp_path: Path) -> Path:
    """What the script hands over to: it prints the password that it got."""
    program = tmp_path / "run.sh"
    program.write_text('#!/bin/sh\necho "password=$GF_SECURITY_ADMIN_PASSWORD"\n')
    program.chmod(0o755)
    (tmp_path / "data").mkdir()
    return program


def start(grafana: Path, password_file: Path) -> "subprocess.CompletedProcess[str]":
    env = {
        "PATH": os.environ["PATH"], "GRAFANA_RUN": str(grafana), "PASSWORD_FILE": str(password_file),
        "GF_PATHS_DATA": str(grafana.parent / "data"),
    }  # fmt: skip
    return subprocess.run(["/bin/sh", SCRIPT], env=env, capture_output=True, text=True, check=False)


def test_the_secret_is_the_password(grafana: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("correct horse\n")
    assert start(grafana, tmp_path / "secret").stdout == "password=correct horse\n"
    assert list((tmp_path / "data").iterdir()) == []


def test_without_one_a_password_is_made_once_and_kept_private(grafana: Path, tmp_path: Path) -> None:
    none = ROOT / "deploy" / "docker" / "none"
    first, second = start(grafana, none), start(grafana, none)
    assert first.returncode == second.returncode == 0
    passwords = [line for line in first.stdout.splitlines() if line.startswith("password=")]
    assert passwords == [line for line in second.stdout.splitlines() if line.startswith("password=")]
    assert len(passwords[0]) > len("password=") + 24
    kept = tmp_path / "data" / "admin-password"
    assert passwords[0] == f"password={kept.read_text().strip()}"
    assert kept.stat().st_mode & 0o077 == 0
    # The log says where it is, not what it is.
    announced = [line for line in first.stdout.splitlines() if line.startswith("start:")]
    assert announced == [f"start: user admin; the password is in {kept}"]
    kept.unlink()
    assert f"\n{passwords[0]}\n" not in start(grafana, none).stdout  # another one the next time


def test_an_unreadable_or_blank_secret_starts_nothing(grafana: Path, tmp_path: Path) -> None:
    (tmp_path / "blank").write_text("\n")
    done = start(grafana, tmp_path / "blank")
    assert done.returncode == 1
    assert "holds no password" in done.stderr
    assert done.stdout == ""
