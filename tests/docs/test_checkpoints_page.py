"""docs/checkpoints.md names every kind that the tests of the export try; the page itself is made by hand, a minute."""

from tests.docs.checkpoints_page import refused_row, served_row
from tests.export.families import FAMILIES, REFUSED
from tests.service import ROOT

PAGE = (ROOT / "docs" / "checkpoints.md").read_text("utf-8").splitlines()


def test_every_family_has_its_row() -> None:
    for family in FAMILIES:
        (row,) = [line for line in PAGE if line.startswith(served_row(family, "").removesuffix(" |"))]
        assert float(row.split("|")[-2]) <= 1e-5


def test_every_refused_kind_has_its_row() -> None:
    for kind in REFUSED:
        (row,) = [line for line in PAGE if line.startswith(refused_row(kind, "").removesuffix(" |"))]
        assert kind.why in row
