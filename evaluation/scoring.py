"""The clean run: every file is scored by the client and gives one row. It ends when the server is lost."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass

from deepfake_client import errors
from deepfake_client.batch.scoring import FileReport, detect_files
from deepfake_client.detector import Detector
from deepfake_client.errors import ServiceError
from deepfake_client.media import MediaType
from deepfake_client.release import ModelInfo
from deepfake_client.result import ScoredFrame
from deepfake_client.scores import DetectionResult
from evaluation.dataset import Label, LabelledFile
from evaluation.errors import ModelChangedError

NOT_TRIED = "NOT_TRIED"
"""Code of a file that was not tried, because the server had been lost before."""


@dataclass(frozen=True)
class ScoredFile:
    """A labelled file and what became of it: a score, or an error code with its reason.

    Attributes:
        file: The file.
        fake_probability: 0-1, of the most suspicious person or as the verdict is made otherwise; None without a score.
        verdict: By the model's bands; None without a score.
        media_type: Image or video; None without a score.
        latency_s: Wall time of the detection, in seconds; None without a score.
        frames: Every sampled frame with its score; empty without a score.
        error_code: The client's error code, or "".
        error_message: The reason, or "".
    """

    file: LabelledFile
    fake_probability: float | None = None
    verdict: DetectionResult | None = None
    media_type: MediaType | None = None
    latency_s: float | None = None
    frames: tuple[ScoredFrame, ...] = ()
    error_code: str = ""
    error_message: str = ""

    @property
    def is_fake(self) -> bool:
        """The truth."""
        return self.file.label is Label.FAKE

    @property
    def person(self) -> str:
        """Who is in it, as its file says."""
        return self.file.person

    @property
    def undecodable(self) -> bool:
        """Whether the file itself is why there is no score: no image or video, broken, too large."""
        return self.error_code in _INPUT_CODES

    @property
    def unanswered(self) -> bool:
        """Whether the service is why there is no score: no answer in time, overloaded, at fault, lost before."""
        return bool(self.error_code) and not self.undecodable


def score_files(
    detector: Detector, files: Sequence[LabelledFile], info: ModelInfo, *, timeout_s: float, workers: int
) -> Iterator[ScoredFile]:
    """Scores the files in order; each gives one item.

    When the client reports that the server is lost, what was scored stays and the rest is `NOT_TRIED`.

    Args:
        detector: Shared by the workers.
        files: What to score.
        info: The model that is evaluated.
        timeout_s: Deadline of each file.
        workers: Files in progress at the same time.

    Raises:
        ModelChangedError: Another model has answered.
    """
    paths = [file.path for file in files]
    reports = detect_files(detector, paths, timeout_s=timeout_s, workers=workers)
    rest = iter(files)
    with closing(reports):  # left to the garbage collector, it could be closed by one of its own threads
        try:
            for report in reports:
                yield _scored(next(rest), report, info)
        except ServiceError as error:
            yield from (ScoredFile(file, error_code=NOT_TRIED, error_message=f"server lost: {error}") for file in rest)


def check_model(version: str, info: ModelInfo) -> None:
    """Refuses an answer of another model.

    Raises:
        ModelChangedError: It is one.
    """
    if version != info.version:
        raise ModelChangedError(
            f"{version} answers now, {info.version} did at the start; evaluate one of them at a time"
        )


def _scored(file: LabelledFile, report: FileReport, info: ModelInfo) -> ScoredFile:
    output = report.output
    if output is None:
        return ScoredFile(file, error_code=report.error_code, error_message=report.error_message)
    check_model(output.model_version, info)
    return ScoredFile(
        file,
        fake_probability=output.confidence_score,
        verdict=output.result,
        media_type=MediaType(output.metadata["input_type"]),
        latency_s=output.processing_time_seconds,
        frames=output.frames,
    )


_INPUT_CODES = frozenset(
    kind.code for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.InputError)
)
