"""One export: checkpoint -> optimum's graph -> serving graph -> parity gate -> release."""

import hashlib
import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx

from assets import FACE_MODELS, fetch_assets
from export.checkpoint import Checkpoint, checkpoint_digest, load_checkpoint
from export.errors import ExportError, ReleaseError
from export.hub import LocatedCheckpoint
from export.model_config import ServingPlan
from export.onnx_export import OPSET, export_logits_graph
from export.parity import LOGIT_TOLERANCES, TOLERANCES, ParityResult, check_parity
from export.release import (
    REPOSITORY,
    Release,
    find_release,
    hashed_files,
    open_partial,
    publish,
    release_id_of,
    served_description,
)
from export.repository import TEMPLATES, describe_ensemble, write_classifier, write_ensemble, write_preprocess
from export.serving_graph import ServingHead, build_serving_graph
from preprocessing import PREPROCESSING_VERSION, STATUS_TABLE, PreprocessParams

_MAX_INSTANCES = 8
_INSTANCE_BYTES = 2 * 2**30  # an instance of a full-size fp32 classifier, its preprocessing, and room to work


@dataclass(frozen=True)
class ExportSettings:
    """What to export.

    Attributes:
        releases_dir: Where releases are kept.
        precision: `fp32`.
        backend: `python` or `onnxruntime`, see `ServingPlan`.
        gpu: Whether the onnxruntime backend runs on a GPU.
        instances: Instances of each model; 0 for one per usable core, at most 8 and what memory holds.
        face_detection: Off: the classifier always sees the whole image.
        max_image_bytes: Largest encoded image the release accepts.
        max_image_pixels: Largest width x height it accepts, read from the header.
        fake_labels: Names of the fake classes, if the labels do not say.
        tolerance: Limit of max |dp|; the precision's declared one by default.
        parity_images: Number of images in the gate.
        cache_dir: Where fetched files are kept; the assets' own default if None.
    """

    releases_dir: Path
    precision: str = "fp32"
    backend: str = "python"
    gpu: bool = False
    instances: int = 0
    face_detection: bool = True
    max_image_bytes: int = PreprocessParams.max_bytes
    max_image_pixels: int = PreprocessParams.max_pixels
    fake_labels: tuple[str, ...] = ()
    tolerance: float | None = None
    parity_images: int = 32
    cache_dir: Path | None = None


@dataclass(frozen=True)
class Step:
    """Progress of an export: what is being done, and how much of it."""

    name: str
    done: int = 0
    total: int = 0


Progress = Callable[[Step], None]


def usable_cores() -> int:
    """Cores that this process may run on."""
    return len(os.sched_getaffinity(0))


