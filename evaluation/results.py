"""The machine-readable result, results.json: its shape, its JSON schema, and the folder it is written into.

`python -m evaluation.results > evaluation/results.schema.json` writes the schema.
"""

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict

from deepfake_client.release import VerdictBands
from evaluation.errors import OutputError, OutputExistsError
from evaluation.statistics.bootstrap import IN_RESULTS, BootstrapPlan, Estimate
from evaluation.statistics.metrics import CalibrationBin, ConfusionMatrix

SCHEMA_VERSION = 3
RESULTS_NAME = "results.json"
FIGURE_NAMES = ("roc", "scores", "reliability", "tippett")

_OURS = (RESULTS_NAME, *(f"{name}.{suffix}" for name in FIGURE_NAMES for suffix in ("png", "svg")))


def _valid_unicode(text: object) -> object:
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace") if isinstance(text, str) else text


Text = Annotated[str, BeforeValidator(_valid_unicode)]
"""Valid Unicode, also for a file name in another encoding."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, **IN_RESULTS)


class SoftwareResult(_Part):
    """Versions of what computed the result."""

    deepfake_serving: str
    numpy: str
    pillow: str


class CommandResult(_Part):
    """The settings of the run."""

    directory: Text
    target: str
    """Triton address, or directory of a release or checkpoint."""
    workers: int
    """Files in progress at the same time."""
    timeout_s: float
    """Deadline of each file."""
    outage_wait_s: float
    """How long a file waits for a server that is away or overloaded."""
    resamples: int
    """Resamples of the bootstrap."""
    seed: int
    """Seed of the bootstrap."""
    prevalence: float
    """Share of fakes (0-1) that the predictive value is stated for."""
    degradations: list[str]

    @property
    def plan(self) -> BootstrapPlan:
        """How the intervals are made."""
        return BootstrapPlan(self.resamples, self.seed)


class BandsResult(_Part, VerdictBands):
    """Fake above `fake_above`, real below `real_below`, uncertain between; both are fake probabilities (0-1)."""


class ModelResult(_Part):
    """The model that was evaluated."""

    name: str
    release_id: str
    export_id: int
    precision: str
    labels: list[str]
    trained: bool
    notice: str
    """A sentence to show beside the figures, or ""."""
    face_detection: bool
    image_bands: BandsResult
    video_bands: BandsResult


class DatasetResult(_Part):
    """The data set."""

    digest: str
    """SHA-256 over the sorted lines "<sha256 of the file> <label>\\n"."""
    real_files: int
    fake_files: int
    duplicates: int
    """Files whose content another file of the same class has already."""
    contradictions: int
    """Contents that lie in both folders."""
    persons: int | None
    """People that the intervals are drawn over; None where nothing says who is who, and they are drawn over files."""


class ClassResult(_Part):
    """What became of the files of one class. files = scored + undecodable + unanswered."""

    files: int
    scored: int
    undecodable: int
    """The file is why: no image or video, broken, too large."""
    unanswered: int
    """The service is why: deadline, overload, a fault, or lost before their turn came."""
    called_real: int
    """By the model's verdict bands, as the two below."""
    called_fake: int
    called_uncertain: int


class CountsResult(_Part):
    """Counts by class."""

    real: ClassResult
    fake: ClassResult


class MetricsResult(_Part):
    """Figures over the scored files; a file is called fake at a threshold t when p >= t."""

    auc: Estimate
    frame_auc: Estimate
    """AUC of the scored frames of videos, each with its file's label."""
    average_precision: Estimate
    """It depends on the share of fakes among the files."""
    eer: Estimate
    eer_threshold: Estimate
    tpr_at_1pct_fpr: Estimate
    threshold_at_1pct_fpr: Estimate
    """The threshold that gives it."""
    tpr_at_5pct_fpr: Estimate
    threshold_at_5pct_fpr: Estimate
    """The threshold that gives it."""
    accuracy: Estimate
    """At 0.5."""
    false_positive_rate: Estimate
    """Share of real files called fake, at 0.5."""
    false_negative_rate: Estimate
    """Share of fake files called real, at 0.5."""
    ece: Estimate
    """Expected calibration error of the fake probability, 15 bins, each class counting half."""
    brier: Estimate
    """Mean squared error of the fake probability, each class counting half."""
    decided_accuracy: Estimate
    """Share of right verdicts among those that the bands do not call uncertain."""
    ppv: Estimate
    """Share of the verdicts "fake" that are right where `prevalence` of the files are fakes."""
    cllr: Estimate
    """Cost of the release's likelihood ratios in bits: 0 is perfect, 1 tells nothing."""
    cllr_min: Estimate
    """Cost of the best likelihood ratios that rise with the score: what lies between is bad calibration."""
    uncertain_rate: Estimate
    """Share of the scored files that the bands call uncertain."""
    undecodable_rate: Estimate
    """Share of all files."""
    unanswered_rate: Estimate
    """Share of all files."""


