"""From scores to figures: the metrics of the clean run, and their paired changes under each degradation."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from deepfake_client.media import MediaType
from deepfake_client.release import CalibrationRecord
from deepfake_client.scores import DetectionResult
from evaluation.dataset import Label
from evaluation.degradation import Degradation
from evaluation.people import groups_of
from evaluation.results import ComparisonResult, RobustnessResult
from evaluation.robustness import NO_FACE, PairedScore
from evaluation.scoring import ScoredFile
from evaluation.statistics import metrics
from evaluation.statistics.bootstrap import BootstrapPlan, Estimate, Indices, estimate
from evaluation.statistics.likelihood_ratios import cllr, min_cllr

COMPARED = ("auc", "eer", "accuracy", "tpr_at_5pct_fpr")
"""The metrics of the robustness table."""


_REASONS = {
    "threshold_at_1pct_fpr": "only a threshold above every score does",
    "threshold_at_5pct_fpr": "only a threshold above every score does",
    "ppv": "no verdict is fake",
    "decided_accuracy": "every verdict is uncertain",
    "cllr": "the release has no likelihood ratios for some of these files: calibrate it",
    "cllr_min": "a class is missing",
}
"""Why a metric has no value where both classes were scored."""


@dataclass(frozen=True)
class ScoreTable:
    """The scored files as columns.

    Attributes:
        is_fake: (N,) bool.
        p: (N,) float64, 0-1.
        latency_s: (N,) float64.
        verdicts: (N,) str: real, fake or uncertain.
        groups: (N,) intp: equal for files of the same people.
        log10_lr: (N,) float64: log10 likelihood ratios; NaN where the release does not give them.
    """

    is_fake: metrics.BoolArray
    p: metrics.FloatArray
    latency_s: metrics.FloatArray
    verdicts: NDArray[np.str_]
    groups: Indices
    log10_lr: metrics.FloatArray

    @classmethod
    def of(cls, rows: Sequence[ScoredFile], calibration: CalibrationRecord | None = None) -> "ScoreTable":
        """The rows that have a score.

        Args:
            rows: The clean run.
            calibration: Of the release that scored them.
        """
        scored = [row for row in rows if row.fake_probability is not None]
        return cls(
            is_fake=np.array([row.is_fake for row in scored], dtype=bool),
            p=np.array([row.fake_probability for row in scored], dtype=np.float64),
            latency_s=np.array([row.latency_s for row in scored], dtype=np.float64),
            verdicts=np.array([str(row.verdict) for row in scored], dtype=np.str_),
            groups=groups_of([row.person for row in scored]),
            log10_lr=np.array([_log10_lr(row, calibration) for row in scored], dtype=np.float64),
        )

    @property
    def has_both_classes(self) -> bool:
        """Whether there is a real and a fake."""
        return bool(self.is_fake.any() and not self.is_fake.all())

    @property
    def has_ratios(self) -> bool:
        """Whether both classes are there, each file with a likelihood ratio."""
        return self.has_both_classes and bool(np.isfinite(self.log10_lr).all())


def _log10_lr(row: ScoredFile, calibration: CalibrationRecord | None) -> float:
    ratios = calibration.ratios_of(row.media_type) if calibration and row.media_type else None
    return math.nan if ratios is None or row.fake_probability is None else ratios.log10_of(row.fake_probability)


def clean_metrics(
    rows: Sequence[ScoredFile], table: ScoreTable, prevalence: float, plan: BootstrapPlan
) -> dict[str, Estimate]:
    """Every metric of the clean run by name, each with its interval.

    Args:
        rows: All files.
        table: The scored ones.
        prevalence: Share of fakes (0-1) that the predictive value is stated for.
        plan: Of the intervals.
    """
    decided = table.verdicts != DetectionResult.UNCERTAIN.value
    called = table.verdicts == DetectionResult.FAKE.value
    right = called == table.is_fake

    def of_scores(chosen: Indices) -> dict[str, float]:
        kept, is_fake, has_ratios = chosen[decided[chosen]], table.is_fake[chosen], table.has_ratios
        tpr, fpr = (float(called[chosen][of].mean()) if of.any() else math.nan for of in (is_fake, ~is_fake))
        return {
            **metrics.score_metrics(is_fake, table.p[chosen]),
            "decided_accuracy": float(right[kept].mean()) if kept.size else math.nan,
            "uncertain_rate": float((~decided[chosen]).mean()) if chosen.size else math.nan,
            "ppv": metrics.positive_predictive_value(tpr, fpr, prevalence),
            "cllr": cllr(table.log10_lr[chosen], is_fake) if has_ratios else math.nan,
            "cllr_min": min_cllr(table.p[chosen], is_fake) if table.has_both_classes else math.nan,
        }

    undecodable = np.array([row.undecodable for row in rows])
    unanswered = np.array([row.unanswered for row in rows])

    def of_failures(chosen: Indices) -> dict[str, float]:
        return {
            "undecodable_rate": float(undecodable[chosen].mean()),
            "unanswered_rate": float(unanswered[chosen].mean()),
        }

    labels = np.array([row.is_fake for row in rows])
    missing = _missing_class(table.is_fake, "was scored")
    found = estimate(of_scores, table.is_fake, plan, missing, table.groups)
    if not missing:
        found = {
            name: replace(one, reason=_REASONS.get(name, "")) if one.value is None else one
            for name, one in found.items()
        }
    failures = estimate(of_failures, labels, plan, "", groups_of([row.person for row in rows]))
    return {**found, **failures, "frame_auc": _frame_auc(rows, plan)}


def _frame_auc(rows: Sequence[ScoredFile], plan: BootstrapPlan) -> Estimate:
    """AUC of the frames of videos, each with its file's label; files, or their people, are drawn as a whole."""
    frames = [
        (row.is_fake, frame.score.fake_probability, group)
        for row, group in zip(rows, groups_of([row.person for row in rows]).tolist(), strict=True)
        if row.media_type is MediaType.VIDEO
        for frame in row.frames
        if frame.score.fake_probability is not None
    ]
    is_fake = np.array([fake for fake, _, _ in frames], dtype=bool)
    p = np.array([p for _, p, _ in frames], dtype=np.float64)
    groups = np.array([group for _, _, group in frames], dtype=np.intp)

    def statistics(chosen: Indices) -> dict[str, float]:
        return {"auc": metrics.ranking_metrics(is_fake[chosen], p[chosen])["auc"]}

    return estimate(statistics, is_fake, plan, _missing_class(is_fake, "is a video that was scored"), groups)["auc"]


