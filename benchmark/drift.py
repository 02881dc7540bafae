"""How far a release is from its checkpoint over the whole path: `python -m benchmark.drift --release DIR`.

The reference is PyTorch in fp32 with the checkpoint's own image processor, on the face crop that the product uses. The
other side is the product from encoded bytes to probability: in this process, or a running Triton over gRPC. So the
figures hold decoding, face crop, resize, graph and runtime, where the export's own gate sees the graph alone.
"""

import contextlib
import math
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, NoReturn

import numpy as np
import typer
from deepfake_client.connect import create_detector
from deepfake_client.detector import Detector
from deepfake_client.errors import DetectionError, ServiceError
from deepfake_client.release import ModelInfo
from deepfake_client.scorer import Deadline, FrameScore
from deepfake_client.settings import ClientSettings

from assets import AssetError
from benchmark.checkpoint import make_spread_checkpoint
from benchmark.drift_images import DriftImageError, make_checked, read_manifest
from benchmark.drift_reference import Progress, Reference, reference_answers
from benchmark.drift_report import BatchVariance, DriftReport, DriftRow, figures, print_report
from export.checkpoint import checkpoint_digest
from export.errors import ExportError
from preprocessing import PREPROCESSING_VERSION, ImageRejectedError, PreprocessParams

EXIT_OVER_LIMIT = 1
EXIT_USAGE = 2
EXIT_UNREACHABLE = 3

_TIMEOUT_S = 300.0  # of one request: a machine that also does other work is slow, not away
_TALK_INTERVAL_S = 10.0
_SEED = 0


class DriftError(Exception):
    """The two sides cannot be compared."""


def measure_drift(
    checkpoint: Path,
    release: Path | str,
    images: Sequence[Path],
    *,
    batches: bool = True,
    progress: Progress = lambda _doing, _done, _total: None,
) -> DriftReport:
    """Compares the product with PyTorch, image by image.

    Args:
        checkpoint: Directory that the release was exported from.
        release: Directory of a release, or of releases with a `current` one; or host:port of a Triton over gRPC.
        images: Image files; at least one.
        batches: Whether every image is also scored in batches.
        progress: See `Progress`.

    Raises:
        DriftError: There is no image, one could not be scored, or the release is not the checkpoint's.
        ExportError: The checkpoint cannot be loaded.
        ImageRejectedError: An image cannot be decoded.
        DetectionError: The release or server cannot be used.
    """
    if not images:
        raise DriftError("there is no image to measure with")
    release = _release_folder(release) if isinstance(release, Path) else release
    with _detector(release) as detector:
        info = detector.info(timeout_s=_TIMEOUT_S)
        _refuse_mismatch(checkpoint, info)
        params, models_dir = _preprocessing(release, info)
        references = reference_answers(checkpoint, params, images, info.fake_labels, models_dir, progress)
        scores = _scores_alone(detector, images, progress)
        rows = [_row(*facts, info) for facts in zip(images, references, scores, strict=True)]
        variance = _batch_variance(detector, images, [row.p for row in rows], progress) if batches else None
        # A server may have been given another release meanwhile; its answers would be mixed with the first one's.
        if detector.info(timeout_s=_TIMEOUT_S).release_id != info.release_id:
            raise DriftError("the server changed its release during the measurement")
    return DriftReport(
        model=info.name,
        precision=info.precision,
        release_id=info.release_id,
        target=str(release),
        faces=sum(reference.has_face for reference in references),
        batch_variance=variance,
        exact_images=None,
        **figures(rows),
    )


def drift(
    release: Annotated[
        Path | None,
        typer.Option(file_okay=False, exists=True, help="A release of deepfake-export, or a folder of releases."),
    ] = None,
    url: Annotated[
        str, typer.Option(help="host:port of a Triton over gRPC that serves the release, instead of --release.")
    ] = "",
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            file_okay=False,
            exists=True,
            help="The checkpoint that was exported; by default the seeded one of --make-checkpoint.",
        ),
    ] = None,
    make_checkpoint: Annotated[
        bool,
        typer.Option("--make-checkpoint", help="Only make the seeded full-size checkpoint and print its directory."),
    ] = False,
    images: Annotated[
        Path | None,
        typer.Option(file_okay=False, exists=True, help="A folder of own images instead of the fixed list."),
    ] = None,
    count: Annotated[int, typer.Option(min=0, help="So many images, evenly over the list; 0 for all.")] = 0,
    batches: Annotated[bool, typer.Option(help="Score every image in batches of 8 and 3 too.")] = True,
    max_dp: Annotated[float | None, typer.Option(min=0, max=1, help="Exit with 1 if an image drifts more.")] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", dir_okay=False, help="Write the JSON here.")] = None,
) -> None:
    """Measures how far a release is from PyTorch fp32, from encoded image to probability.

    Exit codes: 0 measured; 1 over --max-dp, or a decision flipped; 2 wrong usage, or the release is not the
    checkpoint's; 3 the server cannot be reached.
    """
    try:
        if make_checkpoint:
            print(make_spread_checkpoint())
            return
        if (release is None) == (not url):
            _fail("give either --release or --url", EXIT_USAGE)
        source = checkpoint or make_spread_checkpoint()
        with tempfile.TemporaryDirectory(prefix="deepfake-drift-") as scratch:
            paths, exact = _images(images, Path(scratch), count)
            report = measure_drift(source, release or url, paths, batches=batches, progress=_Talk())
    except ServiceError as error:
        _fail(str(error), EXIT_UNREACHABLE)
    except (DriftError, DriftImageError, AssetError, ExportError, ImageRejectedError, DetectionError) as error:
        _fail(str(error), EXIT_USAGE)
    report = replace(report, exact_images=exact)
    print_report(report, sys.stdout)
    if output:
        output.write_text(report.to_json(), encoding="utf-8")
    if max_dp is not None and (report.max_dp > max_dp or report.flipped):
        raise typer.Exit(EXIT_OVER_LIMIT)


