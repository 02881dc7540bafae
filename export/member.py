"""One checkpoint of an export: what is known of it, and the making and judging of its variants."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from PIL import Image

from assets import FACE_MODELS, fetch_assets
from export.checkpoint.calibrated import with_fitting_calibration
from export.checkpoint.fusion import MemberSource
from export.checkpoint.load import Checkpoint, load_checkpoint
from export.checkpoint.torch_scores import open_preparer
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
from export.graph.onnx_export import export_logits_graph
from export.graph.rewrites import merge_attention
from export.graph.serving_graph import build_serving_graph, with_export_id
from export.graph.write import write_variant
from export.identity import export_id
from export.settings import ExportSettings, Progress, Step
from export.target import Target, Variant
from preprocessing import PreprocessParams, View, resize_to_square
from runtime import Classifier

_CALIBRATION_PHOTOS = 48


@dataclass(frozen=True)
class ExportedMember:
    """A checkpoint that is exported, and who will run it.

    Attributes:
        settings: Of the export; with face detection off where this checkpoint is given whole images.
        target: Who will run its classifier.
        whole_image: Whether it is given whole images though others are given faces.
        checkpoint: What was loaded.
        params: How its images are prepared.
        golden: Its own golden images; None without any.
        progress: Told each step.
    """

    settings: ExportSettings
    target: Target
    whole_image: bool
    checkpoint: Checkpoint
    params: PreprocessParams
    golden: PreparedGolden | None
    progress: Progress

    @property
    def view(self) -> View:
        """The square of an image that it is given."""
        return View(self.params.resize, self.params.crop_factor, self.whole_image)

    def limits(self, variant: Variant) -> Tolerance:
        """What a variant promises."""
        return tolerance_of(variant.precision, gpu=self.target.gpu, max_dp=self.settings.tolerance)


def prepare_member(
    source: MemberSource, settings: ExportSettings, target: Target, progress: Progress
) -> ExportedMember:
    """Loads everything that may be missing or unsuitable.

    Raises:
        ExportError: The checkpoint cannot be served.
        AssetError: The face models cannot be fetched.
    """
    settings = replace(settings, face_detection=settings.face_detection and not source.whole_image)
    checkpoint = load_checkpoint(source.located, settings.labelling)
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
    return ExportedMember(settings, target, source.whole_image, checkpoint, params, golden, progress)


class VariantMaker:
    """Makes and judges the variants of a checkpoint. The graph is exported, and PyTorch asked, when first needed."""

    def __init__(self, member: ExportedMember, scratch: Path) -> None:
        """Makes the folder for intermediate files."""
        scratch.mkdir()
        self._member = member
        self._scratch = scratch

    @cached_property
    def graph(self) -> onnx.ModelProto:
        """The served graph, in fp32."""
        checkpoint = self._member.checkpoint
        self._member.progress(Step("export to ONNX"))
        graph = build_serving_graph(export_logits_graph(checkpoint, self._scratch), checkpoint)
        merge_attention(graph)
        return graph

    @cached_property
    def reference(self) -> Reference:
        """PyTorch's answers for the gate's images: generated ones and, for all but fp32, photographs."""
        member, name = self._member, "score the gate's images with PyTorch"
        count = member.settings.parity_images * (1 if member.settings.precision == "fp32" else 3)
        member.progress(Step(name, 0, count))
        images: Iterator[Image.Image] = varied_images(member.settings.parity_images)
        if member.settings.precision != "fp32":
            images = chain(images, self._photos(judging_photos, 2 * member.settings.parity_images))
        return make_reference(member.checkpoint, images, lambda done: member.progress(Step(name, done, count)))

    def write(self, variant: Variant, folder: Path) -> None:
        """Writes a variant into an empty folder."""
        member = self._member
        graph = with_export_id(self.graph, export_id(member.checkpoint, member.params, variant))
        write_variant(folder, graph, variant, member.target, self._calibration_squares)

    def judge(self, variant: Variant, classifier: Classifier) -> ParityResult:
        """Puts a variant through the gate; fp32 is judged on the generated images alone."""
        member, reference = self._member, self.reference
        if not member.settings.allow_flat_scores:
            require_moving_scores(reference)
        member.progress(Step(f"compare {variant.name} with PyTorch"))
        images = reference.first(member.settings.parity_images) if variant.precision == "fp32" else reference
        limits = member.limits(variant)
        result = check_parity(classifier, images, limits, member.target.gate_batches)
        if member.golden is not None:
            member.golden.check(classifier, limits)
        return result

    def _calibration_squares(self) -> list[NDArray[np.uint8]]:
        photos = self._photos(calibration_photos, _CALIBRATION_PHOTOS)
        return [resize_to_square(np.asarray(photo), self._member.checkpoint.resize) for photo in photos]

    def _photos(self, take: Callable[..., Iterator[Image.Image]], count: int) -> list[Image.Image]:
        """Photographs and crops of faces, cut as the release cuts them."""
        settings = self._member.settings
        with open_preparer(
            self._member.checkpoint,
            face_detection=settings.face_detection,
            face_detector=settings.face_detector,
            cache_dir=settings.cache_dir,
        ) as preparer:
            return list(take(count, settings.cache_dir, preparer))
