"""One export: checkpoint -> optimum's graph -> serving graph -> precision variants -> parity gate -> release."""

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from deepfake_client.release import Description, Preprocess, Status
from numpy.typing import NDArray
from PIL import Image

from assets import FACE_MODELS, fetch_assets
from export.checkpoint import Checkpoint, checkpoint_digest, companions_digest, load_checkpoint
from export.checkpoint.hub import LocatedCheckpoint
from export.checkpoint.model_card import README
from export.errors import ReleaseError
from export.gate.candidates import Candidate, Workshop, choose, limits_of, make_candidates
from export.gate.generated_images import varied_images
from export.gate.golden import PreparedGolden, prepare_golden
from export.gate.parity import Reference, make_reference
from export.gate.photos import calibration_photos, judging_photos
from export.golden import FOLDER
from export.graph.attention import merge_attention
from export.graph.onnx_export import export_logits_graph
from export.graph.serving_graph import ServingHead, build_serving_graph, with_export_id
from export.identity import code_digest, export_id
from export.model_config import ServingPlan
from export.precision import Variant, variants_of
from export.release import (
    CARD,
    REPOSITORY,
    Release,
    find_release,
    hashed_files,
    open_partial,
    publish,
    release_id_of,
    served_description,
)
from export.report import write_report
from export.repository import describe_ensemble, write_classifier, write_ensemble, write_preprocess
from export.target import ENGINE_CACHE, Target, find_target
from preprocessing import PREPROCESSING_VERSION, STATUS_TABLE, PreprocessParams, resize_to_square
from runtime import usable_cores
from runtime.openvino_classifier import processor

_MAX_INSTANCES = 8
_INSTANCE_BYTES = 2**30  # an instance of preprocess at work on large images, and a share of the classifier
_CORES_PER_CLASSIFIER = 16  # of one instance: a batch has 32 frames at most, and fewer as a rule
_CALIBRATION_PHOTOS = 48
_SCRATCH = "scratch"


@dataclass(frozen=True)
class ExportSettings:
    """What to export.

    Attributes:
        releases_dir: Where releases are kept.
        precision: `fp32`, `bf16`, `fp16`, `int8`, or `auto`: the fastest that passes the gate on this machine.
        backend: `python`, `onnxruntime` or `tensorrt`, see `ServingPlan`.
        gpu: Whether the onnxruntime backend runs on a GPU; the tensorrt backend always does.
        accelerator: `tensorrt`: the onnxruntime backend runs the graph through TensorRT, on a GPU; "": it does not.
        engine_cache: Where TensorRT's engines are kept in that case, on this machine and where they serve.
        instances: Instances of preprocess; 0 for one per usable core, at most 8 and what memory holds.
        classifier_instances: Instances of the classifier with the Python backend; 0 for one per 16 cores.
        cores_per_instance: Cores of each of these; 0 for an equal share of what the serving machine has.
        preferred_batch: Frames that Triton gathers for one run of the classifier.
        queue_delay_us: How long it waits for them, in microseconds; 0: not at all.
        face_detection: Off: the classifier always sees the whole image.
        max_image_bytes: Largest encoded image the release accepts.
        max_image_pixels: Largest width x height it accepts, read from the header.
        fake_labels: Names of the fake classes, if the labels do not say.
        tolerance: Limit of max |dp|; the precision's declared one by default.
        parity_images: Number of generated images in the gate; low precisions are judged on twice as many photos too.
        cache_dir: Where fetched files are kept; the assets' own default if None.
    """

    releases_dir: Path
    precision: str = "fp32"
    backend: str = "python"
    gpu: bool = False
    accelerator: str = ""
    engine_cache: Path = ENGINE_CACHE
    instances: int = 0
    classifier_instances: int = 0
    cores_per_instance: int = 0
    preferred_batch: int = 8
    queue_delay_us: int = 0
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