def _instances(settings: ExportSettings) -> int:
    """Instances of each model: one per core, which is fastest on a CPU, but no more than fit into memory.

    The cores that are left over become threads of the instances.
    """
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return settings.instances or max(min(usable_cores(), _MAX_INSTANCES, memory // _INSTANCE_BYTES), 1)


def existing_release(located: LocatedCheckpoint, settings: ExportSettings) -> Release | None:
    """The release that `export_checkpoint` would make again, if it is already there."""
    return find_release(settings.releases_dir, _source_key(checkpoint_digest(located.path), located.name, settings))


def export_checkpoint(
    located: LocatedCheckpoint, settings: ExportSettings, progress: Progress = lambda _step: None
) -> Release:
    """Exports a checkpoint into a new release, without making it current.

    Raises:
        ExportError: One of its subclasses; nothing is left behind and nothing that is served has changed.
    """
    started = time.monotonic()
    progress(Step("load checkpoint"))
    checkpoint = load_checkpoint(located, settings.fake_labels)
    plan = ServingPlan(
        size_px=checkpoint.resize.size_px,
        labels=tuple(checkpoint.labels),
        instances=_instances(settings),
        threads=max(usable_cores() // _instances(settings), 1),
        backend=settings.backend,
        gpu=settings.gpu,
    )
    params = PreprocessParams(
        resize=checkpoint.resize,
        face_detection=settings.face_detection,
        crop_factor=checkpoint.crop_factor,
        max_bytes=settings.max_image_bytes,
        max_pixels=settings.max_image_pixels,
    )
    if params.face_detection:
        fetch_assets(FACE_MODELS, settings.cache_dir)  # before the long part, not after it
    try:
        with open_partial(settings.releases_dir) as partial:
            export_id = _export_id(checkpoint, settings)
            repository = partial / REPOSITORY
            graph = _build_graph(checkpoint, plan, export_id, partial, progress)
            onnx_path = write_classifier(repository / "classifier", graph, plan)
            parity = _check_parity(checkpoint, onnx_path, settings, progress)
            progress(Step("write release"))
            write_preprocess(repository / "preprocess", params, plan, settings.cache_dir)
            write_ensemble(repository / "deepfake_detector", plan)
            description = _description(checkpoint, settings, params, export_id)
            files = hashed_files(partial)
            manifest = {
                "release_id": release_id_of(description, files),
                "description": description,
                "files": files,
            }
            served = json.dumps(served_description(manifest), sort_keys=True)
            describe_ensemble(repository / "deepfake_detector", plan, served)
            _write_report(partial, manifest, parity, onnx_path, time.monotonic() - started)
            key = _source_key(checkpoint.sha256, located.name, settings)
            return publish(partial, settings.releases_dir, manifest, key)
    except OSError as error:
        raise ReleaseError(f"cannot write the release below {settings.releases_dir}: {error.strerror}") from error


def _build_graph(
    checkpoint: Checkpoint, plan: ServingPlan, export_id: int, scratch: Path, progress: Progress
) -> onnx.ModelProto:
    progress(Step("export with optimum"))
    logits_graph = export_logits_graph(checkpoint.located.path, scratch)
    progress(Step("fold preprocessing into the graph"))
    head = ServingHead(len(checkpoint.labels), checkpoint.fake_indices, export_id)
    return build_serving_graph(logits_graph, plan.size_px, checkpoint.normalisation, head)


def _check_parity(
    checkpoint: Checkpoint, onnx_path: Path, settings: ExportSettings, progress: Progress
) -> ParityResult:
    tolerance = TOLERANCES[settings.precision] if settings.tolerance is None else settings.tolerance
    return check_parity(
        checkpoint,
        onnx_path,
        tolerance,
        LOGIT_TOLERANCES[settings.precision],
        settings.parity_images,
        lambda done, total: progress(Step("parity with PyTorch", done, total)),
    )


def _write_report(
    partial: Path, manifest: Mapping[str, Any], parity: ParityResult, onnx_path: Path, duration_s: float
) -> None:
    report = {
        "release_id": manifest["release_id"],
        "parity": parity.to_dict(),
        "duration_s": round(duration_s, 2),
        "opset": OPSET,
        "onnx_bytes": sum(f.stat().st_size for f in onnx_path.parent.glob("model.onnx*")),
        "versions": _library_versions(),
    }
    (partial / "export_report.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


def _description(
    checkpoint: Checkpoint, settings: ExportSettings, params: PreprocessParams, export_id: int
) -> dict[str, Any]:
    """What the release says about itself to clients, through the ensemble's config."""
    return {
        "model": checkpoint.name,
        "revision": checkpoint.located.revision,
        "checkpoint_sha256": checkpoint.sha256,
        "architecture": type(checkpoint.model).__name__,
        "trained": checkpoint.trained,
        "notice": checkpoint.notice,
        "precision": settings.precision,
        "backend": settings.backend,
        "export_id": export_id,
        "labels": checkpoint.labels,
        "fake_labels": [checkpoint.labels[i] for i in checkpoint.fake_indices],
        "verdict_bands": checkpoint.verdict_bands.model_dump(),
        "preprocess": params.to_dict(),
        "preprocessing_version": PREPROCESSING_VERSION,
        "statuses": {str(code): {"name": row.name, "meaning": row.meaning} for code, row in STATUS_TABLE.items()},
    }


def _export_id(checkpoint: Checkpoint, settings: ExportSettings) -> int:
    """A positive INT32 that names the classifier's graph: checkpoint, precision, fake classes and exporter."""
    parts = [checkpoint.sha256, settings.precision, str(checkpoint.fake_indices), _code_digest("export")]
    return int(hashlib.sha256("\0".join(parts).encode()).hexdigest()[:8], 16) % (2**31 - 1) + 1


def _source_key(checkpoint_sha256: str, name: str, settings: ExportSettings) -> str:
    """Equal for exports that would give the same release: same checkpoint, settings, serving plan and code."""
    chosen = {
        "checkpoint": checkpoint_sha256,
        "name": name,
        "precision": settings.precision,
        "backend": settings.backend,
        "gpu": settings.gpu,
        "instances": _instances(settings),
        "cores": usable_cores(),
        "face_detection": settings.face_detection,
        "limits": [settings.max_image_bytes, settings.max_image_pixels],
        "fake_labels": list(settings.fake_labels),
        "tolerance": settings.tolerance,
        "code": _code_digest("export", "preprocessing", "model_repository"),
    }
    return hashlib.sha256(json.dumps(chosen, sort_keys=True).encode()).hexdigest()


def _code_digest(*folders: str) -> str:
    """SHA-256 over the source files that decide what a release holds."""
    digest = hashlib.sha256()
    root = TEMPLATES.parent
    for folder in folders:
        for path in sorted(p for p in (root / folder).rglob("*") if p.suffix in (".py", ".pbtxt")):
            digest.update(f"{path.relative_to(root)}\0".encode() + path.read_bytes())
    return digest.hexdigest()


def _library_versions() -> dict[str, str]:
    from importlib.metadata import version

    names = ("torch", "transformers", "optimum", "optimum-onnx", "onnx", "onnxruntime", "numpy")
    try:
        return {name: version(name) for name in names}
    except ImportError as error:
        raise ExportError(f"a library of the export is missing: {error}") from error
