"""What the parts measure with: servers that start when first asked for, frames, the checkpoint, the options."""

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path

from benchmark.frames import fresh_frames, make_face_frames
from benchmark.servers import ROOT, BenchError, Server, serve_framework, serve_ours, serve_plain
from export.checkpoint.hub import locate_checkpoint
from export.errors import HubUnreachableError

PRECISIONS = ("fp32", "bf16", "int8")
_POOL = 120
DEFAULT_CHECKPOINT = "prithivMLmods/Deepfake-Detect-Siglip2"
_EMBEDDED = ROOT / "deploy" / "embedded_checkpoint"


@dataclass
class Bench:
    """One run's options, servers and frames; `close` ends the servers.

    Attributes:
        say: Told about the progress, a line at a time.
        folder: Frames, releases and logs, kept from run to run.
        checkpoint_name: Directory or hub id of the model.
        precisions: Which of ours are measured.
        rounds: Interleaved rounds.
        window_s: Seconds of one closed loop; open loops take four times as long.
        versus: Another checkout of the project, whose service takes the place of the plain one as the baseline.
        gateway: Base URL of a running deployment: nothing is started, and it is measured.
        media_root: Folder that services read extractedFrames from, as seen from here; None for one in `folder`.
    """

    say: Callable[[str], None]
    folder: Path
    checkpoint_name: str = DEFAULT_CHECKPOINT
    precisions: Sequence[str] = PRECISIONS
    rounds: int = 3
    window_s: int = 5
    versus: Path | None = None
    gateway: str = ""
    media_root: Path | None = None
    _stack: ExitStack = field(default_factory=ExitStack, init=False)
    _servers: dict[str, Server] = field(default_factory=dict, init=False)

    def close(self) -> None:
        """Ends the servers."""
        self._stack.close()

    @cached_property
    def checkpoint(self) -> Path:
        """The model's directory; the embedded one where the hub cannot be reached.

        Raises:
            CheckpointError: There is no such model.
        """
        try:
            return locate_checkpoint(self.checkpoint_name).path
        except HubUnreachableError as error:
            self.say(f"{error}; the small embedded model is measured")
            return _EMBEDDED

    @cached_property
    def frames_folder(self) -> Path:
        """Folder with the pool of different frames, as JPEG files."""
        return make_face_frames(self.folder / "frames", _POOL)[0].parent

    @cached_property
    def media(self) -> Path:
        """The media root of every server, as seen from here."""
        folder = (self.media_root or self.folder / "media").resolve()
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    @contextmanager
    def frames(self, count: int) -> Iterator[list[str]]:
        """Frames that no server has seen, as paths below the media root; removed afterwards.

        Raises:
            BenchError: Nobody said where the running deployment reads frames.
        """
        if self.gateway and self.media_root is None:
            raise BenchError("without --media-root no frames can be put where the deployment reads them")
        pool, folder = sorted(self.frames_folder.glob("*.jpg")), self.media / "deepfake-bench"
        try:
            yield [str(path.relative_to(self.media)) for path in fresh_frames(pool, folder, count)]
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    @cached_property
    def ours(self) -> dict[str, Server]:
        """Our service by precision, without those that cannot be exported; a running deployment by "".

        Raises:
            BenchError: None starts.
        """
        if self.gateway:
            return {"": Server("ours", self.gateway.rstrip("/"), "/detect")}
        found = {}
        for precision in self.precisions:
            try:
                found[precision] = self._ours(f"ours {precision}", precision, ROOT)
            except BenchError as error:
                self.say(str(error))
        if not found:
            raise BenchError("none of our services starts; the reasons were said above")
        return found

    def baselines(self) -> list[Server]:
        """What ours is compared with, the first above all: plain services with batches of 1 and 8, or `versus`."""
        if self.gateway:
            return []
        if self.versus:
            return [self._ours(f"other {one}", one, self.versus.resolve()) for one in self.precisions]
        return [self.plain(1), self.plain(8)]

    def plain(self, batch: int) -> Server:
        """The plain Flask + transformers service over the same checkpoint."""
        return self._start(f"plain b{batch}", lambda at: serve_plain(self.checkpoint, self.media, batch, at))

    def frameworks(self, precision: str) -> list[Server]:
        """LitServe and mosec over the release of our service of this precision."""
        release = self.release(precision)
        return [self._start(name, partial(serve_framework, name, release)) for name in ("LitServe", "mosec")]

    def release(self, precision: str) -> Path:
        """The release that our service of this precision serves.

        Raises:
            BenchError: Only a running deployment is measured.
        """
        if self.gateway:
            raise BenchError("a running deployment is measured, and nothing is started beside it")
        return (self._folder(f"ours {precision}") / "releases" / "current").resolve()

    def _ours(self, name: str, precision: str, checkout: Path) -> Server:
        return self._start(name, lambda at: serve_ours(name, self.checkpoint, precision, self.media, at, checkout))

    def _folder(self, name: str) -> Path:
        return self.folder / "servers" / name.replace(" ", "-")

    def _start(self, name: str, serve: Callable[[Path], AbstractContextManager[Server]]) -> Server:
        if name not in self._servers:
            self.say(f"starting {name}")
            self._servers[name] = self._stack.enter_context(serve(self._folder(name)))
        return self._servers[name]
