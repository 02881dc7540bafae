"""What to know before believing the figures: the limits of this very run, as sentences."""

from collections.abc import Mapping, Sequence

from deepfake_client.release import ModelInfo

from evaluation.bootstrap import Estimate
from evaluation.dataset import Dataset, Label
from evaluation.measure import RobustnessRow
from evaluation.scoring import ScoredFile

FEW_FILES = 30
"""Below so many files of a class the percentile bootstrap is known to give intervals that are too narrow."""

FEWEST_REAL = {"tpr_at_1pct_fpr": 100, "tpr_at_5pct_fpr": 20}
"""Real files that it takes for one false positive to be as rare as the metric's FPR."""

_FEW_FOR_CALIBRATION = 150  # ten files for each of the fifteen bins
_FEW_FOR_P99 = 100


def notes(
    model: ModelInfo,
    dataset: Dataset,
    rows: Sequence[ScoredFile],
    metrics: Mapping[str, Estimate],
    robustness: Sequence[RobustnessRow],
    server_lost: bool,
) -> list[str]:
    """The sentences that hold for this run, the gravest first."""
    scored = {label: sum(r.file.label is label and r.fake_probability is not None for r in rows) for label in Label}
    return [
        *_about_the_run(model, dataset, rows, server_lost),
        *_about_sample_sizes(scored[Label.REAL], scored[Label.FAKE], metrics),
        *_about_robustness(robustness),
    ]


def _about_the_run(model: ModelInfo, dataset: Dataset, rows: Sequence[ScoredFile], server_lost: bool) -> list[str]:
    said = []
    if not model.trained:
        said.append(model.notice or "The model is untrained: these figures mean nothing.")
    elif model.notice:
        said.append(model.notice)
    if server_lost:
        said.append(
            "The server was lost during the run: the files whose turn had not come are missing from the figures."
        )
    if failed := sum(row.fake_probability is None for row in rows):
        said.append(f"{failed} of {len(rows)} files have no score; every figure but the counts leaves them out.")
    if dataset.contradictions:
        said.append(
            f"{dataset.contradictions} contents lie in both real/ and fake/: at least one label of each is wrong."
        )
    if dataset.duplicates:
        said.append(f"{dataset.duplicates} files repeat another file of their class: the intervals are too narrow.")
    return said


def _about_sample_sizes(real: int, fake: int, metrics: Mapping[str, Estimate]) -> list[str]:
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
    if metrics["auc"].value in (0.0, 1.0):
        said.append("An AUC of exactly 0 or 1 has an interval of no width: more files would show its true one.")
    if real + fake < _FEW_FOR_CALIBRATION:
        said.append(f"ECE of {real + fake} files over 15 bins comes out too high, even of a calibrated model.")
    if real + fake < _FEW_FOR_P99:
        said.append(f"The 99th percentile of {real + fake} latencies is little more than the slowest one.")
    return said


def _about_robustness(robustness: Sequence[RobustnessRow]) -> list[str]:
    said = []
    for row in robustness:
        if row.not_applicable:
            said.append(
                f"{row.degradation.name} was measured on the {row.real_files + row.fake_files} files with a face; "
                f"{row.not_applicable} have none."
            )
        if row.failed:
            said.append(f"{row.failed} files have no score under {row.degradation.name}; results.json says why.")
    return said
