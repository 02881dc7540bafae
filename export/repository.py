"""The model repository of a release: the hand-written entries of model_repository/ with a checkpoint's figures."""

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from google.protobuf import text_format

from assets import FACE_MODELS, fetch_assets
from deepfake_client.release import DESCRIPTION_PARAMETER
from export.release import read_config
from export.settings import ExportSettings
from preprocessing import PREPROCESSING_VERSION, PreprocessParams
from runtime import GRAPH_FILE, PLAN_FILE, RuntimeSpec, batch_sizes, usable_cores
from runtime.classifier import MEMBERS_OUTPUT, pixels_name

TEMPLATES = Path(__file__).resolve().parent.parent / "model_repository"
"""The repository's hand-written part, copied into every release."""


@dataclass(frozen=True)
class ServingPlan:
    """How a release is to be served.

    Attributes:
        settings: Of the export, with instances that fit (`fitted`).
        size_px: Side of the classifier's input.
        labels: Labels by class index.
        provider_options: Settings of the onnxruntime backend's CUDA provider.
    """

    settings: ExportSettings
    size_px: int
    labels: tuple[str, ...]
    provider_options: Mapping[str, str] = field(default_factory=dict)


def write_classifier(folder: Path, variant: Path, plan: ServingPlan) -> None:
    """Writes the classifier's entry.

    Args:
        folder: The entry: `classifier`, or `classifier_1` and so on of several.
        variant: The folder of the variant that is to be served; its files are moved.
        plan: How it is to be served.
    """
    config = read_config(TEMPLATES / "classifier" / "config.pbtxt")
    _plan_classifier(config, replace(plan, provider_options=RuntimeSpec.load(variant).provider_options))
    version = start_entry(folder, config)
    for path in variant.iterdir():
        path.rename(version / path.name)
    if plan.settings.backend == "python":
        shutil.copyfile(TEMPLATES / "classifier" / "1" / "model.py", version / "model.py")
    write_labels(folder, plan.labels)


def write_preprocess(folder: Path, params: PreprocessParams, settings: ExportSettings, export_id: int) -> None:
    """Writes the entry of the preprocessing model: its glue, parameters, face models, and which export it belongs to.

    Raises:
        AssetError: The face models cannot be fetched.
    """
    config = read_config(TEMPLATES / "preprocess" / "config.pbtxt")
    config.instance_group[0].count = settings.instances
    pixels, *_ = (tensor for tensor in config.output if tensor.name == pixels_name(0))
    for number, view in enumerate(params.views):
        output = config.output.add(name=pixels_name(number), data_type=pixels.data_type) if number else pixels
        output.dims[:] = [view.resize.size_px, view.resize.size_px, 3]
    version = start_entry(folder, config)
    shutil.copyfile(TEMPLATES / "preprocess" / "1" / "model.py", version / "model.py")
    (version / "preprocess.json").write_text(json.dumps(params.to_dict(), indent=1) + "\n", encoding="utf-8")
    (version / "preprocessing_version").write_text(f"{PREPROCESSING_VERSION}\n", encoding="utf-8")
    (version / "export_id").write_text(f"{export_id}\n", encoding="utf-8")
    if params.face_detection:
        for name, path in fetch_assets(FACE_MODELS, settings.cache_dir).items():
            shutil.copyfile(path, version / name)


def write_ensemble(folder: Path, labels: Sequence[str], views: int = 1, members: int = 0) -> None:
    """Writes the ensemble's entry, still without the release's description.

    Args:
        folder: The entry, `deepfake_detector`.
        labels: By class index.
        views: How many squares of an image preprocess makes.
        members: How many classifiers are fused; 0 for one that answers alone.
    """
    config = read_config(TEMPLATES / "deepfake_detector" / "config.pbtxt")
    for tensor in config.output:
        if tensor.name == "PROBABILITIES":
            tensor.dims[:] = [len(labels)]
    preprocess, classifier = config.ensemble_scheduling.step
    for name in map(pixels_name, range(1, views)):
        preprocess.output_map[name] = classifier.input_map[name] = name
    if members:
        config.output.add(name=MEMBERS_OUTPUT, data_type=config.output[0].data_type, dims=[members])
        classifier.output_map[MEMBERS_OUTPUT] = MEMBERS_OUTPUT
    start_ensemble(folder, config, labels)


