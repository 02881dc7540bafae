"""ConfigMaps and Secrets as a kubelet mounts and renews them: links to a folder that is swapped as a whole."""

from pathlib import Path

from gateway.access.api_keys import ApiKeys, key_line, new_key


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


def test_a_running_gateway_takes_new_keys(tmp_path: Path) -> None:
    volume = MountedVolume(tmp_path / "secrets", "api-keys")
    first, second = new_key(), new_key()
    volume.renew(f"{key_line('one', first)}\n")
    keys = ApiKeys(volume.file)
    assert (keys.owner(first), keys.owner(second)) == ("one", None)
    volume.renew(f"{key_line('two', second)}\n")
    assert (keys.owner(first), keys.owner(second)) == (None, "two")
