"""ConfigMaps and Secrets as a kubelet mounts and renews them: links to a folder that is swapped as a whole."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from deepfake_client import ModelInfo
from deepfake_client.scorer import Deadline, Scoring

from gateway.access.api_keys import ApiKeys, key_line, new_key
from gateway.following_scorer import FollowingScorer


class MountedVolume:
    """A folder with one file, as the kubelet makes it."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._name = name
        self._version = 0
        folder.mkdir()
        self.file = folder / name

    def renew(self, text: str) -> None:
        """What a change of the ConfigMap or Secret ends in."""
        self._version += 1
        version = self._folder / f"..{self._version}"
        version.mkdir()
        (version / self._name).write_text(text)
        (version / self._name).chmod(0o440)
        temporary = self._folder / "..data_tmp"
        temporary.symlink_to(version.name)
        temporary.replace(self._folder / "..data")
        if not self.file.is_symlink():
            self.file.symlink_to(f"..data/{self._name}")


class Recorder:
    """A scorer that says where it would have gone."""

    def __init__(self, url: str, asked: list[str]) -> None:
        self._url = url
        self._asked = asked

    def info(self, deadline: Deadline) -> ModelInfo:
        raise NotImplementedError

    def score(self, images: Sequence[bytes], deadline: Deadline, request_id: str = "") -> Scoring:
        self._asked.append(self._url)
        return None  # type: ignore[return-value]

    def close(self) -> None:
        """Nothing to close."""


def test_a_running_gateway_follows_the_target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.following_scorer._LOOK_S", 0.0)
    volume = MountedVolume(tmp_path / "deepfake", "triton-url")
    volume.renew("dns://triton-blue:8001")
    asked: list[str] = []
    scorer = FollowingScorer(volume.file, lambda url: Recorder(url, asked), outage_wait_s=0)
    scorer.score([b""], Deadline(1))
    volume.renew("dns://triton-green:8001")
    scorer.score([b""], Deadline(1))
    assert asked == ["dns://triton-blue:8001", "dns://triton-green:8001"]


def test_a_running_gateway_takes_new_keys(tmp_path: Path) -> None:
    volume = MountedVolume(tmp_path / "secrets", "api-keys")
    first, second = new_key(), new_key()
    volume.renew(f"{key_line('one', first)}\n")
    keys = ApiKeys(volume.file)
    assert (keys.owner(first), keys.owner(second)) == ("one", None)
    volume.renew(f"{key_line('two', second)}\n")
    assert (keys.owner(first), keys.owner(second)) == (None, "two")
