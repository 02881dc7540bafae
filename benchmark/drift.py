"""How far a release is from its checkpoint over the whole path: `deepfake-bench drift --release DIR`.

The reference is PyTorch in fp32 with the checkpoint's own image processor, on the face crop that the product uses. The
other side is the product from encoded bytes to probability: in this process, or a running Triton over gRPC. So the
figures hold decoding, face crop, resize, graph and runtime, where the export's own gate sees the graph alone.
"""

import json
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console
from rich.table import Table

from assets import FACE_MODELS, AssetError, fetch_assets
from benchmark.drift_images import make_images, read_list
from benchmark.servers import BenchError
from deepfake_client.command_line.exits import EXIT_USAGE, fail, require_packages
from deepfake_client.connect import create_detector
from deepfake_client.detector import Detector
from deepfake_client.errors import DetectionError
from deepfake_client.scorer import Deadline, FrameScore
from deepfake_client.settings import ClientSettings
from export.checkpoint.head import Labelling
from export.checkpoint.hub import LocatedCheckpoint
from export.checkpoint.load import checkpoint_digest, load_checkpoint
from export.errors import ExportError
from export.gate.parity import make_reference
from preprocessing import PREPROCESSING_VERSION, ImageRejectedError, Preparer, PreprocessParams

Array = NDArray[np.float64]

_TIMEOUT_S = 300.0  # of one request: a machine that also does other work is slow, not away
_MARGIN = 0.02  # decisions this close to 0.5 may fall either way
_WORST = 5


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
        BenchError: There is no image, one could not be scored, or the release is not the checkpoint's or is older.
        ExportError: The checkpoint cannot be loaded.
        ImageRejectedError: An image cannot be decoded.
        DetectionError: The release or server cannot be used.
    """
    if not images:
        raise BenchError("there is no image to measure with")
    encoded = [path.read_bytes() for path in images]
    settings = ClientSettings().model_copy(update={"chunk_frames": 8, "timeout_s": _TIMEOUT_S})
    with create_detector(target, settings) as detector:
        info = detector.info(timeout_s=_TIMEOUT_S)
        if info.checkpoint_sha256 != checkpoint_digest(checkpoint):
            raise BenchError(f"{info.version} was exported from another checkpoint than {checkpoint}")
        if info.preprocessing_version != PREPROCESSING_VERSION:
            raise BenchError(f"{info.version} has preprocessing version {info.preprocessing_version}: export it again")
        scores = [detector.detect(path, timeout_s=_TIMEOUT_S).frames[0].score for path in images]
        batch_dp = _batch_dp(detector, encoded, scores)
    crops = list(face_crops(encoded, PreprocessParams.from_dict(info.preprocess.model_dump())))
    loaded = load_checkpoint(LocatedCheckpoint(checkpoint.resolve(), checkpoint.name), Labelling.of(info))
    expected, head = make_reference(loaded, [crop for crop, _ in crops]).log_probabilities, loaded.head
    answered = np.array([score.probabilities for score in scores], np.float64)
    found = np.log(np.maximum(answered, np.finfo(np.float32).tiny))  # a probability may have underflowed to 0
    p = head.fake_probability(np.exp(expected))
    dp = _probabilities(scores) - p
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
        max_dlogit=float(np.abs(head.log_odds(found) - head.log_odds(expected)).max()),
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
    with closing(Preparer(params, next(iter(fetch_assets(FACE_MODELS).values())).parent)) as preparer:
        for content in encoded:
            pixels, faces = preparer.crop(content)
            yield Image.fromarray(pixels), bool(faces)


EXIT_CODES = {
    0: "measured",
    1: "over --max-dp, or a decision flipped",
    EXIT_USAGE: "wrong usage, a package is missing, a release is not the checkpoint's, or no server answers",
}
EXAMPLES = ("deepfake-bench drift --checkpoint my-checkpoint --release releases",)
PACKAGES = {"torch": "export", "transformers": "export", "simplejpeg": "preprocessing", "openvino": "preprocessing"}


def drift(
    checkpoint: Annotated[Path, typer.Option(file_okay=False, exists=True, help="The checkpoint that was exported.")],
    release: Annotated[
        list[str], typer.Option(help="A release, a folder of releases, or host:port of a Triton. May be given again.")
    ],
    images: Annotated[
        Path | None,
        typer.Option(file_okay=False, exists=True, help="A folder of own images instead of the fixed list."),
    ] = None,
    count: Annotated[int, typer.Option(min=0, help="So many images, evenly over the list; 0 for all.")] = 0,
    max_dp: Annotated[float | None, typer.Option(min=0, max=1, help="Exit with 1 if an image drifts more.")] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", dir_okay=False, help="Write the JSON here.")] = None,
) -> None:
    """Measures how far releases drift from PyTorch fp32.

    Probabilities are compared, from the encoded image on.
    """
    require_packages("deepfake-bench drift", PACKAGES)
    try:
        with tempfile.TemporaryDirectory(prefix="deepfake-drift-") as scratch:
            listed: Sequence[Any] = sorted(images.iterdir()) if images else read_list()
            if 0 < count < len(listed):
                listed = [listed[i * len(listed) // count] for i in range(count)]
            paths = listed if images else make_images(Path(scratch), listed)
            found = [measure_drift(checkpoint, target, paths) for target in release]
    except (BenchError, AssetError, ExportError, ImageRejectedError, DetectionError) as error:
        fail("deepfake-bench drift", str(error), EXIT_USAGE)
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


def _probabilities(scores: Sequence[FrameScore]) -> Array:
    """(N,) fake probabilities."""
    if failed := [score.status for score in scores if score.fake_probability is None]:
        raise BenchError(f"an image was not scored: {failed[0]}")
    return np.array([score.fake_probability for score in scores], np.float64)


def _batch_dp(detector: Detector, encoded: Sequence[bytes], alone: Sequence[FrameScore]) -> float:
    """The largest difference that a batch makes, in a shuffled order."""
    order = np.random.RandomState(0).permutation(len(encoded))
    together = detector.scorer.score([encoded[i] for i in order], Deadline(_TIMEOUT_S)).scores
    return float(np.abs(_probabilities(together) - _probabilities(alone)[order]).max())
