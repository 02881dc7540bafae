"""How far a release is from its checkpoint over the whole path: `deepfake-bench drift --release DIR`.

The reference is PyTorch in fp32 with the checkpoint's own image processor, on the face crop that the product uses. The
other side is the product from encoded bytes to probability: in this process, or a running Triton over gRPC. So the
figures hold decoding, face crop, resize, graph and runtime, where the export's own gate sees the graph alone.
"""

import json
import math
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from deepfake_client.connect import create_detector
from deepfake_client.detector import Detector
from deepfake_client.errors import DetectionError
from deepfake_client.release import ModelInfo
from deepfake_client.scorer import Deadline, FrameScore
from deepfake_client.settings import ClientSettings
from PIL import Image
from rich.console import Console
from rich.table import Table

from assets import FACE_MODELS, AssetError, fetch_assets
from benchmark.drift_images import make_images, read_list
from export.checkpoint import checkpoint_digest, load_checkpoint
from export.checkpoint.hub import LocatedCheckpoint
from export.errors import ExportError
from preprocessing import ImageRejectedError, Preparer, PreprocessParams

_TIMEOUT_S = 300.0  # of one request: a machine that also does other work is slow, not away
_MARGIN = 0.02  # decisions this close to 0.5 may fall either way
_WORST = 5


class DriftError(Exception):
    """The two sides cannot be compared."""


@dataclass(frozen=True)
class Drift:
    """What was measured; dp is the difference of an image's fake probability from PyTorch's.

    Attributes:
        precision: As the release says.
        release_id: Of the release that answered.
        images: How many.
        faces: In how many of them the reference found a face.
        face_mismatches: In how many only one of the two found one; the drift of these is not the graph's.
        max_dp: Largest |dp|.
        p95_dp: 95th percentile of the same.
        mean_dp: Mean of the same.
        max_dlogit: Largest |difference| of the log-odds of fake.
        flipped: Decisions at 0.5 that differ, without those whose reference is within 0.48-0.52.
        batch_dp: Largest |difference| of an image's probability alone and in a batch of eight.
        std_p: Spread (standard deviation) of the reference's probabilities.
        worst: File names of the images that drifted most, each with its dp, the worst first.
    """

    precision: str
    release_id: str
    images: int
    faces: int
    face_mismatches: int
    max_dp: float
    p95_dp: float
    mean_dp: float
    max_dlogit: float
    flipped: int
    batch_dp: float
    std_p: float
    worst: dict[str, float]


def measure_drift(checkpoint: Path, target: Path | str, images: Sequence[Path]) -> Drift:
    """Compares the product with PyTorch, image by image.

    Args:
        checkpoint: Directory that the release was exported from.
        target: Directory of a release, or of releases with a `current` one; or host:port of a Triton over gRPC.
        images: Image files; at least one.

    Raises:
        DriftError: There is no image, one could not be scored, or the release is not the checkpoint's.
        ExportError: The checkpoint cannot be loaded.
        ImageRejectedError: An image cannot be decoded.
        DetectionError: The release or server cannot be used.
    """
    if not images:
        raise DriftError("there is no image to measure with")
    encoded = [path.read_bytes() for path in images]
    settings = ClientSettings().model_copy(update={"chunk_frames": 8, "timeout_s": _TIMEOUT_S})
    with create_detector(target, settings) as detector:
        info = detector.info(timeout_s=_TIMEOUT_S)
        if info.checkpoint_sha256 != checkpoint_digest(checkpoint):
            raise DriftError(f"{info.version} was exported from another checkpoint than {checkpoint}")
        scores = [detector.detect(path, timeout_s=_TIMEOUT_S).frames[0].score for path in images]
        batch_dp = _batch_dp(detector, encoded, scores)
    crops = list(face_crops(encoded, PreprocessParams.from_dict(info.preprocess.model_dump())))
    p, log_odds = _reference(checkpoint, info, [crop for crop, _ in crops])
    dp = np.array([_probability(score) for score in scores]) - p
    worst = np.argsort(-np.abs(dp))[:_WORST]
    return Drift(
        precision=info.precision,
        release_id=info.release_id,
        images=len(images),
        faces=sum(has_face for _, has_face in crops),
        face_mismatches=sum(
            (score.face_box_px is not None) != has_face for score, (_, has_face) in zip(scores, crops, strict=True)
        ),
        max_dp=float(np.abs(dp).max()),
        p95_dp=float(np.percentile(np.abs(dp), 95)),
        mean_dp=float(np.abs(dp).mean()),
        max_dlogit=float(np.abs(np.array([_log_odds(score, info) for score in scores]) - log_odds).max()),
        flipped=int((((p + dp > 0.5) != (p > 0.5)) & (np.abs(p - 0.5) > _MARGIN)).sum()),
        batch_dp=batch_dp,
        std_p=float(p.std()),
        worst={images[i].name: float(dp[i]) for i in worst},
    )


