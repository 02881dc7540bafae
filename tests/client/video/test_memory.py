"""The limit of memory that a container or a systemd unit has, on either version of control groups."""

from pathlib import Path

import pytest

from deepfake_client.video.memory import memory_limit_bytes

GIB = 2**30


@pytest.mark.parametrize(
    ("own", "limits", "expected"),
    [
        ("0::/", {"memory.max": "1073741824\n"}, GIB),
        ("0::/", {"memory.max": "max\n"}, None),
        ("0::/", {}, None),
        ("0::/a/b", {"a/memory.max": "3", "a/b/memory.max": "max", "memory.max": "5"}, 3),
        ("0::/seen/by/the/host/alone", {"memory.max": "7"}, 7),
        ("5:cpu,memory:/docker/1\n1:name=systemd:/", {"memory/docker/1/memory.limit_in_bytes": "9"}, 9),
        ("5:memory:/docker/1", {"memory/memory.limit_in_bytes": "9"}, 9),
        ("4:cpu:/a\n0::/", {"memory/memory.limit_in_bytes": "9"}, None),
    ],
)
def test_the_smallest_limit_around_this_process(
    tmp_path: Path, own: str, limits: dict[str, str], expected: int | None
) -> None:
    (tmp_path / "own").write_text(own)
    for name, limit in limits.items():
        file = tmp_path / "cgroup" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(limit)
    assert memory_limit_bytes(tmp_path / "cgroup", tmp_path / "own") == expected
    assert memory_limit_bytes(tmp_path / "cgroup", tmp_path / "nowhere") is None
