"""What the checkpoint itself says of images: PyTorch fp32 and its own image processor, on the product's face crop."""

import hashlib
import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from assets import default_cache_dir
from benchmark.face_crops import face_cropper
from export.checkpoint import Checkpoint, checkpoint_digest, load_checkpoint
from export.checkpoint.hub import LocatedCheckpoint
from preprocessing import PREPROCESSING_VERSION, PreprocessParams

Progress = Callable[[str, int, int], None]
"""Called with what is being done, images done, images in all."""


@dataclass(frozen=True)
class Reference:
    """The answer for one image.

    Attributes:
        p: Fake probability.
        log_odds: log(P(fake) / P(not fake)), exact where `p` is next to 0 or 1.
        has_face: Whether a face was found and cut.
    """

    p: float
    log_odds: float
    has_face: bool


def reference_answers(
    checkpoint: Path,
    params: PreprocessParams,
    images: Sequence[Path],
    fake_labels: Sequence[str] = (),
    models_dir: Path | None = None,
    progress: Progress = lambda _doing, _done, _total: None,
) -> list[Reference]:
    """Scores images with PyTorch, or takes the answers from the cache.

    The cache is keyed by everything that decides them: the checkpoint's files, the images' bytes, the parameters and
    the versions of the packages. It lies in the cache folder, not in the checkpoint's, whose digest is over its files.

    Args:
        checkpoint: Directory.
        params: The release's parameters; its resize is left to the checkpoint's image processor.
        images: Image files.
        fake_labels: Names of the fake classes, if the labels do not say.
        models_dir: Folder with the face models; the catalogue's by default.
        progress: Not called when the cache has them.

    Raises:
        CheckpointError: The checkpoint cannot be loaded.
        ImageRejectedError: An image cannot be decoded.
    """
    encoded = [path.read_bytes() for path in images]
    cached = default_cache_dir() / "drift" / f"{_key(checkpoint, params, encoded, fake_labels)}.json"
    if (found := _read(cached, len(encoded))) is not None:
        return found
    loaded = load_checkpoint(LocatedCheckpoint(checkpoint.resolve(), checkpoint.name), fake_labels)
    answers = []
    with face_cropper(params, models_dir) as cropper:
        for done, content in enumerate(encoded, start=1):
            crop = cropper.crop(content)
            answers.append(Reference(*_score(loaded, crop.image), crop.has_face))
            progress("reference", done, len(encoded))
    _write(cached, answers)
    return answers


def _score(checkpoint: Checkpoint, image: Any) -> tuple[float, float]:
    """Fake probability and log-odds."""
    import torch

    others = [index for index in range(len(checkpoint.labels)) if index not in checkpoint.fake_indices]
    with torch.inference_mode():
        logits = checkpoint.model(**checkpoint.processor(image, return_tensors="pt")).logits[0].double()
        p = logits.softmax(-1)[checkpoint.fake_indices].sum()
        return float(p), float(logits[checkpoint.fake_indices].logsumexp(0) - logits[others].logsumexp(0))


def _key(checkpoint: Path, params: PreprocessParams, encoded: Sequence[bytes], fake_labels: Sequence[str]) -> str:
    facts = {
        "checkpoint": checkpoint_digest(checkpoint),
        "params": params.to_dict(),
        "preprocessing": PREPROCESSING_VERSION,
        "fake_labels": list(fake_labels),
        "packages": {name: version(name) for name in ("torch", "transformers", "mediapipe", "pillow", "simplejpeg")},
        "images": [hashlib.sha256(content).hexdigest() for content in encoded],
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:32]


def _read(path: Path, count: int) -> list[Reference] | None:
    """The answers of the cache; None where there are none, or they are damaged."""
    try:
        answers = [Reference(**row) for row in json.loads(path.read_text(encoding="utf-8"))]
    except (OSError, ValueError, TypeError):
        return None
    return answers if len(answers) == count else None


def _write(path: Path, answers: Sequence[Reference]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=path.parent, encoding="utf-8", delete=False) as partial:
        json.dump([asdict(answer) for answer in answers], partial)
    Path(partial.name).replace(path)
