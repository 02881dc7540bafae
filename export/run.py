"""One export: checkpoint -> served graph -> variants, timed and judged -> release."""

import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from PIL import Image

from assets import FACE_MODELS, fetch_assets
from deepfake_client.release import Description, Preprocess, Status
from export.checkpoint.calibrated import with_fitting_calibration
from export.checkpoint.hub import LocatedCheckpoint
from export.checkpoint.labels import other_labels
from export.checkpoint.load import Checkpoint, checkpoint_digest, load_checkpoint
from export.checkpoint.model_card import README
from export.checkpoint.torch_scores import open_preparer
from export.errors import ReleaseError
from export.gate.candidates import Candidate, take_fastest
from export.gate.faces import FaceParity, compare_face_detectors
from export.gate.golden import PreparedGolden, prepare_golden
from export.gate.images import calibration_photos, judging_photos, varied_images
from export.gate.parity import (
    ParityResult,
    Reference,
    Tolerance,
    check_parity,
    make_reference,
    require_moving_scores,
    tolerance_of,
)
from export.golden import FOLDER
from export.graph.onnx_export import export_logits_graph
from export.graph.rewrites import merge_attention
from export.graph.serving_graph import build_serving_graph, with_export_id
from export.graph.write import write_variant
from export.identity import export_id, source_key
from export.release import (
    CARD,
    REPOSITORY,
    Release,
    find_release,
    hashed_files,
    open_partial,
    own_file,
    publish,
    release_id_of,
    served_description,
)
from export.report import write_report
from export.repository import ServingPlan, describe_ensemble, write_classifier, write_ensemble, write_preprocess
from export.settings import ExportSettings, Progress, Step
from export.target import Target, Variant, find_target, variants_of
from preprocessing import (
    PREPROCESSING_VERSION,
    STATUS_TABLE,
    FaceDetector,
    PreprocessParams,
    decode_rgb,
    resize_to_square,
)
from runtime import Classifier

_CALIBRATION_PHOTOS = 48
_SCRATCH = "scratch"


@dataclass(frozen=True)
class _Job:
    """What an export works with: its settings, who will run the classifier, and what the checkpoint says."""

    settings: ExportSettings
    target: Target
    checkpoint: Checkpoint
    params: PreprocessParams
    plan: ServingPlan
    golden: PreparedGolden | None
    faces: FaceParity | None
    progress: Progress

    def limits(self, variant: Variant) -> Tolerance:
        """What a variant promises."""
        return tolerance_of(variant.precision, gpu=self.target.gpu, max_dp=self.settings.tolerance)


def existing_release(located: LocatedCheckpoint, settings: ExportSettings) -> Release | None:
    """The release that `export_checkpoint` would make again, if it is already there."""
    settings = settings.fitted()
    key = source_key(checkpoint_digest(located.path), located, settings, find_target(settings))
    return find_release(settings.releases_dir, key)


def export_checkpoint(
    located: LocatedCheckpoint, settings: ExportSettings, progress: Progress = lambda _step: None
) -> Release:
    """Exports a checkpoint into a new release, without making it current.

    Args:
        located: The checkpoint.
        settings: What to export.
        progress: Told each step, and how much of it is done.

    Raises:
        ExportError: One of its subclasses; nothing is left behind and nothing that is served has changed.
    """
    started = time.monotonic()
    settings = settings.fitted()
    target = find_target(settings)
    wanted = variants_of(settings.precision, target)  # what cannot be had here is refused before the long part
    progress(Step("load the checkpoint"))
    job = _prepare(located, settings, target, progress)
    try:
        with open_partial(settings.releases_dir) as partial:
            maker = _Maker(job, partial / _SCRATCH)
            candidates = take_fastest(wanted, partial / _SCRATCH, job.plan.size_px, maker.write, maker.judge, progress)
            progress(Step("write the release"))
            manifest = _write_release(job, candidates[0], partial)
            write_report(partial, manifest["release_id"], candidates, job.faces, time.monotonic() - started)
            key = source_key(job.checkpoint.sha256, located, settings, target)
            return publish(partial, settings.releases_dir, manifest, key)
    except OSError as error:
        raise ReleaseError(f"cannot write the release below {settings.releases_dir}: {error.strerror}") from error