def _instances(settings: ExportSettings) -> int:
    """Instances of preprocess: one per core, which is fastest on a CPU, but no more than fit into memory."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return settings.instances or max(min(usable_cores(), _MAX_INSTANCES, memory // _INSTANCE_BYTES), 1)


def existing_release(located: LocatedCheckpoint, settings: ExportSettings) -> Release | None:
    """The release that `export_checkpoint` would make again, if it is already there."""
    key = _source_key(checkpoint_digest(located.path), located, settings, find_target(settings))
    return find_release(settings.releases_dir, key)


def export_checkpoint(
    located: LocatedCheckpoint, settings: ExportSettings, progress: Progress = lambda _step: None
) -> Release:
    """Exports a checkpoint into a new release, without making it current.

    Raises:
        ExportError: One of its subclasses; nothing is left behind and nothing that is served has changed.
    """
    started = time.monotonic()
    target = find_target(settings)  # before the long part: this machine may not do
    variants_of(settings.precision, target.runtime, target.accelerator)
    progress(Step("load checkpoint"))
    checkpoint = load_checkpoint(located, settings.fake_labels)
    plan = _plan(checkpoint, settings, target)
    params = PreprocessParams(
        resize=checkpoint.resize,
        face_detection=settings.face_detection,
        crop_factor=checkpoint.crop_factor,
        max_bytes=settings.max_image_bytes,
        max_pixels=settings.max_image_pixels,
    )
    if params.face_detection:
        fetch_assets(FACE_MODELS, settings.cache_dir)  # before the long part, not after it
    golden = prepare_golden(checkpoint, face_detection=settings.face_detection, cache_dir=settings.cache_dir)
    try:
        with open_partial(settings.releases_dir) as partial:
            repository = partial / REPOSITORY
            candidates = _make_classifiers(checkpoint, plan, settings, target, partial, golden, progress)
            chosen = candidates[0].variant
            progress(Step("write release"))
            write_classifier(repository / "classifier", candidates[0].folder, plan)
            shutil.rmtree(partial / _SCRATCH)
            write_preprocess(repository / "preprocess", params, plan, settings.cache_dir)
            write_ensemble(repository / "deepfake_detector", plan)
            if golden is not None:
                limits = limits_of(chosen, settings.tolerance, gpu=target.gpu)
                golden.for_precision(limits).write(partial / FOLDER)
            if (readme := located.path / README).is_file():
                shutil.copyfile(readme, partial / CARD)
            description = _description(checkpoint, settings, params, chosen)
            files = hashed_files(partial)
            manifest: dict[str, Any] = {
                "release_id": release_id_of(description, files),
                "description": description,
                "files": files,
                "built_on": asdict(target.built_on) if target.built_on else None,
            }
            served = json.dumps(served_description(manifest), sort_keys=True)
            describe_ensemble(repository / "deepfake_detector", plan, served)
            classifier = repository / "classifier" / "1"
            write_report(partial, manifest["release_id"], candidates, classifier, time.monotonic() - started)
            key = _source_key(checkpoint.sha256, located, settings, target)
            return publish(partial, settings.releases_dir, manifest, key)
    except OSError as error:
        raise ReleaseError(f"cannot write the release below {settings.releases_dir}: {error.strerror}") from error


def _plan(checkpoint: Checkpoint, settings: ExportSettings, target: Target) -> ServingPlan:
    cores = usable_cores()
    return ServingPlan(
        size_px=checkpoint.resize.size_px,
        labels=tuple(checkpoint.labels),
        instances=_instances(settings),
        threads=max(cores // _instances(settings), 1),
        classifier_instances=settings.classifier_instances or -(-cores // _CORES_PER_CLASSIFIER),
        cores_per_instance=settings.cores_per_instance,
        preferred_batch=settings.preferred_batch,
        queue_delay_us=settings.queue_delay_us,
        backend=settings.backend,
        gpu=target.gpu,
    )


def _make_classifiers(
    checkpoint: Checkpoint,
    plan: ServingPlan,
    settings: ExportSettings,
    target: Target,
    partial: Path,
    golden: PreparedGolden | None,
    progress: Progress,
) -> list[Candidate]:
    """The classifier in every variant that was tried, the one to serve first."""
    wanted = variants_of(settings.precision, target.runtime, target.accelerator)
    scratch = partial / _SCRATCH
    scratch.mkdir()
    progress(Step("export with optimum"))
    logits_graph = export_logits_graph(checkpoint.located.path, scratch)
    progress(Step("fold preprocessing into the graph, merge attention's products"))
    head = ServingHead(len(checkpoint.labels), checkpoint.fake_indices, export_id=0)
    graph = build_serving_graph(logits_graph, plan.size_px, checkpoint.normalisation, head)
    merge_attention(graph)
    workshop = Workshop(
        graph_of=lambda variant: with_export_id(graph, export_id(checkpoint, variant)),
        target=target,
        scratch=scratch,
        reference=_reference(checkpoint, settings, progress),
        generated=settings.parity_images,
        calibration=lambda: _squares(checkpoint, calibration_photos(_CALIBRATION_PHOTOS, settings.cache_dir)),
        tolerance=settings.tolerance,
        say=lambda name: progress(Step(name)),
        golden=golden,
    )
    return choose(make_candidates(workshop, wanted), workshop.reference, workshop.say)


def _reference(checkpoint: Checkpoint, settings: ExportSettings, progress: Progress) -> Reference:
    """PyTorch's answers for the gate's images: generated ones and, for all but fp32, photographs."""
    photos = 0 if settings.precision == "fp32" else 2 * settings.parity_images
    total = settings.parity_images + photos
    images: Iterator[Image.Image] = varied_images(settings.parity_images)
    if photos:
        images = chain(images, judging_photos(photos, settings.cache_dir))
    return make_reference(checkpoint, images, lambda done: progress(Step("reference from PyTorch", done, total)))


def _squares(checkpoint: Checkpoint, images: Iterator[Image.Image]) -> Sequence[NDArray[np.uint8]]:
    return [resize_to_square(np.asarray(image), checkpoint.resize) for image in images]


def _description(
    checkpoint: Checkpoint, settings: ExportSettings, params: PreprocessParams, chosen: Variant
) -> dict[str, Any]:
    """What the release says about itself to clients, through the ensemble's config."""
    return Description(
        model=checkpoint.name,
        revision=checkpoint.located.revision,
        checkpoint_sha256=checkpoint.sha256,
        architecture=type(checkpoint.model).__name__,
        trained=checkpoint.trained,
        notice=checkpoint.notice,
        precision=chosen.precision,
        backend=settings.backend,
        export_id=export_id(checkpoint, chosen),
        labels=tuple(checkpoint.labels),
        fake_labels=tuple(checkpoint.labels[i] for i in checkpoint.fake_indices),
        verdict_bands=checkpoint.verdict_bands,
        preprocess=Preprocess.model_validate(params.to_dict()),
        preprocessing_version=PREPROCESSING_VERSION,
        statuses={code: Status(name=row.name, meaning=row.meaning) for code, row in STATUS_TABLE.items()},
        calibration=checkpoint.calibration,
        model_card=checkpoint.model_card,
    ).to_json_dict()


