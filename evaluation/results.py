"""The machine-readable result: its shape, and the JSON schema that follows from it.

`python -m evaluation.results > evaluation/results.schema.json` writes the schema.
"""

import json
from datetime import datetime

from deepfake_client.release import VerdictBands
from pydantic import BaseModel, ConfigDict

SCHEMA_VERSION = 1


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class EstimateResult(_Part):
    """A figure with its 95% bootstrap interval."""

    value: float | None
    """Over the files themselves; null where it cannot be computed."""
    low: float | None
    """Lower end of the interval."""
    high: float | None
    """Upper end of the interval."""
    reason: str
    """Why there is no value, or ""."""


class SoftwareResult(_Part):
    """Versions of what computed the result."""

    deepfake_serving: str
    numpy: str
    pillow: str
    scikit_learn: str


class CommandResult(_Part):
    """The settings of the run."""

    directory: str
    target: str
    """Triton address, or directory of a release or checkpoint."""
    workers: int
    """Files in progress at the same time."""
    timeout_s: float
    """Deadline of each file."""
    outage_wait_s: float
    """How long a file waits for a server that is away or overloaded."""
    resamples: int
    """Of the bootstrap."""
    seed: int
    """Of the bootstrap."""
    degradations: list[str]


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
    image_bands: VerdictBands
    video_bands: VerdictBands


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

    auc: EstimateResult
    eer: EstimateResult
    eer_threshold: EstimateResult
    tpr_at_1pct_fpr: EstimateResult
    tpr_at_5pct_fpr: EstimateResult
    accuracy: EstimateResult
    """At 0.5."""
    false_positive_rate: EstimateResult
    """Share of real files called fake, at 0.5."""
    false_negative_rate: EstimateResult
    """Share of fake files called real, at 0.5."""
    ece: EstimateResult
    """Expected calibration error of the fake probability, 15 bins."""
    brier: EstimateResult
    decided_accuracy: EstimateResult
    """Share of right verdicts among those that the bands do not call uncertain."""
    uncertain_rate: EstimateResult
    """Share of the scored files that the bands call uncertain."""
    undecodable_rate: EstimateResult
    """Share of all files."""
    unanswered_rate: EstimateResult
    """Share of all files."""


class ConfusionResult(_Part):
    """Files by truth and by decision."""

    threshold: float
    real_called_real: int
    real_called_fake: int
    fake_called_real: int
    fake_called_fake: int


class BinResult(_Part):
    """The scored files whose p lies in [low, high), the last bin including 1."""

    low: float
    high: float
    files: int
    mean_p: float | None
    fraction_fake: float | None


class LatencyResult(_Part):
    """Seconds from a file's turn to its result: reading, decoding, sending, scoring, retries."""

    concurrency: int
    """Files in progress at the same time while this was measured."""
    p50_s: EstimateResult
    p90_s: EstimateResult
    p99_s: EstimateResult


class ComparisonResult(_Part):
    """A metric over the same frames of the same files, clean and degraded."""

    clean: EstimateResult
    degraded: EstimateResult
    change: EstimateResult
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
    mean_abs_dp: EstimateResult
    """Mean absolute change of the fake probability."""


class ErrorResult(_Part):
    """Why there is no score."""

    code: str
    message: str


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

    path: str
    """Below the directory, with forward slashes."""
    label: str
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
    confusion_matrix: ConfusionResult
    calibration: list[BinResult]
    latency: LatencyResult
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


if __name__ == "__main__":
    print(schema_text(), end="")
