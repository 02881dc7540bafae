"""The command as users run it: exit codes, messages, and what is served staying untouched."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from huggingface_hub import ModelInfo

from export.checkpoint.hub import LocatedCheckpoint, locate_checkpoint, within
from export.checkpoint.load import load_checkpoint
from export.errors import CheckpointError, HubUnreachableError
from export.release import read_config
from tests.export import checkpoints
from tests.service import ROOT


def deepfake_export(*arguments: str, **env: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "export", *arguments],
        cwd=ROOT, env={**os.environ, **env}, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_export_promotes_and_a_refused_one_leaves_the_served_release_alone(tmp_path: Path) -> None:
    checkpoint = checkpoints.siglip(tmp_path / "checkpoint", {0: "Fake", 1: "Real"})
    releases = tmp_path / "releases"
    arguments = ["--checkpoint", str(checkpoint), "--releases-dir", str(releases), "--parity-images", "8"]
    arguments += ["--instances", "3", "--classifier-instances", "2", "--cores-per-instance", "1"]
    arguments += ["--preferred-batch", "16", "--queue-delay-us", "500"]
    done = deepfake_export(*arguments)
    assert done.returncode == 0, done.stderr
    assert "fake = P(Fake)" in done.stdout
    assert re.search(r"^ *\d+ s  compare fp32 with PyTorch$", done.stderr, re.MULTILINE)
    assert len(done.stderr.splitlines()) <= 8  # progress, and nothing of the libraries
    served = (releases / "current").readlink()
    before = sorted(p.name for p in releases.iterdir())
    repository = releases / "current" / "model_repository"
    preprocess, classifier = (read_config(repository / name / "config.pbtxt") for name in ("preprocess", "classifier"))
    assert [config.instance_group[0].count for config in (preprocess, classifier)] == [3, 2]
    assert classifier.parameters["cores_per_instance"].string_value == "1"
    assert list(classifier.dynamic_batching.preferred_batch_size) == [16]
    assert classifier.dynamic_batching.max_queue_delay_microseconds == 500

    assert "is up to date" in deepfake_export(*arguments).stderr
    refused = deepfake_export(*arguments, "--tolerance", "1e-12")
    assert refused.returncode == 1
    assert re.search(r"max \|dp\| = \S+ over [1-8] images exceeds the tolerance 1e-12", refused.stderr)
    assert "Traceback" not in refused.stderr
    assert (releases / "current").readlink() == served
    assert sorted(p.name for p in releases.iterdir()) == before


def test_usage_errors_exit_2(tmp_path: Path) -> None:
    assert deepfake_export("--precision", "fp7").returncode == 2
    assert deepfake_export("--gpu", "--checkpoint", str(tmp_path)).returncode == 2


def test_a_missing_directory_is_named() -> None:
    with pytest.raises(CheckpointError, match="no such directory"):
        locate_checkpoint("./no/such/folder")


def test_an_unreachable_hub_is_noticed_within_ten_seconds(tmp_path: Path) -> None:
    """A hub that accepts connections and never answers is the slowest way of being unreachable."""
    import socket

    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        started = time.monotonic()
        done = deepfake_export(
            "--checkpoint", "someone/some-model", "--releases-dir", str(tmp_path),
            HF_ENDPOINT=address, HF_HOME=str(tmp_path / "hub"),
        )  # fmt: skip
        elapsed_s = time.monotonic() - started
    assert done.returncode == 1
    assert "the hub cannot be reached" in done.stderr
    assert elapsed_s < 20  # 8 s for the hub, the rest for imports on a busy machine


def test_hub_errors_are_told_apart_from_silence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import huggingface_hub
    import requests
    from huggingface_hub.errors import RepositoryNotFoundError

    def missing(*args: object, **kwargs: object) -> None:
        response = requests.Response()
        response.status_code = 404
        raise RepositoryNotFoundError("no such repository", response=response)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", _nothing_cached)
    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", missing)
    with pytest.raises(CheckpointError, match="HTTP 404") as caught:
        locate_checkpoint("someone/some-model")
    assert not isinstance(caught.value, HubUnreachableError)


def _nothing_cached(*args: object, **kwargs: object) -> str:
    from huggingface_hub.errors import LocalEntryNotFoundError

    raise LocalEntryNotFoundError("nothing cached")


def test_a_download_that_fails_is_no_unreachable_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk must not make the deployment serve another model."""
    import huggingface_hub

    def download(*args: object, local_files_only: bool = False, **kwargs: object) -> str:
        if local_files_only:
            _nothing_cached()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", lambda *args, **kwargs: ModelInfo(id="someone/some-model"))
    with pytest.raises(CheckpointError, match="No space left") as caught:
        locate_checkpoint("someone/some-model")
    assert not isinstance(caught.value, HubUnreachableError)


