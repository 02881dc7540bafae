"""`make test-gpu`, `python -m tests.gpu`: what only a machine with an NVIDIA GPU can show, PASS or FAIL for each claim.

Exports a checkpoint for every backend of NVIDIA's image, each through the parity gate on this GPU; serves each release
with the image's tritonserver; scores batches of every size and the golden images; and shows that a release of another
GPU is refused. Run it in NVIDIA's Triton image (docs/kubernetes.md). Takes some minutes for each release: TensorRT
times its kernels. It has not run on a GPU where it was written; its tests drive it with a stand-in for the GPU.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from deepfake_client.errors import DetectionError
from deepfake_client.pictures import canary_image
from deepfake_client.scorer import Deadline
from deepfake_client.settings import ClientSettings
from deepfake_client.triton.scorer import TritonScorer
from deploy.errors import DeployError, PreflightError, StartError
from deploy.gpu_release import check_gpu
from deploy.triton.addresses import ServerAddresses
from deploy.triton.program import find_server
from deploy.triton.server import TritonServer
from deploy.triton.shared_memory import region_prefix
from export.checkpoint.hub import LocatedCheckpoint, locate_checkpoint
from export.errors import ExportError
from export.gate.parity import tolerance_of
from export.release import Release, warmed_batches
from export.report import REPORT_FILE
from export.run import export_checkpoint
from export.settings import ExportSettings
from runtime import BuiltOn, ClassifierLoadError, ClassifierRunError, RuntimeSpec
from runtime.free_ports import free_ports
from runtime.gpu import visible_gpus

EXIT_FAILED = 1
EXIT_NO_GPU = 3
_START_TIMEOUT_S = 1800.0
_SCORE_TIMEOUT_S = 120.0
_POLL_S = 0.2
_END_S = 15.0
_FAULTS = (ExportError, DeployError, DetectionError, ClassifierLoadError, ClassifierRunError, OSError)


@dataclass(frozen=True)
class Case:
    """A release to make: backend and precision."""

    backend: str
    precision: str

    @property
    def name(self) -> str:
        """As in the list of claims."""
        return f"{self.backend}/{self.precision}"


CASES = (
    Case("tensorrt", "bf16"),
    Case("tensorrt", "fp16"),
    Case("tensorrt", "fp32"),
    Case("onnxruntime", "fp32"),
    Case("onnxruntime", "fp16"),
)


@dataclass
class Claims:
    """What was checked so far."""

    failed: list[str] = field(default_factory=list)
    passed: int = 0

    def check(self, name: str, claim: Callable[[], str]) -> bool:
        """Prints PASS with what the claim says of itself, or FAIL with why it does not hold."""
        try:
            detail = claim()
        except _FAULTS as error:
            self.failed.append(name)
            print(f"FAIL  {name}: {error}", flush=True)
            return False
        self.passed += 1
        print(f"PASS  {name}: {detail}", flush=True)
        return True


def run(checkpoint: LocatedCheckpoint, cases: Sequence[Case], folder: Path) -> Claims:
    """Checks every claim.

    Args:
        checkpoint: What is exported.
        cases: What it is exported for.
        folder: Where releases are made.
    """
    claims = Claims()
    for case in cases:
        made: list[Release] = []
        if not claims.check(f"{case.name} passes the gate", partial(_export, checkpoint, case, folder, made)):
            continue
        release = made[0]
        claims.check(f"{case.name} is served", partial(_serve, release, case))
        if RuntimeSpec.load(_classifier(release)).built_on is not None:
            claims.check(f"{case.name} is refused on another GPU", partial(_refused_elsewhere, release))
    return claims


def _export(checkpoint: LocatedCheckpoint, case: Case, folder: Path, made: list[Release]) -> str:
    settings = ExportSettings(
        releases_dir=folder / "releases",
        precision=case.precision,
        backend=case.backend,
        gpu=True,
    )
    made.append(export_checkpoint(checkpoint, settings))
    report = json.loads((made[0].path / REPORT_FILE).read_text(encoding="utf-8"))
    parity = report["parity"]
    return (
        f"max |dp| {parity['max_dp']:.2g}, between batches {parity['max_batch_dp']:.2g}, over {parity['images']} "
        f"images; exported in {report['duration_s']:.0f} s"
    )


def _serve(release: Release, case: Case) -> str:
    """Starts the server, and scores the same images alone and in every batch that is warmed."""
    for warning in check_gpu(release):
        print(f"      warning: {warning}")
    with _running(release) as (grpc_url, ready_s):
        spread = _spread(grpc_url, warmed_batches(release.repository))
    limit = tolerance_of(case.precision, gpu=True).max_batch_dp
    if spread > limit:
        raise DeployError(f"one image scores {spread:.2g} apart in batches of other sizes, {limit:g} is allowed")
    golden = "golden images scored as recorded" if (release.path / "golden").is_dir() else "no golden images"
    return f"ready after {ready_s:.1f} s, batches agree within {spread:.2g}, {golden}"


@contextmanager
def _running(release: Release, timeout_s: float = _START_TIMEOUT_S) -> Iterator[tuple[str, float]]:
    """Serves a release until the context ends; yields the gRPC address and the seconds until it was ready.

    It is ready when it has scored a batch of every size that is warmed, and the golden images.

    Raises:
        StartError: It ended, took too long, or scores the golden images otherwise than recorded.
    """
    http, grpc, metrics = free_ports(3)
    addresses = ServerAddresses("127.0.0.1", http, grpc, metrics)
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="deepfake-triton-") as name, region_prefix(Path(name)) as prefix:
        server = TritonServer(release, addresses, prefix, Path(name), canary_interval_s=5.0, log=Path(name) / "log")
        try:
            while not server.ready:
                reason = server.failure()
                if not reason and time.monotonic() - started > timeout_s:
                    reason = f"was not ready within {timeout_s:g} s"
                if reason:
                    raise StartError(f"Triton {reason}:\n{server.child.log_tail()}")
                time.sleep(_POLL_S)
            yield addresses.grpc_url, time.monotonic() - started
        finally:
            server.end(_END_S)


def _spread(grpc_url: str, batches: Sequence[int]) -> float:
    """Largest difference of one image's fake probability between batches of these sizes."""
    images = [canary_image() for _ in range(max(batches))]
    scorer = TritonScorer(grpc_url, ClientSettings(chunk_frames=max(batches)))
    try:
        scores = [_in_requests_of(size, images, scorer) for size in batches]
    finally:
        scorer.close()
    return float(max(max(values) - min(values) for values in zip(*scores, strict=True)))