class LatencyResult(_Part):
    """Seconds from a file's turn to its result: reading, decoding, sending, scoring, retries."""

    concurrency: int
    """Files in progress at the same time while this was measured."""
    p50_s: Estimate
    p90_s: Estimate
    p99_s: Estimate


class SubsetResult(_Part):
    """The files of one method, against all files of the other class."""

    label: str
    method: Text
    """As method.csv says, or the first folder below real/ or fake/."""
    files: int
    scored: int
    auc: Estimate
    tpr_at_5pct_fpr: Estimate
    called_fake_rate: Estimate
    """Share of its scored files that the verdict calls fake."""


class ComparisonResult(_Part):
    """A metric over the same frames of the same files, clean and degraded."""

    clean: Estimate
    degraded: Estimate
    change: Estimate
    """Degraded minus clean; its interval is of the difference, over resamples of the pairs."""


class RobustnessResult(_Part):
    """One degradation."""

    degradation: str
    meaning: str
    real_files: int
    """Real files with both scores."""
    fake_files: int
    """Fake files with both scores."""
    not_applicable: int
    """Files without a face, for a degradation that needs one."""
    failed: int
    """Files with a clean score and none under the degradation."""
    auc: ComparisonResult
    eer: ComparisonResult
    accuracy: ComparisonResult
    tpr_at_5pct_fpr: ComparisonResult
    mean_abs_dp: Estimate
    """Mean absolute change of the fake probability."""


class ErrorResult(_Part):
    """Why there is no score."""

    code: str
    message: Text


class DegradedFileResult(_Part):
    """A file under one degradation."""

    degradation: str
    fake_probability: float | None
    clean_fake_probability: float | None
    """Over the same frames."""
    frames: int
    """With both scores."""
    error: ErrorResult | None


class FileResult(_Part):
    """One file."""

    path: Text
    """Below the directory, with forward slashes."""
    label: str
    person: Text | None
    """Who is in it; people who are in one file together have one name."""
    method: Text | None
    sha256: str | None
    media_type: str | None
    fake_probability: float | None
    verdict: str | None
    frames_scored: int
    frames_failed: int
    faces_detected: int
    latency_s: float | None
    error: ErrorResult | None
    degraded: list[DegradedFileResult]


class Results(_Part):
    """The result of one evaluation."""

    schema_version: int
    created_at: datetime
    """UTC."""
    software: SoftwareResult
    command: CommandResult
    model: ModelResult
    dataset: DatasetResult
    server_lost: bool
    """Whether the server was lost before every file had its turn; the figures then miss files that it could score."""
    notes: list[str]
    """What to know before believing the figures."""
    counts: CountsResult
    metrics: MetricsResult
    confusion_matrix: ConfusionMatrix
    calibration: list[CalibrationBin]
    latency: LatencyResult
    subsets: list[SubsetResult]
    robustness: list[RobustnessResult]
    figures: list[str]
    """Picture files beside this one."""
    files: list[FileResult]

    def json_text(self) -> str:
        """The document; never with NaN.

        Raises:
            ValueError: A number is not finite.
        """
        document = self.model_dump(mode="python")
        document["created_at"] = self.created_at.isoformat(timespec="seconds")
        return json.dumps(document, indent=1, allow_nan=False) + "\n"


def schema_text() -> str:
    """The JSON schema of the document."""
    schema = Results.model_json_schema(mode="serialization")
    schema["properties"]["schema_version"]["const"] = SCHEMA_VERSION
    header = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "deepfake-evaluate results"}
    return json.dumps({**schema, **header}, indent=1) + "\n"


def check_output(folder: Path, overwrite: bool) -> None:
    """Finds out before the work whether the result can be written afterwards.

    Raises:
        OutputExistsError: The folder holds files of an earlier result and may not be overwritten.
        OutputError: It is no directory, or cannot be written.
    """
    there = [name for name in _OURS if (folder / name).exists()]
    if there and not overwrite:
        raise OutputExistsError(f"{folder} holds {there[0]} already: give another --output, or --overwrite")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryDirectory(dir=folder).cleanup()
    except OSError as error:
        raise OutputError(f"cannot write into {folder}: {error.strerror}") from error


@contextmanager
def staged(folder: Path) -> Iterator[Path]:
    """A scratch directory whose files move into the folder at the end, `results.json` last.

    An earlier result goes first, so that a `results.json` always stands beside its own figures. When the block raises,
    the folder stays as it was.

    Raises:
        OutputError: The folder cannot be written.
    """
    try:
        with tempfile.TemporaryDirectory(prefix=".partial-", dir=folder) as scratch:
            yield Path(scratch)
            for name in _OURS:
                (folder / name).unlink(missing_ok=True)
            for made in sorted(Path(scratch).iterdir(), key=lambda path: path.name == RESULTS_NAME):
                made.replace(folder / made.name)
    except OSError as error:
        raise OutputError(f"cannot write into {folder}: {error.strerror}") from error


if __name__ == "__main__":
    print(schema_text(), end="")
