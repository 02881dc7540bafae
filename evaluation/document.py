"""Builds the machine-readable result from a finished run."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version

from deepfake_client.release import ModelInfo
from deepfake_client.scorer import OK
from deepfake_client.scores import DetectionResult

from evaluation import results
from evaluation.bootstrap import BootstrapPlan, Estimate
from evaluation.dataset import UNREADABLE, Dataset, Label
from evaluation.degradation import Degradation
from evaluation.measure import COMPARED, RobustnessRow, ScoreTable, clean_metrics, latency, robustness_row
from evaluation.metrics import calibration_bins, confusion_matrix
from evaluation.notes import notes
from evaluation.robustness import PairedScore
from evaluation.scoring import NOT_TRIED, ScoredFile


@dataclass(frozen=True)
class RunSettings:
    """What the command was asked to do.

    Attributes:
        target: Triton address, or directory of a release or checkpoint.
        workers: Files in progress at the same time.
        timeout_s: Deadline of each file.
        outage_wait_s: How long a file waits for a server that is away or overloaded.
        plan: Of the bootstrap.
        degradations: Of the robustness run; may be empty.
    """

    target: str
    workers: int
    timeout_s: float
    outage_wait_s: float
    plan: BootstrapPlan
    degradations: tuple[Degradation, ...] = ()


@dataclass(frozen=True)
class Run:
    """Everything that was scored.

    Attributes:
        settings: What was asked for.
        dataset: The labelled files.
        model: Who answered.
        rows: The clean run, one for each file.
        pairs: For each file one entry per degradation; empty without degradations.
    """

    settings: RunSettings
    dataset: Dataset
    model: ModelInfo
    rows: tuple[ScoredFile, ...]
    pairs: tuple[tuple[PairedScore, ...], ...] = ()

    @property
    def server_lost(self) -> bool:
        """Whether the server was lost before every file, clean or degraded, had its turn."""
        codes = {row.error_code for row in self.rows} | {pair.error_code for row in self.pairs for pair in row}
        return NOT_TRIED in codes

    @property
    def all_scored(self) -> bool:
        """Whether every file has a score, and under every degradation that applies to it too."""
        degraded = not any(pair.failed for row in self.pairs for pair in row)
        return degraded and all(row.fake_probability is not None for row in self.rows)


def build_results(run: Run) -> results.Results:
    """The document without its figures' names: metrics, intervals, notes and rows."""
    plan = run.settings.plan
    table = ScoreTable.of(run.rows)
    metrics = clean_metrics(run.rows, plan)
    robustness = [
        robustness_row(run.rows, [pairs[i] for pairs in run.pairs], degradation, plan)
        for i, degradation in enumerate(run.settings.degradations)
    ]
    return results.Results(
        schema_version=results.SCHEMA_VERSION,
        created_at=datetime.now(UTC),
        software=_software(),
        command=_command(run),
        model=_model(run.model),
        dataset=_dataset(run.dataset),
        server_lost=run.server_lost,
        notes=notes(run.model, run.dataset, run.rows, metrics, robustness, run.server_lost),
        counts=results.CountsResult(**{label.value: _class(run.rows, label) for label in Label}),
        metrics=results.MetricsResult(**{name: _estimate(value) for name, value in metrics.items()}),
        confusion_matrix=results.ConfusionResult(**asdict(confusion_matrix(table.is_fake, table.p))),
        calibration=[results.BinResult(**asdict(one)) for one in calibration_bins(table.is_fake, table.p)],
        latency=results.LatencyResult(
            concurrency=run.settings.workers, **{name: _estimate(v) for name, v in latency(run.rows, plan).items()}
        ),
        robustness=[_robustness(row) for row in robustness],
        figures=[],
        files=[
            _file(row, run.pairs[i] if run.pairs else (), run.settings.degradations) for i, row in enumerate(run.rows)
        ],
    )


def _software() -> results.SoftwareResult:
    def installed(distribution: str) -> str:
        try:
            return version(distribution)
        except PackageNotFoundError:
            return "unknown"

    names = ("deepfake-serving", "numpy", "pillow", "scikit-learn")
    return results.SoftwareResult(**{name.replace("-", "_"): installed(name) for name in names})


