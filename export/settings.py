"""What to export, and how: the settings of one export."""

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from export.checkpoint.head import NOTHING_SAID, Labelling
from preprocessing import FaceDetector, PreprocessParams
from runtime import usable_cores

_MAX_INSTANCES = 8
_INSTANCE_BYTES = 5 * 2**28  # an instance of preprocess at work on large images, and a share of the classifier
_CORES_PER_CLASSIFIER = 16  # of one instance: a batch has 32 frames at most, and fewer as a rule


@dataclass(frozen=True)
class ExportSettings:
    """What to export.

    Attributes:
        releases_dir: Where releases are kept.
        precision: `fp32`, `bf16`, `fp16`, `int8`, or `auto`: the fastest that passes the gate on this machine.
        backend: `python`, `onnxruntime` or `tensorrt`, OpenVINO, or a backend of NVIDIA's image, runs it.
        gpu: Whether the onnxruntime backend runs on a GPU; the tensorrt backend always does.
        instances: Instances of preprocess; 0 for one per usable core, at most 8 and what memory holds.
        classifier_instances: Instances of the classifier with the Python backend; 0 for one per 16 cores.
        cores_per_instance: Cores of each of these; 0 for an equal share of what the serving machine has.
        preferred_batch: Frames that Triton gathers for one run of the classifier.
        queue_delay_us: How long Triton waits for them, in microseconds; 0: not at all.
        face_detection: Off: the classifier always sees the whole image.
        face_detector: What runs the face models.
        max_image_bytes: Largest encoded image the release accepts.
        max_image_pixels: Largest width x height it accepts, read from the header.
        pipeline_pixels: Whether colour profiles and transparency are ignored, as transformers' pipelines do.
        labelling: What the user says of the model's outputs.
        allow_flat_scores: Whether a model may say nearly the same of every picture.
        tolerance: Limit of max |dp|; the precision's declared one by default.
        parity_images: Number of generated images in the gate; low precisions are judged on twice as many photos too.
        cache_dir: Where fetched files are kept; the assets' own default if None.
    """

    releases_dir: Path
    precision: str = "fp32"
    backend: str = "python"
    gpu: bool = False
    instances: int = 0
    classifier_instances: int = 0
    cores_per_instance: int = 0
    preferred_batch: int = 8
    queue_delay_us: int = 0
    face_detection: bool = True
    face_detector: FaceDetector = FaceDetector.DIRECT
    max_image_bytes: int = PreprocessParams.max_bytes
    max_image_pixels: int = PreprocessParams.max_pixels
    pipeline_pixels: bool = False
    labelling: Labelling = NOTHING_SAID
    allow_flat_scores: bool = False
    tolerance: float | None = None
    parity_images: int = 32
    cache_dir: Path | None = None

    @property
    def on_gpu(self) -> bool:
        """Whether the classifier runs on a GPU."""
        return self.gpu or self.backend == "tensorrt"

    def fitted(self) -> "ExportSettings":
        """The same with instances of both models that fit this machine, where their number is not given.

        One instance of preprocess per core is fastest on a CPU; each takes memory.
        """
        cores, memory = usable_cores(), os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        return replace(
            self,
            instances=self.instances or max(min(cores, _MAX_INSTANCES, memory // _INSTANCE_BYTES), 1),
            classifier_instances=self.classifier_instances or -(-cores // _CORES_PER_CLASSIFIER),
        )


@dataclass(frozen=True)
class Step:
    """Progress of an export: what is being done, and how much of it."""

    name: str
    done: int = 0
    total: int = 0


Progress = Callable[[Step], None]
"""Told each step of an export, and how much of it is done."""
