"""Damaged images through preprocessing, and that the fuzzer finds what is there to be found.

Some in the suite, FUZZ_INPUTS (100,000 by default) in the long form. An input is named by FUZZ_SEED and its number.
"""

import os
import random
import time
from collections.abc import Iterator

import pytest

from preprocessing import Preparer
from tests.fuzz import fuzz_preprocess
from tests.fuzz.mutation import Mutator
from tests.hostile import images as hostile_images
from tests.hostile import videos as hostile_videos
from tests.hostile.media_structure import repaired, split


def test_pieces_make_the_whole() -> None:
    for content in [*hostile_images.seeds(), *hostile_videos.seeds()]:
        pieces = split(content)
        assert b"".join(pieces) == content
        assert len(pieces) > 1
        assert repaired(content) == content


def test_the_same_number_makes_the_same_input() -> None:
    mutator = Mutator.of_media(hostile_images.seeds())
    made = [[mutator.mutated(random.Random(f"0/{number}")) for number in range(50)] for _ in range(2)]
    assert made[0] == made[1]
    assert len(set(made[0])) > 40


def test_no_damaged_image_does_harm() -> None:
    report = fuzz_preprocess.fuzz(1000, seed=20, processes=1)
    assert report.findings == []
    assert report.inputs == 1000
    assert report.peak_mib < 2000
    assert report.outcomes["OK"] > 100
    assert report.outcomes["DECODE_FAILED"] > 100


@pytest.mark.long
@pytest.mark.timeout(0)
def test_no_damaged_image_does_harm_at_length() -> None:
    inputs, seed = int(os.environ.get("FUZZ_INPUTS", "100000")), int(os.environ.get("FUZZ_SEED", "0"))
    report = fuzz_preprocess.fuzz(inputs, seed, processes=2)
    print(
        f"{report.inputs} inputs, slowest {report.slowest_s:.2f} s, peak {report.peak_mib:.0f} MiB, {report.outcomes}"
    )
    assert report.findings == []


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> Iterator[fuzz_preprocess._Worker]:
    made = fuzz_preprocess._Worker()
    yield made
    made.preparer.close()


def test_an_unforeseen_exception_is_a_finding(worker: fuzz_preprocess._Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    original = Preparer.prepare

    def fails(self: Preparer, encoded: bytes) -> object:
        if encoded != worker.intact:
            raise ZeroDivisionError("seven")
        return original(self, encoded)

    monkeypatch.setattr(Preparer, "prepare", fails)
    assert worker.batch(0, [1, 2]).findings == ["1: ZeroDivisionError: seven", "2: ZeroDivisionError: seven"]


def test_other_pixels_of_an_intact_image_are_a_finding(worker: fuzz_preprocess._Worker) -> None:
    worker.intact_pixels = worker.intact_pixels ^ 1
    assert len(worker.batch(0, [1]).findings) == 2


def dies_or_hangs(_seed: int, numbers: list[int]) -> fuzz_preprocess.Report:
    if 1 in numbers:
        time.sleep(0.2)  # the pool does not take an end within the first milliseconds
        os._exit(1)
    if 4 in numbers:
        time.sleep(60)
    return fuzz_preprocess.Report(inputs=len(numbers))


def test_a_lost_process_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fuzz_preprocess, "_BATCH", 3)
    report = fuzz_preprocess.fuzz(6, seed=0, processes=1, run_batch=dies_or_hangs, hang_s=1)
    assert report.inputs == 6
    assert [finding.split(":")[0] for finding in report.findings] == ["1", "4"]