@pytest.mark.parametrize("missing", ["preprocessor_config.json", "model.safetensors"])
def test_an_interrupted_download_goes_on(missing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    complete = checkpoints.siglip(tmp_path / "complete", {0: "Fake", 1: "Real"})
    partial = checkpoints.siglip(tmp_path / "partial", {0: "Fake", 1: "Real"})
    (partial / missing).unlink()
    monkeypatch.setattr(
        huggingface_hub,
        "snapshot_download",
        lambda *args, local_files_only=False, **kwargs: str(partial if local_files_only else complete),
    )
    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", lambda *args, **kwargs: ModelInfo(id="someone/some-model"))
    assert locate_checkpoint("someone/some-model").path == complete


@pytest.mark.parametrize("name", ["my models/x", "a/b/c", "owner/", "owner/na me"])
def test_what_is_neither_directory_nor_hub_id_is_refused(name: str) -> None:
    with pytest.raises(CheckpointError, match="no such directory"):
        locate_checkpoint(name)


@pytest.mark.parametrize(
    ("precision", "step", "number"),
    [
        ("fp32", "images with PyTorch", signal.SIGTERM),
        ("auto", "compare ", signal.SIGTERM),
        pytest.param("fp32", "images with PyTorch", signal.SIGINT, marks=pytest.mark.long),  # as SIGTERM is
    ],
    ids=["torch", "timed", "ctrl-c"],
)
def test_an_export_that_is_ended_leaves_nothing_behind(
    precision: str, step: str, number: signal.Signals, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    environment = {**os.environ, "MODEL_PATH": str(tiny_checkpoint), "TMPDIR": str(temporary)}
    command = [sys.executable, "-m", "export", "--releases-dir", str(tmp_path / "releases"), "--precision", precision]
    with subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if step in line:
                process.send_signal(number)
                break
        rest = process.stderr.read()
    assert process.returncode == 128 + number, rest
    assert f"ended by {number.name}; what is served has not changed" in rest
    assert list((tmp_path / "releases").iterdir()) == []
    large = [path for path in temporary.rglob("*") if path.is_file() and path.stat().st_size > 100_000]
    assert large == []  # onnxruntime keeps a note of its own there


def test_a_call_that_never_returns_is_given_up() -> None:
    returns = threading.Event()
    try:
        with pytest.raises(TimeoutError):
            within(lambda: returns.wait(60), 0.05)
    finally:
        returns.set()


def test_a_cached_hub_snapshot_needs_no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The layout of the hub's own cache: a checkpoint is found and loaded from it while the hub is out of reach."""
    from huggingface_hub import constants

    commit = "0123456789abcdef0123456789abcdef01234567"
    repository = tmp_path / "hub" / "models--someone--some-model"
    snapshot = checkpoints.siglip(repository / "snapshots" / commit, {0: "Fake", 1: "Real"})
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit)
    (repository / "blobs").mkdir()
    (repository / "blobs" / "5eed").write_text("# A card")
    (snapshot / "README.md").symlink_to("../../blobs/5eed")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    located = locate_checkpoint("someone/some-model")
    assert located == LocatedCheckpoint(snapshot, "someone/some-model", commit)
    loaded = load_checkpoint(located)
    assert (loaded.name, loaded.model_card and loaded.model_card.text) == ("someone/some-model", "# A card")
