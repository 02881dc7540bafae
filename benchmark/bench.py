"""What the parts measure with: servers that start when first asked for, frames, the checkpoint, the options."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import TYPE_CHECKING

from benchmark.frame_supply import FrameSupply
from benchmark.options import RunOptions

if TYPE_CHECKING:
    from benchmark.contenders.start import OurService

_OUR_SETTINGS = {"CANARY_INTERVAL_S": "60", "MAX_IN_FLIGHT": "16", "GATEWAY_THREADS": "32"}
"""What differs from `make serve`: canaries of idle services would compute beside the measured one every few seconds,
and sixteen clients may meet the same worker."""

POOL = 300
"""Different pictures: as many as a server is sent in all rounds of 30-frame requests."""


@dataclass(frozen=True)
class ExportOutcome:
    """What became of an export.

    Attributes:
        refusal: The end of its message, "" where there is a release.
        took_s: Little where the release was there already.
    """

    refusal: str
    took_s: float


class ExportFailedError(Exception):
    """deepfake-export refused; the end of its message."""


class LeftOutError(Exception):
    """A part cannot be measured with these options; the message says why."""


@dataclass(frozen=True)
class Target:
    """A running server.

    Attributes:
        name: For tables: `seed b1`, `ours bf16`, ...
        url: Base URL.
        pids: Its processes now, none for a deployment elsewhere.
        grpc: host:port of Triton's gRPC endpoint, "" where there is none.
        metrics: URL of Triton's metrics, "" where there is none.
        route: Where a single image is posted: `/detect` takes a form, `/predict` the bytes.
        video: Whether it takes `POST /api/v1/inference`.
    """

    name: str
    url: str
    pids: Callable[[], list[int]]
    grpc: str = ""
    metrics: str = ""
    route: str = ""
    video: bool = True


class Bench:
    """One run's servers and frames; a context manager that ends them."""

    def __init__(self, options: RunOptions, say: Callable[[str], None]) -> None:
        """Starts nothing yet."""
        self.options = options
        self.say = say
        self.folder = options.folder.resolve()
        self.media_root = (options.remote and options.remote.media_root) or self.folder / "media"
        self._stack = ExitStack()
        self._targets: dict[str, Target] = {}
        self.exports: dict[str, ExportOutcome] = {}
        self._supply: FrameSupply | None = None
        self._checkpoint = options.checkpoint

    @property
    def checkpoint(self) -> Path:
        """The model's directory."""
        if self._checkpoint is None:
            from benchmark.checkpoint import make_spread_checkpoint

            self.say("making a full-size checkpoint with seeded weights (once)")
            self._checkpoint = make_spread_checkpoint()
        return self._checkpoint.resolve()

    @cached_property
    def precisions(self) -> tuple[str, ...]:
        """Those of the options that can be exported for this machine; `exports` says why others cannot.

        Raises:
            ExportFailedError: None can.
        """
        good, reason = [], ""
        for precision in self.options.precisions:
            try:
                self.release(precision)
                good.append(precision)
            except ExportFailedError as error:
                reason = str(error)
                self.say(reason)
        if not good:
            raise ExportFailedError(reason)
        return tuple(good)

    @property
    def detail(self) -> str:
        """The precision of the parts that look at one only; another one where it cannot be exported."""
        if self.options.remote or self.options.detail in self.precisions:
            return self.options.detail
        return self.precisions[-1]

    @property
    def frames_folder(self) -> Path:
        """Folder with the pool of different frames, as JPEG files."""
        from benchmark.frames import make_face_frames

        count = 30 if self.options.quick else POOL
        folder = self.folder / f"frames-{count}"
        make_face_frames(folder, count)
        return folder

    @property
    def supply(self) -> FrameSupply:
        """Frames that no server has seen."""
        if self._supply is None:
            self.media_root.mkdir(parents=True, exist_ok=True)
            pool = sorted(self.frames_folder.glob("*.jpg"))
            run = self._stack.enter_context(TemporaryDirectory(prefix="bench-", dir=self.media_root))
            self._supply = FrameSupply(pool, Path(run))
        return self._supply

    def started(self) -> list[Target]:
        """Every server that runs."""
        return list(self._targets.values())

    def ours(self, precision: str, instances: int = 0) -> Target:
        """Our service, with its own releases folder so that a second run exports nothing.

        Raises:
            LeftOutError: Only a running deployment is measured, and it is not this one.
        """
        if self.options.remote:
            return self._target("ours", self._remote)
        name = f"ours {precision}" + (f", {instances} preprocess" if instances else "")
        return self._target(name, lambda: self._start_ours(name, precision, instances))

    def seed(self, batch: int) -> Target:
        """The seed's own service over the same checkpoint."""
        return self._target(f"seed b{batch}", lambda: self._start_seed(batch))

    def litserve(self, precision: str) -> Target:
        """The same release behind LitServe."""
        return self._target("LitServe", lambda: self._start_other("LitServe", precision))

    def mosec(self, precision: str) -> Target:
        """The same release behind mosec."""
        return self._target("mosec", lambda: self._start_other("mosec", precision))

    def release(self, precision: str) -> Path:
        """Our release of this precision, exported unless it is there.

        Raises:
            LeftOutError: Only a running deployment is measured.
            ExportFailedError: The export refused the checkpoint.
        """
        return self._export(precision, 0)

    def __enter__(self) -> "Bench":
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _at: TracebackType | None
    ) -> None:
        self._targets.clear()
        self._stack.close()

    def _target(self, name: str, start: Callable[[], Target]) -> Target:
        if name not in self._targets:
            if self.options.remote is None:
                self.say(f"starting {name}")
            self._targets[name] = start()
        return self._targets[name]

    def _remote(self) -> Target:
        remote = self.options.remote
        assert remote is not None
        return Target(
            "ours",
            remote.gateway.rstrip("/"),
            list,
            remote.grpc,
            remote.metrics,
            "/detect",
            remote.media_root is not None,
        )

    def _refuse_remote(self) -> None:
        if self.options.remote:
            raise LeftOutError("a running deployment is measured, and nothing is started beside it")

    def serve_ours(self, precision: str, logs: Path, instances: int = 0) -> "AbstractContextManager[OurService]":
        """Our service as a context manager, its release exported before."""
        from benchmark.contenders.start import serve_ours

        self.media_root.mkdir(parents=True, exist_ok=True)
        self._export(precision, instances)
        environment = {**_OUR_SETTINGS, **_choices(precision, instances)}
        return serve_ours(self.checkpoint, self._releases(precision, instances), self.media_root, logs, environment)

    def _export(self, precision: str, instances: int) -> Path:
        """Apart from starting, since it may take longer than a start may."""
        releases = self._releases(precision, instances)
        outcome = self.exports.get(releases.name)
        if outcome is None:
            self.say(f"exporting {releases.name} unless it is there")
            started = time.monotonic()
            command = [sys.executable, "-m", "export", "--checkpoint", str(self.checkpoint)]
            environment = {**os.environ, **_choices(precision, instances), "RELEASES_DIR": str(releases)}
            done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
            refusal = " ".join(done.stderr.split())[-400:] if done.returncode else ""
            outcome = self.exports[releases.name] = ExportOutcome(refusal, time.monotonic() - started)
        if outcome.refusal:
            raise ExportFailedError(f"deepfake-export --precision {precision}: {outcome.refusal}")
        return (releases / "current").resolve()

    def _releases(self, precision: str, instances: int) -> Path:
        self._refuse_remote()
        return self.folder / "releases" / (f"{precision}-{instances}" if instances else precision)

    def _start_ours(self, name: str, precision: str, instances: int) -> Target:
        server = self._stack.enter_context(self.serve_ours(precision, self._logs(name), instances))
        return Target(name, server.url, server.pids, server.grpc, server.metrics_url, "/detect")

    def _start_seed(self, batch: int) -> Target:
        self._refuse_remote()
        from benchmark.contenders.start import serve_seed

        self.media_root.mkdir(parents=True, exist_ok=True)
        name = f"seed b{batch}"
        server = self._stack.enter_context(serve_seed(self.checkpoint, self.media_root, batch, self._logs(name)))
        return Target(name, server.url, server.pids, route="/predict")

    def _start_other(self, name: str, precision: str) -> Target:
        self._refuse_remote()
        from benchmark.contenders import start

        serve = start.serve_litserve if name == "LitServe" else start.serve_mosec
        server = self._stack.enter_context(serve(self.release(precision), self._logs(name)))
        return Target(name, server.url, server.pids, route="/predict", video=False)

    def _logs(self, name: str) -> Path:
        folder = self.folder / "servers" / name.replace(" ", "-").replace(",", "")
        folder.mkdir(parents=True, exist_ok=True)
        return folder


def _choices(precision: str, instances: int) -> dict[str, str]:
    return {"PRECISION": precision, **({"INSTANCES": str(instances)} if instances else {})}
