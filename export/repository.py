"""Writes the three entries of a release's model repository from the hand-written ones in model_repository/."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

from assets import FACE_MODELS, fetch_assets
from export.model_config import TEMPLATES, ServingPlan, render_config
from preprocessing import PREPROCESSING_VERSION, PreprocessParams
from runtime import RuntimeSpec


def write_classifier(folder: Path, variant: Path, plan: ServingPlan) -> None:
    """Writes the classifier's entry.

    Args:
        folder: The entry, `classifier`.
        variant: The folder of the variant that is to be served; its files are moved.
        plan: How it is to be served.
    """
    spec = RuntimeSpec.load(variant)
    plan = replace(plan, accelerator=spec.accelerator, accelerator_options=spec.provider_options if plan.gpu else {})
    version = _start_entry(folder, plan)
    for path in variant.iterdir():
        path.rename(version / path.name)
    if plan.backend == "python":
        shutil.copyfile(TEMPLATES / folder.name / "1" / "model.py", version / "model.py")
    _write_labels(folder, plan)


def write_preprocess(folder: Path, params: PreprocessParams, plan: ServingPlan, cache_dir: Path | None) -> None:
    """Writes the entry of the preprocessing model: its glue, parameters and face models.

    Raises:
        AssetError: The face models cannot be fetched.
    """
    version = _start_entry(folder, plan)
    shutil.copyfile(TEMPLATES / folder.name / "1" / "model.py", version / "model.py")
    (version / "preprocess.json").write_text(json.dumps(params.to_dict(), indent=1) + "\n", encoding="utf-8")
    (version / "preprocessing_version").write_text(f"{PREPROCESSING_VERSION}\n", encoding="utf-8")
    if params.face_detection:
        for name, path in fetch_assets(FACE_MODELS, cache_dir).items():
            shutil.copyfile(path, version / name)


def write_ensemble(folder: Path, plan: ServingPlan) -> None:
    """Writes the ensemble's entry, still without the release's description."""
    version = _start_entry(folder, plan)
    # Version folders of an ensemble are empty, and empty folders get lost in archives and object stores.
    (version / ".keep").write_text("", encoding="utf-8")
    _write_labels(folder, plan)


def describe_ensemble(folder: Path, plan: ServingPlan, description: str) -> None:
    """Puts the release's description (JSON) into the ensemble's config, where clients read it."""
    config = render_config(TEMPLATES / folder.name / "config.pbtxt", plan, description)
    (folder / "config.pbtxt").write_text(config, encoding="utf-8")


def _start_entry(folder: Path, plan: ServingPlan) -> Path:
    version = folder / "1"
    version.mkdir(parents=True)
    config = render_config(TEMPLATES / folder.name / "config.pbtxt", plan)
    (folder / "config.pbtxt").write_text(config, encoding="utf-8")
    return version


def _write_labels(folder: Path, plan: ServingPlan) -> None:
    (folder / "labels.txt").write_text("".join(f"{label}\n" for label in plan.labels), encoding="utf-8")
