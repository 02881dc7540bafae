"""What a frame costs, step by step, in this checkout and in another one."""

from pathlib import Path

import pytest

from benchmark.bench import Bench
from benchmark.frames import make_face_frames
from benchmark.parts import measure_steps
from benchmark.servers import ROOT, BenchError


def bench_of(folder: Path, versus: Path) -> Bench:
    bench = Bench(say=lambda _line: None, folder=folder, rounds=1, versus=versus)
    bench.frames_folder = make_face_frames(folder / "frames", 2)[0].parent
    return bench


def test_each_step_of_both_checkouts(tmp_path: Path) -> None:
    figures = measure_steps(bench_of(tmp_path, ROOT))
    assert [name for name in figures.rows if name.startswith("JPEG frame")][-1] == "JPEG frame: all"
    for cells in figures.rows.values():
        assert list(cells) == list(figures.columns) == ["ms", "other, ms", "over other"]
        assert min(value for values in cells.values() for value in values) > 0


def test_another_checkout_that_cannot_be_measured_is_named(tmp_path: Path) -> None:
    other = tmp_path / "other"
    (other / "preprocessing").mkdir(parents=True)
    (other / "preprocessing" / "__init__.py").write_text('raise ImportError("too old")')
    with pytest.raises(BenchError, match="too old") as caught:
        measure_steps(bench_of(tmp_path, other))
    assert str(caught.value).startswith(f"{other}: ")
