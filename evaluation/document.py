"""Builds the machine-readable result of a finished run, with notes on how far its figures can be trusted."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version

from deepfake_client.release import ModelInfo
from deepfake_client.scorer import OK
from deepfake_client.scores import DetectionResult
from evaluation import results
from evaluation.dataset import UNREADABLE, Dataset, Label
from evaluation.degradation import Degradation
from evaluation.measure import ScoreTable, clean_metrics, latency, robustness_row
from evaluation.robustness import PairedScore
from evaluation.scoring import NOT_TRIED, ScoredFile
from evaluation.statistics.metrics import calibration_bins, confusion_matrix
from evaluation.subsets import subset_results

FEW_FILES = 30
"""Below so many files of a class the percentile bootstrap is known to give intervals that are too narrow."""

FEWEST_REAL = {"tpr_at_1pct_fpr": 100, "tpr_at_5pct_fpr": 20}
"""Real files that it takes for one false positive to be as rare as the metric's FPR."""

_FEW_FOR_CALIBRATION = 150  # ten files for each of the fifteen bins
_FEW_FOR_P99 = 100


@dataclass(frozen=True)
class Run:
    """Everything that was scored.

    Attributes:
        command: What was asked for.
        degradations: What the robustness run did to the frames.
        dataset: The labelled files.
        model: Who answered.
        rows: The clean run, one for each file.
        pairs: For each file one entry per degradation; empty without degradations.
    """

    command: results.CommandResult
    degradations: tuple[Degradation, ...]
    dataset: Dataset
    model: ModelInfo
    rows: tuple[ScoredFile, ...] = ()
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
    table = ScoreTable.of(run.rows, run.model.calibration)
    metrics = results.MetricsResult(**clean_metrics(run.rows, table, run.command.prevalence, run.command.plan))
    robustness = [
        robustness_row(run.rows, [pairs[i] for pairs in run.pairs], degradation, run.command.plan)
        for i, degradation in enumerate(run.degradations)
    ]
    counts = results.CountsResult(real=_class(run.rows, Label.REAL), fake=_class(run.rows, Label.FAKE))
    return results.Results(
        schema_version=results.SCHEMA_VERSION,
        created_at=datetime.now(UTC),
        software=results.SoftwareResult(
            deepfake_serving=_installed("deepfake-serving"), numpy=_installed("numpy"), pillow=_installed("pillow")
        ),
        command=run.command,
        model=_model(run.model),
        dataset=results.DatasetResult(
            digest=run.dataset.digest,
            real_files=run.dataset.count(Label.REAL),
            fake_files=run.dataset.count(Label.FAKE),
            duplicates=run.dataset.duplicates,
            contradictions=run.dataset.contradictions,
            persons=len({file.person for file in run.dataset.files if file.person}) or None,
        ),
        server_lost=run.server_lost,
        notes=[
            *_notes_on_the_run(run),
            *_notes_on_people(run),
            *_notes_on_sizes(counts, metrics),
            *_notes_on_robustness(robustness),
        ],
        counts=counts,
        metrics=metrics,
        confusion_matrix=confusion_matrix(table.is_fake, table.p),
        calibration=list(calibration_bins(table.is_fake, table.p)),
        latency=results.LatencyResult(concurrency=run.command.workers, **latency(table, run.command.plan)),
        subsets=subset_results(run.rows, run.command.plan),
        robustness=robustness,
        figures=[],
        files=[_file(row, run.pairs[i] if run.pairs else (), run.degradations) for i, row in enumerate(run.rows)],
    )


