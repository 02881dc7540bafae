"""Chances of hitting a stretch, against what geometry says."""

import re

import pytest
from typer.testing import CliRunner

from evaluation.stretches import chances as module
from evaluation.stretches.chances import chances, table

INTERVAL_S = 60 / 29


def test_an_even_place_lies_in_a_stretch_as_often_as_it_covers_an_interval() -> None:
    for stretch_s in (0.5, 1.0):
        found = chances(60, stretch_s, secret=False, trials=500)
        assert found.one == pytest.approx(stretch_s / INTERVAL_S, abs=0.07)
        assert found.several == 0


def test_a_stretch_of_three_intervals_is_hit_three_times() -> None:
    found = chances(60, 3.05 * INTERVAL_S, secret=False, trials=50)
    assert (found.one, found.several, found.after) == (1, 1, 1)


def test_a_secret_misses_some_that_even_places_hit() -> None:
    """Two places in neighbouring parts may be nearly two parts apart."""
    even, secret = (chances(60, 1.2 * INTERVAL_S, secret=secret, trials=300) for secret in (False, True))
    assert even.one == 1
    assert 0.85 < secret.one < 0.99


@pytest.mark.parametrize("secret", [False, True])
def test_further_frames_make_several_of_one(secret: bool) -> None:
    """Fifteen times as close: whatever was hit once, and lasts for half a second, is hit three times."""
    found = chances(60, 0.5, secret=secret, trials=200)
    assert found.several == 0
    assert found.one - 0.02 <= found.after <= found.one > 0.1


def test_in_a_long_video_key_frames_stand_in() -> None:
    found = chances(3600, 20, secret=False, trials=150)
    assert found.one == pytest.approx(20 / (3600 / 29), abs=0.1)
    assert 0 <= found.after <= found.one


def test_the_table_and_its_command() -> None:
    text = table([60], [1, 50], trials=20)
    even, secret = text.splitlines()[2:]
    assert re.match(r"\| 60 s, even \| \d+/0/\d+ \|  \|", even), "a stretch of more than half the video is none"
    assert re.match(r"\| 60 s, secret \| \d+/0/\d+ \|  \|", secret)
    app = module.typer.Typer()
    app.command()(module.main)
    printed = (
        CliRunner()
        .invoke(app, ["--duration-s", "60", "--stretch-s", "1", "--stretch-s", "50", "--trials", "20"])
        .output
    )
    assert printed.strip() == text
