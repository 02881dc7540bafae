"""Each method apart: a generator's fakes against all real files, a source's real files against all fakes."""

from collections.abc import Sequence

import numpy as np

from deepfake_client.scores import DetectionResult
from evaluation.dataset import Label
from evaluation.measure import ScoreTable
from evaluation.results import SubsetResult
from evaluation.scoring import ScoredFile
from evaluation.statistics.bootstrap import BootstrapPlan, Indices, estimate
from evaluation.statistics.metrics import ranking_metrics


def subset_results(rows: Sequence[ScoredFile], plan: BootstrapPlan) -> list[SubsetResult]:
    """One for each method of real and of fake files, by name; none where no file has a method."""
    keys = sorted({(row.file.label, row.file.method) for row in rows if row.file.method}, reverse=True)
    return [_subset(rows, label, method, plan) for label, method in keys]


def _subset(rows: Sequence[ScoredFile], label: Label, method: str, plan: BootstrapPlan) -> SubsetResult:
    own = [row for row in rows if row.file.label is label and row.file.method == method]
    table = ScoreTable.of([*own, *(row for row in rows if row.file.label is not label)])
    ours = table.is_fake == (label is Label.FAKE)
    called_fake = table.verdicts == DetectionResult.FAKE.value

    def statistics(chosen: Indices) -> dict[str, float]:
        verdicts = called_fake[chosen][ours[chosen]]
        ranking = ranking_metrics(table.is_fake[chosen], table.p[chosen])
        return {
            "auc": ranking["auc"],
            "tpr_at_5pct_fpr": ranking["tpr_at_5pct_fpr"],
            "called_fake_rate": float(verdicts.mean()) if verdicts.size else float("nan"),
        }

    found = estimate(statistics, table.is_fake, plan, "not scored, or no file of the other class was", table.groups)
    return SubsetResult(label=label.value, method=method, files=len(own), scored=int(np.sum(ours)), **found)
