"""What the parts measure with: servers that start when first asked for, frames, the checkpoint, the options."""

import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType

from benchmark.frames import FrameSupply, make_face_frames
from benchmark.servers import ROOT, Server, ServerError, serve_litserve, serve_mosec, serve_ours, serve_plain
from export.checkpoint.hub import locate_checkpoint
from export.errors import HubUnreachableError

PRECISIONS = ("fp32", "bf16", "int8")
_POOL = 120
_DEFAULT_CHECKPOINT = "prithivMLmods/Deepfake-Detect-Siglip2"
_EMBEDDED = ROOT / "deploy" / "embedded_checkpoint"


class LeftOutError(Exception):
    """A part cannot be measured with these options; the message says why."""


@dataclass(frozen=True)
class RunOptions:
    """Options of `deepfake-bench run`.

    Attributes:
        folder: Frames, releases and logs, kept from run to run.
        checkpoint: Directory or hub id of the model.
        precisions: Which of ours are measured.
        rounds: Interleaved rounds.
        window_s: Seconds of one closed loop; open loops take four times as long.
        requests: Timed requests of 30 frames in a round; single images are five times as many.
        versus: Another checkout of the project, whose service takes the place of the plain one as the baseline.
        gateway: Base URL of a running deployment: nothing is started, and it is measured.
        media_root: Folder that it reads extractedFrames from, as seen from here.
    """

    folder: Path
    checkpoint: str = _DEFAULT_CHECKPOINT
    precisions: tuple[str, ...] = PRECISIONS
    rounds: int = 3
    window_s: float = 5.0
    requests: int = 3
    versus: Path | None = None
    gateway: str = ""
    media_root: Path | None = None


class Bench:
    """One run's servers and frames; a context manager that ends them."""

    def __init__(self, options: RunOptions, say: Callable[[str], None]) -> None:
        """Starts nothing yet."""
        self.options = options
        self.say = say
        self.folder = options.folder.resolve()
        self.media_root = (options.media_root or self.folder / "media").resolve()
        self._refused: dict[str, str] = {}
        self._stack = ExitStack()
        self._servers: dict[str, Server] = {}

    def __enter__(self) -> "Bench":
        return self

    def __exit__(self, _t: type[BaseException] | None, _e: BaseException | None, _at: TracebackType | None) -> None:
        self._stack.close()

    @cached_property
    def checkpoint(self) -> Path:
        """The model's directory; the embedded one where the hub cannot be reached.

        Raises:
            CheckpointError: There is no such model.
        """
        try:
            return locate_checkpoint(self.options.checkpoint).path
        except HubUnreachableError as error:
            self.say(f"{error}; the small embedded model is measured")
            return _EMBEDDED

    @cached_property
    def frames_folder(self) -> Path:
        """Folder with the pool of different frames, as JPEG files."""
        return make_face_frames(self.folder / "frames", _POOL)[0].parent

    @cached_property
    def supply(self) -> FrameSupply:
        """Frames that no server has seen, below the media root."""
        run = self.media_root / "deepfake-bench"
        self._stack.callback(shutil.rmtree, run, ignore_errors=True)
        return FrameSupply(sorted(self.frames_folder.glob("*.jpg")), run)

    def ours(self) -> dict[str, Server]:
        """Our service by precision, without those that cannot be exported; a running deployment by "".

        Raises:
            ServerError: None starts.
        """
        if self.options.gateway:
            return {"": Server("ours", self.options.gateway.rstrip("/"), "/detect")}
        found = {}
        for precision in self.options.precisions:
            try:
                if precision not in self._refused:
                    found[precision] = self._ours(f"ours {precision}", precision, ROOT)
            except ServerError as error:
                self._refused[precision] = str(error)
                self.say(str(error))
        if not found:
            raise ServerError("; ".join(self._refused.values()))
        return found

    def baselines(self) -> list[Server]:
        """What ours is compared with, the first above all: plain services with batches of 1 and 8, or `versus`."""
        if self.options.gateway:
            return []
        if self.options.versus:
            return [self._ours(f"other {one}", one, self.options.versus.resolve()) for one in self.options.precisions]
        return [self.plain(1), self.plain(8)]

    def plain(self, batch: int) -> Server:
        """The plain Flask + transformers service over the same checkpoint."""
        return self._start(f"plain b{batch}", lambda at: serve_plain(self.checkpoint, self._media_root(), batch, at))

    def frameworks(self, precision: str) -> list[Server]:
        """LitServe and mosec over the release of our service of this precision."""
        release = self.release(precision)
        return [
            self._start("LitServe", lambda folder: serve_litserve(release, folder)),
            self._start("mosec", lambda folder: serve_mosec(release, folder)),
        ]

    def release(self, precision: str) -> Path:
        """The release that our service of this precision serves.

        Raises:
            LeftOutError: Only a running deployment is measured.
        """
        if self.options.gateway:
            raise LeftOutError("a running deployment is measured, and nothing is started beside it")
        return (self._folder(f"ours {precision}") / "releases" / "current").resolve()

    def _ours(self, name: str, precision: str, checkout: Path) -> Server:
        return self._start(
            name, lambda folder: serve_ours(name, self.checkpoint, precision, self._media_root(), folder, checkout)
        )

    def _media_root(self) -> Path:
        self.media_root.mkdir(parents=True, exist_ok=True)
        return self.media_root

    def _folder(self, name: str) -> Path:
        return self.folder / "servers" / name.replace(" ", "-")

    def _start(self, name: str, serve: Callable[[Path], AbstractContextManager[Server]]) -> Server:
        if name not in self._servers:
            self.say(f"starting {name}")
            self._servers[name] = self._stack.enter_context(serve(self._folder(name)))
        return self._servers[name]
