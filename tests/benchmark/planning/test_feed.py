"""`deepfake-bench feed`: the table by hand, its warnings, what is measured, and the document that holds it."""

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from benchmark.cli import app
from benchmark.frames import make_face_frames
from benchmark.planning.feed import Gpu, feed_of, measured_frames_per_core
from tests.service import ROOT


def feed(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["feed", *arguments], env={"COLUMNS": "200"})


def test_a_table_by_hand() -> None:
    """1,000 frames/s by cores of 100: ten; 100 x 100 px of 3 bytes are 240 kbit a frame, files of 50 kB 400 kbit."""
    made = feed_of(Gpu("G", 1000), frames_per_core=100, cores=2.5, side_px=100, jpeg_bytes=50_000)
    assert (made.cores, made.busy) == (10, 0.25)
    assert (made.pixels_gbit_s, made.jpeg_gbit_s) == pytest.approx((0.24, 0.4))
    assert feed_of(Gpu("G", 1001), 100, 2.5, 100, 1).cores == 11
    assert feed_of(Gpu("G", 100), 100, 2.5, 100, 1).busy == 1


def test_cores_that_starve_a_gpu_are_warned_of_and_enough_are_not() -> None:
    done = feed("--frames-per-core", "100", "--gpu", "L4=350", "--gpu", "Mine=2000")
    assert done.exit_code == 0, done.output
    assert "| L4 | 350 (given) | 4 | 100% | 0.4 | " in done.stdout
    assert "| H100 | 5,000 (estimate) | 50 | 7% | 6.0 | " in done.stdout
    warnings = done.stderr.splitlines()
    assert [line.partition(" busy")[0] for line in warnings] == [
        "WARNING: 3.5 cores keep the H100 7%",
        "WARNING: 3.5 cores keep the Mine 18%",
    ]
    assert "preprocess-pool, DEEPFAKE_PREPROCESS_URL" in warnings[1]


@pytest.mark.parametrize("wrong", ["L4", "L4=fast", "=3", "L4=0", "L4=-1", "L4=inf"])
def test_a_rate_that_is_none_is_refused(wrong: str) -> None:
    done = feed("--frames-per-core", "100", "--gpu", wrong)
    assert done.exit_code == 2
    assert "NAME=FRAMES_A_SECOND" in done.stderr


def test_a_core_is_measured_by_what_it_prepares(tmp_path: Path) -> None:
    frames = [path.read_bytes() for path in make_face_frames(tmp_path, 2)]
    rates = measured_frames_per_core(frames, rounds=2)
    assert len(rates) == 2
    assert all(1 < rate < 10_000 for rate in rates)


def test_the_document_is_renewed_between_its_marks(tmp_path: Path) -> None:
    document = tmp_path / "page.md"
    document.write_text("before\n<!-- deepfake-bench feed -->\nold\n<!-- end -->\nafter\n")
    assert feed("--frames-per-core", "100", "--document", str(document)).exit_code == 0
    text = document.read_text()
    assert text.startswith("before\n<!-- deepfake-bench feed -->\nA core prepares 100 frames a second")
    assert text.endswith(" |\n<!-- end -->\nafter\n")
    assert "old" not in text
    document.write_text("no marks")
    done = feed("--frames-per-core", "100", "--document", str(document))
    assert done.exit_code == 1
    assert "needs one pair of lines" in done.stderr


def test_the_table_in_the_documents_follows_from_its_figure() -> None:
    """The figure that stands there is rounded."""
    text = (ROOT / "docs" / "kubernetes.md").read_text("utf-8")
    (rate,) = re.findall(r"A core prepares (\d+) frames a second", text)
    rows = re.findall(r"^\| (?:H100|L4) .*$", text, re.MULTILINE)
    made = feed("--frames-per-core", rate).stdout
    assert len(rows) == 2
    assert all(row in made for row in rows)