def _source_key(checkpoint_sha256: str, located: LocatedCheckpoint, settings: ExportSettings, target: Target) -> str:
    """Equal for exports that would give the same release: same checkpoint, settings, plan, processor and code."""
    chosen = {
        "checkpoint": checkpoint_sha256,
        "companions": companions_digest(located.path),
        "name": located.name,
        "precision": settings.precision,
        "backend": settings.backend,
        "gpu": target.gpu,
        "accelerator": settings.accelerator,
        "engine_cache": str(target.engine_cache) if target.accelerator else "",
        "built_on": asdict(target.built_on) if target.built_on else None,
        "instances": _instances(settings),
        "plan": [
            settings.classifier_instances,
            settings.cores_per_instance,
            settings.preferred_batch,
            settings.queue_delay_us,
        ],
        "cores": usable_cores(),
        # What is fastest, and what can be run at all, is the processor's business.
        "processor": "" if settings.precision == "fp32" else processor(),
        "face_detection": settings.face_detection,
        "limits": [settings.max_image_bytes, settings.max_image_pixels],
        "fake_labels": list(settings.fake_labels),
        "tolerance": settings.tolerance,
        "description": Description.model_json_schema(),
        "code": code_digest("export", "preprocessing", "model_repository", "runtime"),
    }
    return hashlib.sha256(json.dumps(chosen, sort_keys=True).encode()).hexdigest()
