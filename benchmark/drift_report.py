"""The figures of a drift measurement, as JSON and as a table."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, TextIO

import numpy as np
from rich.console import Console
from rich.table import Table

_MARGIN = 0.02  # decisions this close to 0.5 may fall either way
_WORST = 5


@dataclass(frozen=True)
class DriftRow:
    """One image, from the reference to the product.

    Attributes:
        name: File name.
        reference_p: Fake probability of PyTorch fp32.
        p: Of the product.
        reference_log_odds: Log-odds of fake of PyTorch fp32.
        log_odds: Of the product.
        same_face: Whether both found a face or neither did.
    """

    name: str
    reference_p: float
    p: float
    reference_log_odds: float
    log_odds: float
    same_face: bool

    @property
    def dp(self) -> float:
        """Signed difference of the fake probability."""
        return self.p - self.reference_p

    @property
    def flipped(self) -> bool:
        """Whether the decision at 0.5 differs."""
        return (self.p > 0.5) != (self.reference_p > 0.5)

    @property
    def decided(self) -> bool:
        """Whether the reference is outside 0.48-0.52."""
        return abs(self.reference_p - 0.5) > _MARGIN


@dataclass(frozen=True)
class BatchVariance:
    """How much an image's fake probability depends on what is sent with it.

    Attributes:
        in_threes: Largest |difference| to the image alone, in requests of three in the list's order.
        in_eights: In requests of eight in a shuffled order.
    """

    in_threes: float
    in_eights: float

    @property
    def largest(self) -> float:
        """Of the two."""
        return max(self.in_threes, self.in_eights)


@dataclass(frozen=True)
class DriftReport:
    """What was measured.

    Attributes:
        model: Name of the model.
        precision: As the release says.
        release_id: Of the release that answered.
        target: Directory or address that was asked.
        images: How many images.
        faces: In how many of them the reference found a face.
        face_mismatches: In how many only one of the two found one; the drift of these is not the graph's.
        max_dp: Largest |difference| of the fake probability.
        mean_dp: Mean of the same.
        p95_dp: 95th percentile of the same.
        flipped: Decisions at 0.5 that differ, without those whose reference is within 0.48-0.52.
        flipped_in_all: All that differ.
        std_p: Spread of the reference's probabilities.
        max_dlogit: Largest |difference| of the log-odds of fake.
        mean_dlogit: Mean of the same.
        batch_variance: See `BatchVariance`; None if not measured.
        exact_images: How many images have exactly the listed pixels; None for other images.
        rows: By image.
    """

    model: str
    precision: str
    release_id: str
    target: str
    images: int
    faces: int
    face_mismatches: int
    max_dp: float
    mean_dp: float
    p95_dp: float
    flipped: int
    flipped_in_all: int
    std_p: float
    max_dlogit: float
    mean_dlogit: float
    batch_variance: BatchVariance | None
    exact_images: int | None
    rows: tuple[DriftRow, ...]

    @property
    def worst(self) -> list[DriftRow]:
        """The images that drifted most, the worst first."""
        return sorted(self.rows, key=lambda row: -abs(row.dp))[:_WORST]

    def to_json(self) -> str:
        """All figures, the worst images and every row."""
        document = {**asdict(self), "worst": [row.name for row in self.worst]}
        return json.dumps(document, indent=1) + "\n"


def figures(rows: Sequence[DriftRow]) -> dict[str, Any]:
    """The fields of `DriftReport` that follow from the rows."""
    dp = np.array([abs(row.dp) for row in rows])
    dlogit = np.array([abs(row.log_odds - row.reference_log_odds) for row in rows])
    return {
        "images": len(rows),
        "face_mismatches": sum(not row.same_face for row in rows),
        "max_dp": float(dp.max()),
        "mean_dp": float(dp.mean()),
        "p95_dp": float(np.percentile(dp, 95)),
        "flipped": sum(row.flipped and row.decided for row in rows),
        "flipped_in_all": sum(row.flipped for row in rows),
        "std_p": float(np.std([row.reference_p for row in rows])),
        "max_dlogit": float(dlogit.max()),
        "mean_dlogit": float(dlogit.mean()),
        "rows": tuple(rows),
    }


def print_report(report: DriftReport, stream: TextIO) -> None:
    """Writes the figures and the worst images as tables."""
    console = Console(file=stream, markup=False, highlight=False, width=None if stream.isatty() else 120)
    title = f"{report.model} {report.precision} {report.release_id} against PyTorch fp32"
    table = Table("figure", "value", title=title)
    table.add_row("images, of them with a face", f"{report.images}, {report.faces}")
    if report.exact_images is not None:
        table.add_row("images with exactly the listed pixels", str(report.exact_images))
    table.add_row("face found by one of the two only", str(report.face_mismatches))
    table.add_row("spread of p (standard deviation)", f"{report.std_p:.3f}")
    table.add_row("|dp| largest", f"{report.max_dp:.3g}")
    table.add_row("|dp| 95th percentile", f"{report.p95_dp:.3g}")
    table.add_row("|dp| mean", f"{report.mean_dp:.3g}")
    table.add_row("|d log-odds| largest", f"{report.max_dlogit:.3g}")
    table.add_row("|d log-odds| mean", f"{report.mean_dlogit:.3g}")
    table.add_row("decisions flipped, outside 0.48-0.52", str(report.flipped))
    table.add_row("decisions flipped, in all", str(report.flipped_in_all))
    if batches := report.batch_variance:
        table.add_row("|dp| alone or in a batch of 3", f"{batches.in_threes:.3g}")
        table.add_row("|dp| alone or in a shuffled batch of 8", f"{batches.in_eights:.3g}")
    console.print(table)
    worst = Table("worst images", "reference p", "p", "dp")
    for row in report.worst:
        worst.add_row(row.name, f"{row.reference_p:.6f}", f"{row.p:.6f}", f"{row.dp:+.3g}")
    console.print(worst)