def _in_requests_of(size: int, images: Sequence[bytes], scorer: TritonScorer) -> list[float]:
    """The images' fake probabilities from requests of one size, one after another: Triton would join them otherwise."""
    found: list[float] = []
    for start in range(0, len(images), size):
        for score in scorer.score(images[start : start + size], Deadline(_SCORE_TIMEOUT_S), "gpu-check").scores:
            if score.fake_probability is None:
                raise DeployError(f"an image was not scored: {score.status}")
            found.append(score.fake_probability)
    return found


def _refused_elsewhere(release: Release) -> str:
    other = replace(BuiltOn.here(), gpu="NVIDIA Imaginary 1", compute_capability="1.0")
    try:
        check_gpu(release, lambda: other)
    except PreflightError as error:
        return str(error)
    raise DeployError("a release that was built for another GPU is taken")


def _classifier(release: Release) -> Path:
    return release.repository / "classifier" / "1"


def main() -> None:
    """Exit codes: 0 every claim passed, 1 one failed, 2 usage, 3 there is no GPU and nothing was checked."""
    parser = argparse.ArgumentParser(prog="python -m tests.gpu", description=__doc__)
    parser.add_argument("--checkpoint", required=True, help="hub id, or a directory that transformers loads")
    parser.add_argument("--folder", type=Path, help="where releases are made; a temporary one by default")
    parser.add_argument("--only", nargs="+", choices=[case.name for case in CASES], help="these releases alone")
    arguments = parser.parse_args()
    os.environ.setdefault("TRITON_SERVER_DIR", "/opt/tritonserver")  # as in NVIDIA's image; no wheel serves a GPU
    try:
        gpus = visible_gpus()
    except ClassifierLoadError as error:
        print(f"gpu_check: nothing was checked: {error}", file=sys.stderr)
        sys.exit(EXIT_NO_GPU)
    try:
        find_server()
        checkpoint = locate_checkpoint(arguments.checkpoint)
    except (DeployError, ExportError) as error:
        sys.exit(f"gpu_check: {error}")
    print(f"on {'; '.join(sorted({str(gpu) for gpu in gpus}))}", flush=True)
    cases = [case for case in CASES if not arguments.only or case.name in arguments.only]
    with tempfile.TemporaryDirectory(prefix="deepfake-gpu-") as temporary:
        claims = run(checkpoint, cases, arguments.folder or Path(temporary))
    print(f"{claims.passed} passed, {len(claims.failed)} failed", flush=True)
    sys.exit(EXIT_FAILED if claims.failed else 0)


if __name__ == "__main__":
    main()