def face_crops(encoded: Sequence[bytes], params: PreprocessParams) -> Iterator[tuple[Image.Image, bool]]:
    """Each image as the preprocess model cuts it to its largest face, not resized; and whether a face was found.

    Raises:
        ImageRejectedError: An image breaks a limit or cannot be decoded.
    """
    preparer = Preparer(params, next(iter(fetch_assets(FACE_MODELS).values())).parent)
    try:
        for content in encoded:
            pixels, face = preparer.crop(content)
            yield Image.fromarray(pixels), face is not None
    finally:
        preparer.close()


def drift(
    checkpoint: Annotated[Path, typer.Option(file_okay=False, exists=True, help="The checkpoint that was exported.")],
    release: Annotated[
        list[str], typer.Option(help="A release, a folder of releases, or host:port of a Triton; as often as you like.")
    ],
    images: Annotated[
        Path | None,
        typer.Option(file_okay=False, exists=True, help="A folder of own images instead of the fixed list."),
    ] = None,
    count: Annotated[int, typer.Option(min=0, help="So many images, evenly over the list; 0 for all.")] = 0,
    max_dp: Annotated[float | None, typer.Option(min=0, max=1, help="Exit with 1 if an image drifts more.")] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", dir_okay=False, help="Write the JSON here.")] = None,
) -> None:
    """Measures how far releases are from PyTorch fp32, from encoded image to probability.

    Exit codes: 0 measured; 1 over --max-dp, or a decision flipped; 2 wrong usage, a release is not the checkpoint's, or
    a server cannot be reached.
    """
    try:
        with tempfile.TemporaryDirectory(prefix="deepfake-drift-") as scratch:
            paths = sorted(images.iterdir()) if images else make_images(Path(scratch), read_list())
            paths = [paths[i * len(paths) // count] for i in range(count)] if 0 < count < len(paths) else paths
            targets = [Path(one) if Path(one).is_dir() else one for one in release]
            found = [measure_drift(checkpoint, target, paths) for target in targets]
    except (DriftError, AssetError, ExportError, ImageRejectedError, DetectionError) as error:
        typer.echo(f"deepfake-bench drift: {error}", err=True)
        raise typer.Exit(2) from error
    table = Table("against PyTorch fp32", *(f"{one.precision} {one.release_id[:8]}" for one in found))
    for name, value in asdict(found[0]).items():
        if isinstance(value, int | float):
            table.add_row(name, *(f"{getattr(one, name):.3g}" for one in found))
    table.add_row("worst images", *("\n".join(f"{name} {dp:+.2g}" for name, dp in one.worst.items()) for one in found))
    Console(width=120).print(table)
    if output:
        output.write_text(json.dumps([asdict(one) for one in found], indent=1) + "\n", encoding="utf-8")
    if max_dp is not None and any(one.max_dp > max_dp or one.flipped for one in found):
        raise typer.Exit(1)


def _reference(checkpoint: Path, info: ModelInfo, crops: Sequence[Image.Image]) -> tuple[Any, Any]:
    """PyTorch fp32: (N,) fake probabilities and (N,) log-odds of fake, float64."""
    import torch

    loaded = load_checkpoint(LocatedCheckpoint(checkpoint.resolve(), checkpoint.name), info.fake_labels)
    fake = list(loaded.fake_indices)
    others = [index for index in range(len(loaded.labels)) if index not in fake]
    with torch.inference_mode():
        logits = torch.cat(
            [loaded.model(**loaded.processor(crop, return_tensors="pt")).logits for crop in crops]
        ).double()
        p = logits.softmax(-1)[:, fake].sum(-1)
        return p.numpy(), (logits[:, fake].logsumexp(-1) - logits[:, others].logsumexp(-1)).numpy()


def _probability(score: FrameScore) -> float:
    if score.fake_probability is None:
        raise DriftError(f"an image was not scored: {score.status}")
    return score.fake_probability


def _log_odds(score: FrameScore, info: ModelInfo) -> float:
    if score.probabilities is None:
        raise DriftError(f"an image was not scored: {score.status}")
    sums = {True: 0.0, False: 0.0}
    for label, p in zip(info.labels, score.probabilities, strict=True):
        sums[label in info.fake_labels] += p
    tiny = float(np.finfo(np.float32).tiny)  # stands for an underflow to 0
    return math.log(max(sums[True], tiny)) - math.log(max(sums[False], tiny))


def _batch_dp(detector: Detector, encoded: Sequence[bytes], alone: Sequence[FrameScore]) -> float:
    """The largest difference that a batch makes, in a shuffled order."""
    order = np.random.RandomState(0).permutation(len(encoded))
    scoring = detector.scorer.score([encoded[i] for i in order], Deadline(_TIMEOUT_S))
    together = np.array([_probability(score) for score in scoring.scores])
    return float(np.abs(together - np.array([_probability(alone[i]) for i in order])).max())