def latency(table: ScoreTable, plan: BootstrapPlan) -> dict[str, Estimate]:
    """Percentiles of the time of a scored file, in seconds, each with its interval."""
    return estimate(
        lambda chosen: metrics.latency_metrics(table.latency_s[chosen]), table.is_fake, plan, "no file was scored"
    )


def robustness_row(
    rows: Sequence[ScoredFile], pairs: Sequence[PairedScore], degradation: Degradation, plan: BootstrapPlan
) -> RobustnessResult:
    """What a degradation changes, over the files that have both scores."""
    both = [(row, pair) for row, pair in zip(rows, pairs, strict=True) if pair.frames]
    is_fake = np.array([row.is_fake for row, _ in both], dtype=bool)
    clean = np.array([pair.clean for _, pair in both], dtype=np.float64)
    degraded = np.array([pair.degraded for _, pair in both], dtype=np.float64)

    def statistics(chosen: Indices) -> dict[str, float]:
        before, after = (_compared(is_fake[chosen], p[chosen]) for p in (clean, degraded))
        return {
            **{f"clean {name}": before[name] for name in COMPARED},
            **{f"degraded {name}": after[name] for name in COMPARED},
            **{f"change {name}": after[name] - before[name] for name in COMPARED},
            "mean_abs_dp": float(np.abs(degraded[chosen] - clean[chosen]).mean()) if chosen.size else float("nan"),
        }

    groups = groups_of([row.person for row, _ in both])
    found = estimate(statistics, is_fake, plan, _missing_class(is_fake, "has both scores"), groups)
    return RobustnessResult(
        degradation=degradation.name,
        meaning=degradation.meaning,
        real_files=int((~is_fake).sum()),
        fake_files=int(is_fake.sum()),
        not_applicable=sum(pair.error_code == NO_FACE for pair in pairs),
        failed=sum(pair.failed for pair in pairs),
        mean_abs_dp=found["mean_abs_dp"],
        **{
            name: ComparisonResult(
                clean=found[f"clean {name}"], degraded=found[f"degraded {name}"], change=found[f"change {name}"]
            )
            for name in COMPARED
        },
    )


def _compared(is_fake: metrics.BoolArray, p: metrics.FloatArray) -> dict[str, float]:
    return {**metrics.ranking_metrics(is_fake, p), **metrics.decision_metrics(is_fake, p)}


def _missing_class(is_fake: metrics.BoolArray, what: str) -> str:
    if not is_fake.size:
        return f"no file {what}"
    if not is_fake.any():
        return f"no {Label.FAKE} file {what}"
    return f"no {Label.REAL} file {what}" if is_fake.all() else ""
