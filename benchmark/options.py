"""What a run of the benchmark is told."""

from dataclasses import dataclass, field
from pathlib import Path

from assets import default_cache_dir

PRECISIONS = ("fp32", "bf16", "int8")


@dataclass(frozen=True)
class Remote:
    """A deployment that runs already; nothing is started for it.

    Attributes:
        gateway: Base URL of the HTTP gateway.
        grpc: host:port of Triton's gRPC endpoint, "" without.
        metrics: URL of Triton's metrics, "" without.
        media_root: Folder on this machine that the gateway reads `extractedFrames` from; None where there is none.
    """

    gateway: str
    grpc: str = ""
    metrics: str = ""
    media_root: Path | None = None


@dataclass(frozen=True)
class RunOptions:
    """Options of `deepfake-bench run`.

    Attributes:
        folder: Where frames, checkpoint, releases and logs are kept from run to run.
        checkpoint: Directory of the model; None: a seeded one of full size is made.
        precisions: Which of ours are measured.
        detail: The precision of the parts that look at one only.
        rounds: Interleaved rounds.
        window_s: Length of one closed-loop measurement.
        video_requests: Requests of 30 frames that a server gets in a round.
        single_requests: Single images that a server gets in a round of the latency part.
        open_requests: Requests of one open-loop measurement, at most.
        perf_analyzer: Path of the program, None without it.
        remote: A running deployment to measure instead of starting servers.
        quick: Small inputs: to try the harness, not to measure.
    """

    folder: Path = field(default_factory=lambda: default_cache_dir() / "benchmark")
    checkpoint: Path | None = None
    precisions: tuple[str, ...] = PRECISIONS
    detail: str = "bf16"
    rounds: int = 3
    window_s: float = 5.0
    video_requests: int = 2
    single_requests: int = 15
    open_requests: int = 300
    perf_analyzer: str | None = None
    remote: Remote | None = None
    quick: bool = False

    def quickened(self) -> "RunOptions":
        """The same with one round and short windows."""
        from dataclasses import replace

        return replace(
            self, rounds=1, window_s=min(self.window_s, 2.0), video_requests=1, single_requests=3, open_requests=20,
            quick=True,
        )  # fmt: skip
