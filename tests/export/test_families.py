"""Each family, with its own image processor, is served as transformers' pipeline scores it, or refused by name."""

from pathlib import Path

import pytest

from export.errors import ExportError
from tests.export.families import FAMILIES, REFUSED, Family, Refused
from tests.export.served import greatest_dp


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_a_family_is_served_as_the_pipeline_scores_it(family: Family, tmp_path: Path) -> None:
    assert greatest_dp(family.save(tmp_path / "model"), tmp_path / "releases") <= 1e-5


@pytest.mark.parametrize("kind", REFUSED, ids=lambda kind: kind.name)
def test_what_cannot_be_served_is_refused_by_name(kind: Refused, tmp_path: Path) -> None:
    with pytest.raises(ExportError) as caught:
        greatest_dp(kind.save(tmp_path / "model"), tmp_path / "releases")
    assert kind.why in str(caught.value)
