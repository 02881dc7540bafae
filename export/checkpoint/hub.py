"""From a hub id or a directory to a local checkpoint directory, within a bounded time."""

import json
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from glob import escape
from pathlib import Path
from typing import TypeVar

from export.errors import CheckpointError, HubUnreachableError

HUB_TIMEOUT_S = 8.0
"""How long the hub may take to answer its first request."""

_FILES = ("*.json", "README.md", "golden/*")
_WEIGHTS = ("model*.safetensors", "pytorch_model*.bin")
"""Forms of weights. The first that a repository has is taken: the others hold the same again."""

_INDEX = ".index.json"

PROCESSOR_FILES = ("preprocessor_config.json", "processor_config.json")
"""Either has the settings of the image processor."""

_T = TypeVar("_T")


@dataclass(frozen=True)
class LocatedCheckpoint:
    """A checkpoint on this machine.

    Attributes:
        path: Directory with config.json, the weights and the image processor's settings.
        name: Hub id, or the directory's name.
        revision: Commit of the hub repository, "" for a directory.
    """

    path: Path
    name: str
    revision: str = ""


def locate_checkpoint(
    checkpoint: str, revision: str | None = None, timeout_s: float = HUB_TIMEOUT_S
) -> LocatedCheckpoint:
    """Finds a checkpoint: an existing directory as it is, else a hub id from the hub's local cache or the hub.

    Args:
        checkpoint: Directory, or hub id such as prithivMLmods/Deepfake-Detect-Siglip2.
        revision: Branch, tag or commit of the hub repository.
        timeout_s: How long to wait for the hub's first answer.

    Raises:
        HubUnreachableError: The hub does not answer and the checkpoint is not cached.
        CheckpointError: There is no such directory or repository.
    """
    directory = Path(checkpoint)
    if directory.is_dir():
        return LocatedCheckpoint(directory.resolve(), directory.resolve().name)
    if checkpoint.startswith((".", "/", "~")) or checkpoint.count("/") != 1:
        raise CheckpointError(f"{checkpoint}: no such directory, and not a hub id of the form owner/name")
    snapshot = _cached_snapshot(checkpoint, revision) or _download(checkpoint, revision, timeout_s)
    return LocatedCheckpoint(snapshot, checkpoint, revision=snapshot.name)


def _cached_snapshot(checkpoint: str, revision: str | None) -> Path | None:
    """The snapshot in the hub's cache, if it is complete enough to load."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        path = Path(snapshot_download(checkpoint, revision=revision, local_files_only=True))
    except LocalEntryNotFoundError:
        return None
    except HFValidationError as error:
        raise CheckpointError(f"{checkpoint}: no such directory, and not a hub id: {_first_line(error)}") from error
    return path if _is_complete(path) else None


def _is_complete(snapshot: Path) -> bool:
    """Whether a download got everything that is needed to load; an interrupted one goes on where it was."""
    processor = any((snapshot / name).is_file() for name in PROCESSOR_FILES) or is_timm(snapshot)
    return processor and (snapshot / "config.json").is_file() and any(_has_weights(snapshot, form) for form in _WEIGHTS)


def is_timm(path: Path) -> bool:
    """Whether timm wrote a checkpoint: its config.json describes the image processor, too."""
    try:
        return "pretrained_cfg" in json.loads((path / "config.json").read_bytes())
    except (OSError, ValueError, TypeError):
        return False


def _has_weights(snapshot: Path, form: str) -> bool:
    index = next(snapshot.glob(form + _INDEX), None)
    if index is None:
        return any(snapshot.glob(form))
    try:
        shards = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
    except (ValueError, KeyError, TypeError, AttributeError):
        return False
    return all((snapshot / shard).is_file() for shard in shards)


def _needed(names: Iterable[str]) -> list[str]:
    """Which files of a repository make the checkpoint: no states of the training, no other forms of its weights."""
    top = [name for name in names if "/" not in name or name.startswith("golden/")]
    form = next((form for form in _WEIGHTS if any(fnmatchcase(name, form) for name in top)), _WEIGHTS[0])
    wanted = [name for name in top if any(fnmatchcase(name, kind) for kind in (*_FILES, form))]
    return [name for name in wanted if not name.endswith(_INDEX) or fnmatchcase(name, form + _INDEX)]


def _download(checkpoint: str, revision: str | None, timeout_s: float) -> Path:
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    try:
        # One small request first: the download itself would retry for minutes where the hub is out of reach.
        found = within(lambda: HfApi().model_info(checkpoint, revision=revision, timeout=timeout_s), timeout_s)
    except HfHubHTTPError as error:
        status = getattr(error.response, "status_code", None)
        if status in (401, 403, 404):
            raise CheckpointError(f"the hub has no model {checkpoint} that you may read (HTTP {status})") from error
        raise HubUnreachableError(f"the hub refused {checkpoint}: {_first_line(error)}") from error
    except (OSError, TimeoutError, OfflineModeIsEnabled) as error:
        raise HubUnreachableError(
            f"{checkpoint} is neither a directory nor in the hub's local cache, and the hub cannot be reached "
            f"({type(error).__name__})"
        ) from error
    try:
        names = _needed(file.rfilename for file in found.siblings or ())
        return Path(snapshot_download(checkpoint, revision=revision, allow_patterns=[escape(name) for name in names]))
    except (OSError, HfHubHTTPError) as error:
        # The hub answered, so this is no reason to serve something else: a full disk, no right to write, a lost line.
        raise CheckpointError(f"{checkpoint} could not be downloaded: {_first_line(error)}") from error


def within(call: Callable[[], _T], timeout_s: float) -> _T:
    """Runs a call in a thread and gives up waiting after `timeout_s`: name resolution has no time-out of its own.

    Raises:
        TimeoutError: The call has not returned in time (it is left behind in a daemon thread).
    """
    outcome: list[_T] = []
    failure: list[BaseException] = []

    def run() -> None:
        try:
            outcome.append(call())
        except BaseException as error:
            failure.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(timeout_s)
    if failure:
        raise failure[0]
    if not outcome:
        raise TimeoutError(f"no answer within {timeout_s:g} s")
    return outcome[0]


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), "") or type(error).__name__
