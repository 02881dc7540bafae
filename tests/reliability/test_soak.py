"""The long run in short: bad requests harm no good one; and a leak would be seen."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from reliability.soak import Sample, _trends
from tests.service import ROOT


def samples(leak_mib_per_hour: float) -> list[Sample]:
    """An hour of a process of 100 MiB whose memory goes up and down by some MiB."""
    noise = np.random.default_rng(0).normal(0, 3, 720)
    return [
        Sample(second, {"worker": 100 + leak_mib_per_hour * second / 3600 + noise[i]}, 50, 4.0)
        for i, second in enumerate(range(0, 3600, 5))
    ]


@pytest.mark.parametrize(("leak", "seen"), [(0.0, False), (12.0, True)])
def test_a_leak_shows_and_noise_does_not(leak: float, seen: bool) -> None:
    trend = _trends(samples(leak))["worker, MiB"]
    assert trend.low_per_hour <= leak <= trend.high_per_hour
    assert (trend.low_per_hour > 1) is seen


def test_bad_requests_harm_no_good_one(tiny_checkpoint: Path, tmp_path: Path) -> None:
    output = tmp_path / "soak.json"
    done = subprocess.run(
        [
            sys.executable, "-m", "reliability.soak", "--minutes", "0.25", "--pause-s", "0.02",
            "--checkpoint", str(tiny_checkpoint), "--output", str(output),
        ],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=240,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    record = json.loads(output.read_text())
    assert record["good_answered"] > 20
    assert (record["good_failed"], record["wrong_scores"]) == ({}, 0)
    statuses = {answer.rpartition(": ")[2] for answer in record["bad_answers"]}
    assert statuses <= {"200", "0", "400", "403", "404", "413", "415", "422", "503"}
    assert {"400", "403", "404", "415", "422"} <= statuses