def _installed(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "unknown"


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
        image_bands=results.BandsResult(**info.verdict_bands.image.model_dump()),
        video_bands=results.BandsResult(**info.verdict_bands.video.model_dump()),
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


def _file(row: ScoredFile, pairs: Sequence[PairedScore], degradations: Sequence[Degradation]) -> results.FileResult:
    statuses = [frame.score.status for frame in row.frames]
    return results.FileResult(
        path=row.file.name,
        label=row.file.label.value,
        person=row.person or None,
        method=row.file.method or None,
        sha256=None if row.file.sha256 == UNREADABLE else row.file.sha256,
        media_type=row.media_type.value if row.media_type else None,
        fake_probability=row.fake_probability,
        verdict=row.verdict.value if row.verdict else None,
        frames_scored=statuses.count(OK),
        frames_failed=len(statuses) - statuses.count(OK),
        faces_detected=sum(frame.score.face_box_px is not None for frame in row.frames),
        latency_s=round(row.latency_s, 4) if row.latency_s is not None else None,
        error=_error(row.error_code, row.error_message),
        degraded=[
            results.DegradedFileResult(
                degradation=degradation.name,
                fake_probability=pair.degraded,
                clean_fake_probability=pair.clean,
                frames=pair.frames,
                error=_error(pair.error_code, pair.error_message),
            )
            for degradation, pair in zip(degradations, pairs, strict=bool(pairs))
        ],
    )


def _error(code: str, message: str) -> results.ErrorResult | None:
    return results.ErrorResult(code=code, message=message) if code else None


def _notes_on_the_run(run: Run) -> list[str]:
    said = []
    if run.model.notice or not run.model.trained:
        said.append(run.model.notice or "The model is untrained: these figures mean nothing.")
    if run.server_lost:
        said.append(
            "The server was lost during the run: the files whose turn had not come are missing from the figures."
        )
    if failed := sum(row.fake_probability is None for row in run.rows):
        said.append(f"{failed} of {len(run.rows)} files have no score; every figure but the counts leaves them out.")
    if run.dataset.contradictions:
        said.append(
            f"{run.dataset.contradictions} contents lie in both real/ and fake/: at least one label of each is wrong."
        )
    if run.dataset.duplicates:
        said.append(f"{run.dataset.duplicates} files repeat another file of their class: the intervals are too narrow.")
    return said


def _notes_on_people(run: Run) -> list[str]:
    files = run.dataset.files
    unnamed, persons = sum(not file.person for file in files), len({file.person for file in files if file.person})
    if not persons:
        return ["Nothing says who is in the files: the intervals take them as independent. Name people in people.csv."]
    said = []
    if unnamed:
        said.append(f"{unnamed} of {len(files)} files name nobody: each counts as a person of its own.")
    if persons < FEW_FILES:
        said.append(f"With fewer than {FEW_FILES} people ({persons}) the intervals, drawn over people, are too narrow.")
    return said


def _notes_on_sizes(counts: results.CountsResult, metrics: results.MetricsResult) -> list[str]:
    real, fake = counts.real.scored, counts.fake.scored
    if not real or not fake:
        return []
    said = []
    if real < FEWEST_REAL["tpr_at_1pct_fpr"]:
        said.append(
            f"{real} real files are too few for a TPR at 1% FPR: it takes 100 for a false positive to be 1%. The "
            "figure is the TPR at no false positive at all."
        )
    if real < FEWEST_REAL["tpr_at_5pct_fpr"]:
        said.append(f"{real} real files are too few for a TPR at 5% FPR as well: it takes 20.")
    if min(real, fake) < FEW_FILES:
        said.append(f"With fewer than {FEW_FILES} scored files in a class the intervals are too narrow.")
    if metrics.ppv.value == 1.0:
        said.append("No real file was called fake: a predictive value of 1 says little, and nothing at low prevalence.")
    if metrics.auc.value in (0.0, 1.0):
        said.append("An AUC of exactly 0 or 1 has an interval of no width: more files would show its true one.")
    if real + fake < _FEW_FOR_CALIBRATION:
        said.append(f"ECE of {real + fake} files over 15 bins comes out too high, even of a calibrated model.")
    if real + fake < _FEW_FOR_P99:
        said.append(f"The 99th percentile of {real + fake} latencies is little more than the slowest one.")
    return said


def _notes_on_robustness(robustness: Sequence[results.RobustnessResult]) -> list[str]:
    said = []
    for row in robustness:
        if row.not_applicable:
            said.append(
                f"{row.degradation} was measured on the {row.real_files + row.fake_files} files with a face; "
                f"{row.not_applicable} have none."
            )
        if row.failed:
            said.append(f"{row.failed} files have no score under {row.degradation}; results.json says why.")
    return said
