import socket
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


@pytest.mark.parametrize("kept", ["1024 65535\n", ""])
def test_where_there_is_no_room_below_them_the_kernel_chooses(
    kept: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "range").write_text(kept)
    monkeypatch.setattr(module, "_EPHEMERAL", tmp_path / "range")
    assert len(set(free_ports(3))) == 3
