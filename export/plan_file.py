"""A serving plan as a file: how many instances of what, as `deepfake-bench tune` found them best for a machine."""

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from export.errors import PlanError
from runtime import usable_cores

if TYPE_CHECKING:
    from export.settings import ExportSettings

_REMEDY = "correct it, or write it again with `deepfake-bench tune`"


class Measured(BaseModel):
    """Where a plan comes from. For people: nothing is computed from it.

    Attributes:
        machine: The processor.
        cores: That were usable.
        date: When, ISO 8601.
        precision: Of the classifier.
        figures: Name -> value, those of the plan and those of the default.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    machine: str
    cores: int = Field(ge=1)
    date: str
    precision: str
    figures: dict[str, float] = {}


class PlanFile(BaseModel):
    """How a release is to be served, and how clients are to ask it.

    Attributes:
        preprocess_instances: See `ExportSettings.instances`.
        classifier_instances: See `ExportSettings`, as for the three that follow.
        cores_per_instance: Likewise.
        preferred_batch: Likewise.
        queue_delay_us: Likewise.
        chunk_frames: See `ClientSettings`; `make serve` hands it to the gateway.
        measured: Where the plan comes from.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    preprocess_instances: int = Field(ge=1, le=256)
    classifier_instances: int = Field(ge=1, le=64)
    cores_per_instance: int = Field(ge=0, le=1024)
    preferred_batch: int = Field(ge=1, le=32)
    queue_delay_us: int = Field(ge=0, le=1_000_000)
    chunk_frames: int = Field(ge=1, le=32)
    measured: Measured | None = None

    @classmethod
    def load(cls, path: Path) -> Self:
        """Reads a file.

        Raises:
            PlanError: It cannot be read, has a key that nobody knows, or a value that makes no sense.
        """
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise PlanError(f"the serving plan {path} cannot be read: {error.strerror}") from error
        except ValueError as error:
            raise PlanError(f"the serving plan {path} is no JSON ({error}): {_REMEDY}") from error
        try:
            return cls.model_validate(document)
        except ValidationError as error:
            problems = "; ".join(_problem(one) for one in error.errors())
            raise PlanError(f"the serving plan {path} is refused ({problems}): {_REMEDY}") from error

    def save(self, path: Path) -> None:
        """Writes the file, whole or not at all.

        Raises:
            PlanError: It cannot be written.
        """
        partial = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                partial.write_text(self.model_dump_json(indent=1) + "\n", encoding="utf-8")
                partial.replace(path)
            finally:
                partial.unlink(missing_ok=True)
        except OSError as error:
            raise PlanError(f"the serving plan {path} cannot be written: {error.strerror}") from error

    def applied_to(self, settings: "ExportSettings") -> "ExportSettings":
        """The settings with this plan; a number of instances that they name stays.

        Raises:
            PlanError: The classifier is to be served by something that knows no such plan.
        """
        if settings.backend != "python":
            raise PlanError(f"a serving plan is for the python backend, not for {settings.backend}: leave it out")
        return replace(
            settings,
            instances=settings.instances or self.preprocess_instances,
            classifier_instances=self.classifier_instances,
            cores_per_instance=self.cores_per_instance,
            preferred_batch=self.preferred_batch,
            queue_delay_us=self.queue_delay_us,
        )

    def warning(self) -> str:
        """What to tell whoever uses it here: "" if it was measured with as many cores, or does not say."""
        if self.measured is None or self.measured.cores == usable_cores():
            return ""
        return (
            f"the serving plan was measured on {self.measured.cores} cores, and {usable_cores()} are usable here: "
            "`deepfake-bench tune` makes one for this machine"
        )


def _problem(error: Any) -> str:
    key = ".".join(str(part) for part in error["loc"])
    if error["type"] == "extra_forbidden":
        return f"{key}: no such key"
    return f"{key}: {error['msg']}" if key else str(error["msg"])
