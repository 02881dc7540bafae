"""Mean against stretch, on clips of a known law."""

import json
from pathlib import Path

import numpy as np
import pytest

from training.calibration.fitting import Budget
from training.calibration.video_rules import SHARES, compare_rules, made_clips, mixture, read_clips, table


def test_made_frames_have_the_auc_that_is_asked_for() -> None:
    clips = made_clips(0.89, 0.5, 400)
    real, fake = np.concatenate(clips.real), np.concatenate(clips.fake)
    assert np.mean(fake[:4000, None] > real[None, :4000]) == pytest.approx(0.89, abs=0.03)
    assert np.mean([np.var(one) for one in made_clips(0.89, 0.9, 100).real]) < np.mean([np.var(p) for p in clips.real])


def test_a_mixture_is_a_stretch_of_the_other() -> None:
    real, fake = np.zeros(30), np.ones(12)
    for share in SHARES:
        mixed = mixture(real, fake, share, np.random.default_rng(1))
        (at,) = np.nonzero(mixed)
        assert len(at) == round(30 * share)
        assert at[-1] - at[0] == len(at) - 1


def test_a_stretch_is_found_by_the_highest_stretch_and_by_the_finding() -> None:
    found = compare_rules(made_clips(0.99, 0.9, 100), Budget(0.02, 0.05), rounds=4)
    mean, stretch, either = found["mean"], found["stretch"], found["mean or finding"]
    assert max(mean[0], stretch[0]) < 0.08, "both keep the budget, nearly so on clips they were not set on"
    assert mean[3] < 0.1 < 0.5 < stretch[3], "a fifth of the clip"
    assert all(a >= b for a, b in zip(either, mean, strict=True))
    assert either[3] > 0.5


def test_rows_of_the_command_line_are_read(tmp_path: Path) -> None:
    def row(name: str, *p: float | None) -> str:
        frames = [{"fake_probability": value} for value in p]
        return json.dumps({"file": name, "metadata": {"frame_predictions": frames} if p else None})

    path = tmp_path / "results.jsonl"
    rows = [row("/fake/real/a.mp4", 0.1, 0.2, None, 0.3), row("x/fake/b.mp4", 0.9, 0.8, 0.7), row("real/c.mp4"),
            row("real/d.png", 0.5), row("e.mp4", 0.1, 0.1, 0.1)]  # fmt: skip
    path.write_text("\n".join(rows))
    clips = read_clips(path)
    assert [list(p) for p in clips.real] == [[0.1, 0.2, 0.3]]
    assert [list(p) for p in clips.fake] == [[0.9, 0.8, 0.7]]


def test_the_table() -> None:
    text = table([made_clips(0.99, 0.9, 40)], Budget(0.1, 0.1), rounds=1)
    assert [line.split(" | ")[1] for line in text.splitlines()[2:]] == ["mean", "stretch", "mean or finding"]
