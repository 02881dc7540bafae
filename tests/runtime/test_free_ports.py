import socket
import subprocess
import sys
from pathlib import Path

import pytest

from runtime import free_ports as module
from runtime.free_ports import free_ports


def test_they_are_all_different_and_free_on_every_address() -> None:
    ports = free_ports(200)
    assert len(set(ports)) == 200
    for port in ports:
        with socket.socket() as one:
            one.bind(("", port))


def test_no_outgoing_connection_is_given_one_of_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "range").write_text("12000 60999\n")
    monkeypatch.setattr(module, "_EPHEMERAL", tmp_path / "range")
    assert max(free_ports(200)) < 12000


def test_a_port_in_use_is_not_among_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        used = taken.getsockname()[1]
        (tmp_path / "range").write_text(f"{used + 2} 60999\n")
        monkeypatch.setattr(module, "_EPHEMERAL", tmp_path / "range")
        monkeypatch.setattr(module, "_FIRST", used)  # two candidates, of which one is taken
        assert used not in free_ports(2)


def test_two_processes_never_get_the_same_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Each takes most of 300 ports, and has not opened any."""
    (tmp_path / "range").write_text("14300 60999\n")
    monkeypatch.setattr(module, "_EPHEMERAL", tmp_path / "range")
    monkeypatch.setattr(module, "_FIRST", 14000)
    code = (
        "import sys; from pathlib import Path; from runtime import free_ports as module; "
        f"module._EPHEMERAL, module._FIRST = Path({str(tmp_path / 'range')!r}), 14000; "
        "print(*module.free_ports(200), flush=True); sys.stdin.read()"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        theirs = {int(port) for port in other.stdout.readline().split()}
        ours = set(free_ports(200))
        other.communicate()
    assert (len(theirs), len(ours)) == (200, 200)
    assert not theirs & ours
    assert theirs & set(free_ports(290))  # it has ended


@pytest.mark.parametrize("kept", ["1024 65535\n", ""])
def test_where_there_is_no_room_below_them_the_kernel_chooses(
    kept: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "range").write_text(kept)
    monkeypatch.setattr(module, "_EPHEMERAL", tmp_path / "range")
    assert len(set(free_ports(3))) == 3
