"""What a calibration says: its record, the folder calibration/ with scores and pictures, and the printed figures."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from deepfake_client.release import BandRecord, CalibrationRecord, VerdictBands
from evaluation.dataset import Dataset
from preprocessing import PREPROCESSING_VERSION
from runtime import Fusion
from training.calibration.calibration import Calibration
from training.calibration.diagrams import draw_ratios, draw_reliability
from training.calibration.fitting import Budget
from training.calibration.fusing.comparison import Comparison
from training.calibration.fusing.stacking import FOLDS
from training.calibration.scores import UnscoredMedia
from training.calibration.units import Units

REPORT_FOLDER = "calibration"
"""In the new checkpoint: report.json with scores and reliability bins, and pictures."""


def make_record(
    found: Calibration,
    budget: Budget,
    dataset: Dataset,
    face_detection: bool,
    unscored: list[UnscoredMedia],
) -> CalibrationRecord:
    """The record of a calibration, but for the crop and the labels of a single checkpoint."""
    notes = list(found.notes)
    if unscored:
        notes.append(f"{len(unscored)} of {len(dataset.files)} files could not be scored and do not count.")
    if dataset.contradictions:
        notes.append(f"{dataset.contradictions} files lie in both real/ and fake/.")
    return CalibrationRecord(
        temperature=round(found.fitted.scale.temperature, 6),
        bias=round(found.fitted.scale.bias, 6),
        max_fpr=budget.max_fpr,
        max_fnr=budget.max_fnr,
        face_detection=face_detection,
        preprocessing_version=PREPROCESSING_VERSION,
        dataset_sha256=dataset.digest,
        image=found.image,
        video=found.video,
        video_rule=found.video_rule,
        notes=tuple(notes),
    )


def write_report(
    folder: Path, found: Calibration, record: CalibrationRecord, comparisons: Sequence[Comparison] = ()
) -> None:
    """Writes report.json and the pictures into a new folder."""
    folder.mkdir()
    report = {
        "scale": asdict(found.fitted),
        "verdict_bands": found.bands.model_dump(),
        "calibration": record.model_dump(mode="json"),
        "reliability_before": [asdict(one) for one in found.bins_before],
        "reliability_after": [asdict(one) for one in found.bins_after],
        **({"comparisons": [asdict(one) for one in comparisons]} if comparisons else {}),
        "scores": {units.kind: _scores(units) for units in (found.images, found.videos) if units is not None},
    }
    (folder / "report.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    draw_reliability(found.bins_before, found.bins_after, folder / "reliability.png")
    for did, units in ((record.image, found.images), (record.video, found.videos)):
        if did is not None and did.likelihood_ratio is not None and units is not None:
            draw_ratios(units, did.likelihood_ratio, folder / f"tippett-{units.kind}.png")


def _scores(units: Units) -> list[dict[str, object]]:
    """One row for each score, so that figures can be made again without the files; groups are persons or files."""
    columns = units.is_fake.tolist(), units.groups.tolist(), units.before.tolist(), units.after.tolist()
    return [
        {"is_fake": is_fake, "group": group, "before": round(before, 6), "after": round(after, 6)}
        for is_fake, group, before, after in zip(*columns, strict=True)
    ]


def print_fusion(names: Sequence[str], fusion: Fusion, comparisons: Sequence[Comparison]) -> None:
    """Prints the formula, and whether fusing helps."""
    for name, weight in zip(names, fusion.weights, strict=True):
        print(f"weight       {weight:.4f} of the log-odds of {name}")
    print(f"intercept    {fusion.intercept:+.4f}")
    for one in comparisons:
        rows = (*one.members, one.mean, one.stacking)
        width = max(len(row.name) for row in rows)
        print(f"{one.kind:<12} {'':{width}}  {'AUC':20}  ECE")
        for row in rows:
            ece = "-" if row.ece is None else f"{row.ece:.3f}"
            print(f"             {row.name:{width}}  {row.auc.text():20}  {ece}")
        print(f"             of the mean ECE, of stacking both, on people left out ({FOLDS} folds)")
        print(f"             fused minus {one.best}: AUC {one.gain.text('+')}")


def print_calibration(record: CalibrationRecord, found: Calibration, output: Path) -> None:
    """Prints what was found."""
    scale = found.fitted.scale
    print(f"scale        temperature {scale.temperature:.4f}, bias {scale.bias:+.4f}")
    _print_bands("images", record.image, found.bands.image)
    if record.video is not None:
        _print_bands("videos", record.video, found.bands.video)
        print(f"             by the {record.video_rule} of their frames")
    for note in record.notes:
        print(f"note         {note}")
    print(f"written to   {output}")


def _print_bands(name: str, did: BandRecord, bands: VerdictBands) -> None:
    tpr = did.tpr
    interval = "" if tpr.low is None or tpr.high is None else f" [{tpr.low:.1%}, {tpr.high:.1%}]"
    persons = f" of {did.persons} persons" if did.persons is not None else ""
    print(f"{name:<12} real below {bands.real_below:g}, fake above {bands.fake_above:g}")
    print(f"             set on {did.unit}: {did.real} real and {did.fake} fake files{persons}, AUC {did.auc:.4f}")
    print(f"             ECE {did.ece_before:.4f} -> {did.ece_after:.4f}")
    print(f"             real called fake {did.fpr:.2%} (95%: at most {did.fpr_upper:.2%})")
    print(f"             fake called real {did.fnr:.2%} (95%: at most {did.fnr_upper:.2%})")
    print(f"             fake called fake {tpr.value:.1%}{interval}; uncertain {did.uncertain:.1%}")
    if ratios := did.likelihood_ratio:
        print(f"             log10 LR {ratios.low:+.2f} to {ratios.high:+.2f}, Cllr {ratios.cllr:.3f} bit")
