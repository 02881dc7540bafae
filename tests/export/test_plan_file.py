"""A serving plan: what is taken, what is refused, and where its figures arrive."""

import json
from pathlib import Path
from typing import Any

import pytest

from export.errors import PlanError
from export.plan_file import Measured, PlanFile
from export.settings import ExportSettings
from runtime import usable_cores

PLAN: dict[str, Any] = {
    "preprocess_instances": 3, "classifier_instances": 2, "cores_per_instance": 1, "preferred_batch": 16,
    "queue_delay_us": 500, "chunk_frames": 15,
}  # fmt: skip


def write(path: Path, **changes: object) -> Path:
    path.write_text(json.dumps({**PLAN, **changes}), "utf-8")
    return path


def test_a_plan_is_read_as_it_was_saved(tmp_path: Path) -> None:
    measured = Measured(machine="a processor", cores=2, date="2026-01-01", precision="bf16", figures={"gain": 0.1})
    plan = PlanFile(**PLAN, measured=measured)
    path = tmp_path / "new" / "plan.json"
    plan.save(path)
    assert PlanFile.load(path) == plan
    assert [one.name for one in path.parent.iterdir()] == ["plan.json"]


def test_a_plan_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "plan.json").mkdir()
    with pytest.raises(PlanError, match="cannot be written"):
        PlanFile(**PLAN).save(tmp_path / "plan.json")
    assert [one.name for one in tmp_path.iterdir()] == ["plan.json"]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("preprocess_instances", 0), ("preprocess_instances", 10_000), ("classifier_instances", 0),
        ("cores_per_instance", -1), ("preferred_batch", 33), ("queue_delay_us", 60_000_000), ("chunk_frames", 33),
        ("chunk_frames", "8"), ("chunk_frames", 8.5), ("chunk_frames", True), ("preferred_batch", None),
    ],
)  # fmt: skip
def test_absurd_values_are_refused_by_name(key: str, value: object, tmp_path: Path) -> None:
    with pytest.raises(PlanError, match=f"{key}: .*deepfake-bench tune"):
        PlanFile.load(write(tmp_path / "plan.json", **{key: value}))


def test_what_is_no_plan_is_refused_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match=r"chunk_frame: no such key.*deepfake-bench tune"):
        PlanFile.load(write(tmp_path / "plan.json", chunk_frame=8))
    with pytest.raises(PlanError, match="cannot be read: No such file"):
        PlanFile.load(tmp_path / "none.json")
    for text in ("{", "[]", "{}", "\x00"):
        (tmp_path / "plan.json").write_text(text)
        with pytest.raises(PlanError, match="deepfake-bench tune"):
            PlanFile.load(tmp_path / "plan.json")


def test_an_explicit_number_of_instances_wins(tmp_path: Path) -> None:
    planned = PlanFile(**PLAN).applied_to(ExportSettings(tmp_path))
    figures = (planned.instances, planned.classifier_instances, planned.cores_per_instance)
    assert (*figures, planned.preferred_batch, planned.queue_delay_us) == (3, 2, 1, 16, 500)
    assert PlanFile(**PLAN).applied_to(ExportSettings(tmp_path, instances=1)).instances == 1


def test_other_backends_refuse_a_plan(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="leave it out"):
        PlanFile(**PLAN).applied_to(ExportSettings(tmp_path, backend="onnxruntime"))


def test_a_plan_of_another_machine_is_taken_with_a_warning() -> None:
    def measured_on(cores: int) -> PlanFile:
        return PlanFile(**PLAN, measured=Measured(machine="m", cores=cores, date="", precision="fp32"))

    assert measured_on(usable_cores()).warning() == PlanFile(**PLAN).warning() == ""
    assert "deepfake-bench tune" in measured_on(usable_cores() + 1).warning()
