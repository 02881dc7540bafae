"""The model repository of a release: the hand-written entries of model_repository/ with a checkpoint's figures."""

import json
import shutil
from collections.abc import Mapping
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
        folder: The entry, `classifier`.
        variant: The folder of the variant that is to be served; its files are moved.
        plan: How it is to be served.
    """
    version = _start_entry(folder, replace(plan, provider_options=RuntimeSpec.load(variant).provider_options))
    for path in variant.iterdir():
        path.rename(version / path.name)
    if plan.settings.backend == "python":
        shutil.copyfile(TEMPLATES / folder.name / "1" / "model.py", version / "model.py")
    _write_labels(folder, plan)


def write_preprocess(
    folder: Path, params: PreprocessParams, plan: ServingPlan, export_id: int, cache_dir: Path | None
) -> None:
    """Writes the entry of the preprocessing model: its glue, parameters, face models, and which export it belongs to.

    Raises:
        AssetError: The face models cannot be fetched.
    """
    version = _start_entry(folder, plan)
    shutil.copyfile(TEMPLATES / folder.name / "1" / "model.py", version / "model.py")
    (version / "preprocess.json").write_text(json.dumps(params.to_dict(), indent=1) + "\n", encoding="utf-8")
    (version / "preprocessing_version").write_text(f"{PREPROCESSING_VERSION}\n", encoding="utf-8")
    (version / "export_id").write_text(f"{export_id}\n", encoding="utf-8")
    if params.face_detection:
        for name, path in fetch_assets(FACE_MODELS, cache_dir).items():
            shutil.copyfile(path, version / name)


def write_ensemble(folder: Path, plan: ServingPlan) -> None:
    """Writes the ensemble's entry, still without the release's description."""
    version = _start_entry(folder, plan)
    # Version folders of an ensemble are empty, and empty folders get lost in archives and object stores.
    (version / ".keep").write_text("", encoding="utf-8")
    _write_labels(folder, plan)


def describe_ensemble(folder: Path, description: str) -> None:
    """Puts the release's description (JSON) into the ensemble's config, where clients read it."""
    config = read_config(folder / "config.pbtxt")
    config.parameters[DESCRIPTION_PARAMETER].string_value = description
    (folder / "config.pbtxt").write_text(text_format.MessageToString(config), encoding="utf-8")


def _start_entry(folder: Path, plan: ServingPlan) -> Path:
    version = folder / "1"
    version.mkdir(parents=True)
    config = render_config(TEMPLATES / folder.name / "config.pbtxt", plan)
    (folder / "config.pbtxt").write_text(config, encoding="utf-8")
    return version


def _write_labels(folder: Path, plan: ServingPlan) -> None:
    (folder / "labels.txt").write_text("".join(f"{label}\n" for label in plan.labels), encoding="utf-8")


def render_config(template: Path, plan: ServingPlan) -> str:
    """The text of a release's config.pbtxt, from that of the model in model_repository/."""
    config = read_config(template)
    for tensor in (*config.input, *config.output):
        if tensor.name == "PIXELS":
            tensor.dims[:] = [plan.size_px, plan.size_px, 3]
        elif tensor.name == "PROBABILITIES":
            tensor.dims[:] = [len(plan.labels)]
    if config.name == "preprocess":
        config.instance_group[0].count = plan.settings.instances
    elif config.name == "classifier":
        _plan_classifier(config, plan)
    return str(text_format.MessageToString(config))


def _plan_classifier(config: Any, plan: ServingPlan) -> None:
    from tritonclient.grpc import model_config_pb2 as schema

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