def _prepare(located: LocatedCheckpoint, settings: ExportSettings, target: Target, progress: Progress) -> _Job:
    """Loads everything that may be missing or unsuitable."""
    checkpoint = load_checkpoint(located, settings.labelling)
    params = PreprocessParams(
        resize=checkpoint.resize,
        face_detection=settings.face_detection,
        face_detector=settings.face_detector,
        crop_factor=checkpoint.sidecar.crop_factor,
        max_bytes=settings.max_image_bytes,
        max_pixels=settings.max_image_pixels,
        pipeline_pixels=settings.pipeline_pixels,
    )
    checkpoint = with_fitting_calibration(checkpoint, params)
    if params.face_detection:
        fetch_assets(FACE_MODELS, settings.cache_dir)
    golden = prepare_golden(
        checkpoint,
        face_detection=settings.face_detection,
        face_detector=settings.face_detector,
        cache_dir=settings.cache_dir,
    )
    faces = None
    if params.face_detection and params.face_detector is FaceDetector.DIRECT:
        progress(Step("search for faces with both detectors"))
        faces = _compare_faces(settings, golden)
    plan = ServingPlan(settings, checkpoint.resize.size_px, checkpoint.head.labels)
    return _Job(settings, target, checkpoint, params, plan, golden, faces, progress)


def _gate_images(settings: ExportSettings) -> Iterator[Image.Image]:
    """Generated images, and photographs for all but fp32."""
    yield from varied_images(settings.parity_images)
    if settings.precision != "fp32":
        yield from judging_photos(2 * settings.parity_images, settings.cache_dir)


def _compare_faces(settings: ExportSettings, golden: PreparedGolden | None) -> FaceParity:
    """Compares the face detectors on the gate's images and on the golden ones.

    Raises:
        ParityError: The direct one finds other faces than MediaPipe.
    """
    models_dir = next(iter(fetch_assets(FACE_MODELS, settings.cache_dir).values())).parent
    pictures = chain(
        (np.array(image) for image in _gate_images(settings)),
        (
            decode_rgb(image, max_bytes=settings.max_image_bytes, max_pixels=settings.max_image_pixels)
            for image in (golden.golden.images if golden else ())
        ),
    )
    parity = compare_face_detectors(pictures, models_dir)
    parity.check()
    return parity