def _images(folder: Path | None, scratch: Path, count: int) -> tuple[list[Path], int | None]:
    """The images, and how many of them have exactly the listed pixels."""
    if folder is not None:
        return _thinned(sorted(path for path in folder.iterdir() if path.is_file()), count), None
    made = make_checked(scratch, _thinned(read_manifest(), count))
    return made.paths, made.exact


def _thinned(items: list[Any], count: int) -> list[Any]:
    return [items[i * len(items) // count] for i in range(count)] if 0 < count < len(items) else items


@contextlib.contextmanager
def _detector(release: Path | str) -> Iterator[Detector]:
    # Whole requests of eight: smaller ones would hide what a full batch does.
    settings = ClientSettings().model_copy(update={"chunk_frames": 8, "timeout_s": _TIMEOUT_S})
    with create_detector(release, settings) as detector:
        yield detector


def _release_folder(folder: Path) -> Path:
    for candidate in (folder, folder / "current"):
        if (candidate / "release.json").is_file():
            return candidate.resolve()
    raise DriftError(f"{folder} holds no release (release.json): make one with deepfake-export")


def _refuse_mismatch(checkpoint: Path, info: ModelInfo) -> None:
    digest = checkpoint_digest(checkpoint)
    if info.checkpoint_sha256 != digest:
        raise DriftError(
            f"{info.version} was exported from the checkpoint {info.checkpoint_sha256[:12] or '(unknown)'}, "
            f"but {checkpoint} is {digest[:12]}"
        )
    if info.preprocessing_version != PREPROCESSING_VERSION:
        raise DriftError(
            f"{info.version} has preprocessing version {info.preprocessing_version}, this is {PREPROCESSING_VERSION}"
        )


def _preprocessing(release: Path | str, info: ModelInfo) -> tuple[PreprocessParams, Path | None]:
    """The release's own parameters and face models; of a server what it says, and the catalogue's models."""
    if isinstance(release, Path):
        entry = release / "model_repository" / "preprocess" / "1"
        return PreprocessParams.load(entry / "preprocess.json"), entry
    return PreprocessParams.from_dict(info.preprocess.model_dump()), None


def _scores_alone(detector: Detector, images: Sequence[Path], progress: Progress) -> list[FrameScore]:
    """Each image as a user would send it."""
    scores = []
    for done, path in enumerate(images, start=1):
        scores.append(detector.detect(path, timeout_s=_TIMEOUT_S).frames[0].score)
        progress("one by one", done, len(images))
    return scores


def _row(path: Path, reference: Reference, score: FrameScore, info: ModelInfo) -> DriftRow:
    if score.fake_probability is None or score.probabilities is None:
        raise DriftError(f"{path.name} was not scored: {score.status}")
    fake = math.fsum(p for label, p in zip(info.labels, score.probabilities, strict=True) if label in info.fake_labels)
    rest = math.fsum(
        p for label, p in zip(info.labels, score.probabilities, strict=True) if label not in info.fake_labels
    )
    tiny = float(np.finfo(np.float32).tiny)  # stands for an underflow to 0
    return DriftRow(
        name=path.name,
        reference_p=reference.p,
        p=score.fake_probability,
        reference_log_odds=reference.log_odds,
        log_odds=math.log(max(fake, tiny)) - math.log(max(rest, tiny)),
        same_face=(score.face_box_px is not None) == reference.has_face,
    )


def _batch_variance(
    detector: Detector, images: Sequence[Path], alone: Sequence[float], progress: Progress
) -> BatchVariance:
    def largest_difference(order: Sequence[int], size: int) -> float:
        largest = 0.0
        for start in range(0, len(order), size):
            batch = order[start : start + size]
            scoring = detector.scorer.score([images[i].read_bytes() for i in batch], Deadline(_TIMEOUT_S))
            for i, score in zip(batch, scoring.scores, strict=True):
                if score.fake_probability is None:
                    raise DriftError(f"{images[i].name} was not scored in a batch of {len(batch)}: {score.status}")
                largest = max(largest, abs(score.fake_probability - alone[i]))
            progress(f"in batches of {size}", start + len(batch), len(order))
        return largest

    shuffled = [int(i) for i in np.random.RandomState(_SEED).permutation(len(images))]
    return BatchVariance(in_threes=largest_difference(range(len(images)), 3), in_eights=largest_difference(shuffled, 8))


class _Talk:
    """Says every ten seconds, and at the end of each part, how far the measurement is."""

    def __init__(self) -> None:
        self._said_at = time.monotonic()

    def __call__(self, doing: str, done: int, total: int) -> None:
        now = time.monotonic()
        if now - self._said_at >= _TALK_INTERVAL_S or done == total:
            self._said_at = now
            print(f"{doing}: {done} of {total} images", file=sys.stderr, flush=True)


def _fail(message: str, code: int) -> NoReturn:
    print(f"drift: {message}", file=sys.stderr)
    raise typer.Exit(code)


if __name__ == "__main__":
    typer.run(drift)