def start_ensemble(folder: Path, config: Any, labels: Sequence[str]) -> None:
    """Writes an ensemble's entry."""
    version = start_entry(folder, config)
    # Version folders of an ensemble are empty, and empty folders get lost in archives and object stores.
    (version / ".keep").write_text("", encoding="utf-8")
    write_labels(folder, labels)


def describe_ensemble(folder: Path, description: str) -> None:
    """Puts the release's description (JSON) into the ensemble's config, where clients read it."""
    config = read_config(folder / "config.pbtxt")
    config.parameters[DESCRIPTION_PARAMETER].string_value = description
    (folder / "config.pbtxt").write_text(text_format.MessageToString(config), encoding="utf-8")


def start_entry(folder: Path, config: Any) -> Path:
    """Writes an entry's config, which gets the folder's name; gives the folder of its version."""
    version = folder / "1"
    version.mkdir(parents=True)
    config.name = folder.name
    (folder / "config.pbtxt").write_text(text_format.MessageToString(config), encoding="utf-8")
    return version


def write_labels(folder: Path, labels: Sequence[str]) -> None:
    """Writes labels.txt into an entry."""
    (folder / "labels.txt").write_text("".join(f"{label}\n" for label in labels), encoding="utf-8")


def _plan_classifier(config: Any, plan: ServingPlan) -> None:
    from tritonclient.grpc import model_config_pb2 as schema

    for tensor in (*config.input, *config.output):
        if tensor.name == "PIXELS":
            tensor.dims[:] = [plan.size_px, plan.size_px, 3]
        elif tensor.name == "PROBABILITIES":
            tensor.dims[:] = [len(plan.labels)]
    group, settings = config.instance_group[0], plan.settings
    sizes = batch_sizes(settings.preferred_batch, config.max_batch_size)
    config.dynamic_batching.preferred_batch_size[:] = sizes[1:] if settings.on_gpu else [settings.preferred_batch]
    config.dynamic_batching.max_queue_delay_microseconds = settings.queue_delay_us
    if settings.on_gpu:
        group.kind = schema.ModelInstanceGroup.KIND_GPU
    if settings.backend == "python":
        group.count = settings.classifier_instances
        config.parameters["cores_per_instance"].string_value = str(settings.cores_per_instance)
        sizes = (1,)  # a CPU session only needs its first run
    elif settings.backend == "tensorrt":
        config.backend = "tensorrt"
        config.default_model_filename = PLAN_FILE
        # Without this Triton would take the first profile alone, that of single images.
        group.profile[:] = [str(index) for index in range(len(sizes))]
    else:
        group.count = 1 if settings.on_gpu else settings.instances
        config.backend = "onnxruntime"
        config.default_model_filename = GRAPH_FILE
        config.parameters["intra_op_thread_count"].string_value = str(max(usable_cores() // settings.instances, 1))
        sizes = sizes if settings.on_gpu else (1, 8)
        if plan.provider_options:
            accelerator = config.optimization.execution_accelerators.gpu_execution_accelerator.add()
            accelerator.name = "cuda"
            accelerator.parameters.update(plan.provider_options)
    for size in sizes:  # which Triton runs before it says that it is ready
        warmup = config.model_warmup.add(name=f"batch_{size}", batch_size=size)
        pixels, status = warmup.inputs["PIXELS"], warmup.inputs["STATUS"]
        pixels.data_type, status.data_type = schema.TYPE_UINT8, schema.TYPE_INT32
        pixels.dims[:], status.dims[:] = [plan.size_px, plan.size_px, 3], [1]
        pixels.random_data, status.zero_data = True, True