class _Maker:
    """Makes and judges the variants of a job. The graph is exported, and PyTorch asked, when first needed."""

    def __init__(self, job: _Job, scratch: Path) -> None:
        scratch.mkdir()
        self._job = job
        self._scratch = scratch

    @cached_property
    def graph(self) -> onnx.ModelProto:
        """The served graph, in fp32."""
        checkpoint = self._job.checkpoint
        self._job.progress(Step("export to ONNX"))
        graph = build_serving_graph(export_logits_graph(checkpoint, self._scratch), checkpoint)
        merge_attention(graph)
        return graph

    @cached_property
    def reference(self) -> Reference:
        """PyTorch's answers for the gate's images: generated ones and, for all but fp32, photographs."""
        job, name = self._job, "score the gate's images with PyTorch"
        count = job.settings.parity_images * (1 if job.settings.precision == "fp32" else 3)
        job.progress(Step(name, 0, count))
        images: Iterator[Image.Image] = varied_images(job.settings.parity_images)
        if job.settings.precision != "fp32":
            images = chain(images, self._photos(judging_photos, 2 * job.settings.parity_images))
        return make_reference(job.checkpoint, images, lambda done: job.progress(Step(name, done, count)))

    def write(self, variant: Variant, folder: Path) -> None:
        """Writes a variant into an empty folder."""
        graph = with_export_id(self.graph, export_id(self._job.checkpoint, self._job.params, variant))
        write_variant(folder, graph, variant, self._job.target, self._calibration_squares)

    def judge(self, variant: Variant, classifier: Classifier) -> ParityResult:
        """Puts a variant through the gate; fp32 is judged on the generated images alone."""
        job, reference = self._job, self.reference
        if not job.settings.allow_flat_scores:
            require_moving_scores(reference)
        job.progress(Step(f"compare {variant.name} with PyTorch"))
        images = reference.first(job.settings.parity_images) if variant.precision == "fp32" else reference
        limits = job.limits(variant)
        result = check_parity(classifier, images, limits, job.target.gate_batches)
        if job.golden is not None:
            job.golden.check(classifier, limits)
        return result

    def _calibration_squares(self) -> list[NDArray[np.uint8]]:
        photos = self._photos(calibration_photos, _CALIBRATION_PHOTOS)
        return [resize_to_square(np.asarray(photo), self._job.checkpoint.resize) for photo in photos]

    def _photos(self, take: Callable[..., Iterator[Image.Image]], count: int) -> list[Image.Image]:
        """Photographs and crops of faces, cut as the release cuts them."""
        settings = self._job.settings
        with open_preparer(
            self._job.checkpoint,
            face_detection=settings.face_detection,
            face_detector=settings.face_detector,
            cache_dir=settings.cache_dir,
        ) as preparer:
            return list(take(count, settings.cache_dir, preparer))


def _write_release(job: _Job, chosen: Candidate, partial: Path) -> dict[str, Any]:
    """Writes the model repository and what goes with it; gives the content of release.json."""
    repository, settings, target = partial / REPOSITORY, job.settings, job.target
    ensemble = repository / "deepfake_detector"
    write_classifier(repository / "classifier", chosen.folder, job.plan)
    shutil.rmtree(chosen.folder.parent)
    chosen_id = export_id(job.checkpoint, job.params, chosen.variant)
    write_preprocess(repository / "preprocess", job.params, job.plan, chosen_id, settings.cache_dir)
    write_ensemble(ensemble, job.plan)
    if job.golden is not None:
        job.golden.for_precision(job.limits(chosen.variant)).write(partial / FOLDER)
    if readme := own_file(job.checkpoint.located.path, README):
        shutil.copyfile(readme, partial / CARD)
    description, files = _description(job, chosen.variant), hashed_files(partial)
    manifest: dict[str, Any] = {
        "release_id": release_id_of(description, files),
        "description": description,
        "files": files,
        "built_on": asdict(target.built_on) if target.built_on else None,
    }
    describe_ensemble(ensemble, served_description(manifest))
    return manifest


def _description(job: _Job, chosen: Variant) -> dict[str, Any]:
    """What the release says about itself to clients, through the ensemble's config."""
    checkpoint, head = job.checkpoint, job.checkpoint.head
    return Description(
        model=checkpoint.name,
        revision=checkpoint.located.revision,
        checkpoint_sha256=checkpoint.sha256,
        architecture=type(checkpoint.model).__name__,
        trained=checkpoint.sidecar.trained,
        notice=checkpoint.sidecar.notice,
        precision=chosen.precision,
        backend=job.settings.backend,
        export_id=export_id(checkpoint, job.params, chosen),
        labels=head.labels,
        fake_labels=head.fake_labels,
        other_labels=tuple(other_labels(head.labels, head.fake_indices, all_may_be=head.activation == "sigmoid")),
        activation=head.activation,
        fake_when=head.fake_when,
        scope=checkpoint.sidecar.scope,
        verdict_bands=checkpoint.sidecar.verdict_bands,
        preprocess=Preprocess.model_validate(job.params.to_dict()),
        preprocessing_version=PREPROCESSING_VERSION,
        statuses={code: Status(name=row.name, meaning=row.meaning) for code, row in STATUS_TABLE.items()},
        calibration=checkpoint.sidecar.calibration,
        model_card=checkpoint.model_card,
    ).to_json_dict()