def _command(run: Run) -> results.CommandResult:
    settings = run.settings
    return results.CommandResult(
        directory=_text(str(run.dataset.directory)),
        target=settings.target,
        workers=settings.workers,
        timeout_s=settings.timeout_s,
        outage_wait_s=settings.outage_wait_s,
        resamples=settings.plan.resamples,
        seed=settings.plan.seed,
        degradations=[degradation.name for degradation in settings.degradations],
    )


def _model(info: ModelInfo) -> results.ModelResult:
    return results.ModelResult(
        name=info.name,
        release_id=info.release_id,
        export_id=info.export_id,
        precision=info.precision,
        labels=list(info.labels),
        trained=info.trained,
        notice=info.notice,
        face_detection=info.preprocess.face_detection,
        image_bands=info.verdict_bands.image,
        video_bands=info.verdict_bands.video,
    )


def _dataset(dataset: Dataset) -> results.DatasetResult:
    return results.DatasetResult(
        digest=dataset.digest,
        real_files=dataset.count(Label.REAL),
        fake_files=dataset.count(Label.FAKE),
        duplicates=dataset.duplicates,
        contradictions=dataset.contradictions,
    )


def _class(rows: Sequence[ScoredFile], label: Label) -> results.ClassResult:
    own = [row for row in rows if row.file.label is label]
    verdicts = [row.verdict for row in own]
    return results.ClassResult(
        files=len(own),
        scored=sum(row.fake_probability is not None for row in own),
        undecodable=sum(row.undecodable for row in own),
        unanswered=sum(row.unanswered for row in own),
        called_real=verdicts.count(DetectionResult.REAL),
        called_fake=verdicts.count(DetectionResult.FAKE),
        called_uncertain=verdicts.count(DetectionResult.UNCERTAIN),
    )


def _estimate(estimate: Estimate) -> results.EstimateResult:
    return results.EstimateResult(**asdict(estimate))


def _robustness(row: RobustnessRow) -> results.RobustnessResult:
    comparisons = {
        name: results.ComparisonResult(
            clean=_estimate(row.comparisons[name].clean),
            degraded=_estimate(row.comparisons[name].degraded),
            change=_estimate(row.comparisons[name].change),
        )
        for name in COMPARED
    }
    return results.RobustnessResult(
        degradation=row.degradation.name,
        meaning=row.degradation.meaning,
        real_files=row.real_files,
        fake_files=row.fake_files,
        not_applicable=row.not_applicable,
        failed=row.failed,
        mean_abs_dp=_estimate(row.mean_abs_dp),
        **comparisons,
    )


def _file(row: ScoredFile, pairs: Sequence[PairedScore], degradations: Sequence[Degradation]) -> results.FileResult:
    statuses = [frame.score.status for frame in row.frames]
    return results.FileResult(
        path=_text(row.file.name),
        label=row.file.label.value,
        sha256=None if row.file.sha256 == UNREADABLE else row.file.sha256,
        media_type=row.media_type.value if row.media_type else None,
        fake_probability=row.fake_probability,
        verdict=row.verdict.value if row.verdict else None,
        frames_scored=statuses.count(OK),
        frames_failed=len(statuses) - statuses.count(OK),
        faces_detected=sum(frame.score.face_box_px is not None for frame in row.frames),
        latency_s=round(row.latency_s, 4) if row.latency_s is not None else None,
        error=_error(row.error_code, row.error_message),
        degraded=[_degraded(degradation, pair) for degradation, pair in zip(degradations, pairs, strict=bool(pairs))],
    )


def _degraded(degradation: Degradation, pair: PairedScore) -> results.DegradedFileResult:
    return results.DegradedFileResult(
        degradation=degradation.name,
        fake_probability=pair.degraded,
        clean_fake_probability=pair.clean,
        frames=pair.frames,
        error=_error(pair.error_code, pair.error_message),
    )


def _error(code: str, message: str) -> results.ErrorResult | None:
    return results.ErrorResult(code=code, message=_text(message)) if code else None


def _text(text: str) -> str:
    """Valid Unicode, also of a file name that is none."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
