"""What people read of a run: verdicts in words, every figure whole, and once what the verdicts are worth."""

import io
import re
from collections import Counter
from pathlib import Path

import pytest

from deepfake_client.batch.scoring import FileReport
from deepfake_client.batch.table import summary, verdict_of, write_reports
from deepfake_client.release import Scope
from tests.client.evidence.cases import MODEL, TWO_MODELS, made_output
from tests.client.presentation.test_statement import calibrated


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def report(p: float, *, name: str = "a.jpg", **options: object) -> FileReport:
    options = {"is_video": False, "keep_frames": False, **options}
    return FileReport(Path("photos") / name, made_output([p], **options))  # type: ignore[arg-type]


FAILED = FileReport(Path("photos/b.jpg"), error_code="NOTHING_SCORED", error_message="photos/b.jpg: TOO_MANY_PIXELS")
FACES_ONLY = MODEL.model_copy(update={"scope": Scope.FACE})
UNTRAINED = MODEL.model_copy(update={"trained": False})
SIGNS, NO_SIGNS, INCONCLUSIVE = report(0.9996, name="long" * 40), report(0.051), report(0.5)
NO_FACE, NO_VERDICT = report(0.9, model=FACES_ONLY, without_face=[0]), report(0.9, model=UNTRAINED)
STRETCH = FileReport(
    Path("photos") / ("long" * 40), made_output([0.1] * 10 + [0.9] * 4 + [0.1] * 16, keep_frames=False)
)
ALL = [STRETCH, SIGNS, NO_SIGNS, INCONCLUSIVE, NO_FACE, NO_VERDICT, FAILED]


def shown(reports: list[FileReport], monkeypatch: pytest.MonkeyPatch, columns: int) -> str:
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("TERM", "xterm")
    terminal = Terminal()
    write_reports(reports, len(reports), terminal)
    return terminal.getvalue()


def plain(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


@pytest.mark.parametrize("columns", [27, 79, 80, 99, 100, 160])
def test_no_figure_is_cut_however_narrow_the_terminal(monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    said = plain(shown(ALL, monkeypatch, columns))
    lines = [line for line in said.splitlines() if not line.startswith("photos/")]
    assert max(map(len, lines)) <= columns
    for figure in ("> 99.9 %", "5.1 %", "50.0 %"):
        assert re.search(rf"(?<![\d.]){re.escape(figure)}(?!\S)", said.replace(",", " ")), figure
    assert ("frames  faces  people\n" in said) == (columns >= 80), (
        "a table from 80 columns on, with its last column whole"
    )
    assert "…" not in said
    assert {"TOO_MANY_PIXELS", "SHORT_SUSPICIOUS_STRETCH"} <= set(re.findall(r"\w+", said)), "no code is broken"


def test_each_outcome_has_its_words_and_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    red, green, yellow, dim = 31, 32, 33, 2
    for row, headline, colour in (
        (SIGNS, "Signs of manipulation", red),
        (NO_SIGNS, "No sign of manipulation found", green),
        (INCONCLUSIVE, "Inconclusive", yellow),
        (NO_FACE, "Not assessable: no face found", dim),
        (NO_VERDICT, "No verdict: the model is untrained", dim),
        (FAILED, "failed", dim),
    ):
        for reports in ([row], [row, row]):
            assert f"\x1b[{colour}m{headline}" in shown(reports, monkeypatch, 160)


def test_what_weakens_a_result_stands_under_its_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    table = plain(shown([NO_FACE, NO_SIGNS], monkeypatch, 120)).splitlines()
    (row,) = [number for number, line in enumerate(table) if "Not assessable" in line]
    assert table[row + 1].strip() == "NO_FACE"
    assert table[row].index("Not assessable") == table[row + 1].index("NO_FACE")


def test_one_file_gets_its_reason_and_its_findings_in_full(monkeypatch: pytest.MonkeyPatch) -> None:
    said = " ".join(plain(shown([NO_FACE], monkeypatch, 100)).split())
    assert said.startswith("photos/a.jpg Not assessable: no face found The model judges faces only.")
    assert "fake probability 90.0 % frames 1, faces 0, people 0 NO_FACE: No face was found in the image" in said


@pytest.mark.parametrize("columns", [50, 100])
def test_of_one_file_each_of_several_models_has_a_line(monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    row = report(0.7, model=TWO_MODELS, members=[(0.912, 0.0004)])
    said = " ".join(plain(shown([row], monkeypatch, columns)).split())
    assert (
        "fake probability 70.0 % by example/face alone 91.2 % (face crop, weight 0.75) by example/whole alone < 0.1 % "
        "(whole picture, weight 0.5, not calibrated) frames 1, faces 1, people 1 MODELS_DISAGREE: The models" in said
    )
    assert "alone" not in shown([row, row], monkeypatch, 100), "a table of many files stays narrow"
    assert "alone" not in shown([report(0.7)], monkeypatch, columns)


def test_what_the_verdicts_are_worth_is_said_once(monkeypatch: pytest.MonkeyPatch) -> None:
    defaults = "The thresholds are defaults. Nobody has measured how often this model errs at them."
    assert plain(shown([SIGNS, NO_SIGNS, SIGNS], monkeypatch, 160)).endswith(f"\n\n{defaults}\n")
    fake, real = (report(p, model=calibrated()) for p in (0.9, 0.1))
    said = plain(shown([fake, real, fake, FAILED], monkeypatch, 200))
    assert said.count("Signs of manipulation: At this threshold 5.0 % of 190 real test images were called fake") == 1
    assert said.count("No sign of manipulation found: At this threshold 2.0 % of 200 fake test images showed") == 1
    assert "threshold" not in shown([NO_FACE, NO_VERDICT], monkeypatch, 200), "nothing was decided"


def test_the_closing_line_counts_verdicts() -> None:
    verdicts = Counter(map(verdict_of, [SIGNS, FAILED, NO_SIGNS, SIGNS]))
    assert summary(verdicts, 1.25) == (
        "4 files in 1.2 s: Signs of manipulation (2), failed (1), No sign of manipulation found (1)"
    )
