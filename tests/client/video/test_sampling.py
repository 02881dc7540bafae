"""Which frames are chosen, on timelines without a video."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deepfake_client.scores import sample_indices
from deepfake_client.video.sampling import (
    KEYFRAME_TOLERANCE,
    LARGE_FRAME_PX,
    LONG_VIDEO_S,
    MUCH_VIDEO_PX,
    Sampling,
    Timeline,
    chosen_frames,
    spread,
)

SEED = bytes(range(32))


def timeline(pts: list[int], keyframes_pts: list[int], tick_s: float = 0.001) -> Timeline:
    return Timeline(np.array(pts, np.int64), np.array(keyframes_pts, np.int64), tick_s, True)


def steady(seconds: float, keyframe_every_s: float, rate: int = 25) -> Timeline:
    pts = [number * 1000 // rate for number in range(int(seconds * rate))]
    every = round(keyframe_every_s * rate)
    return timeline(pts, pts[::every])


def interval_of(times: np.ndarray, count: int = 30) -> float:
    return float(times[-1] - times[0]) / (count - 1)


@pytest.mark.parametrize("seconds", [1, 10, 60, LONG_VIDEO_S])
def test_short_videos_are_spread_exactly(seconds: float) -> None:
    clip = steady(seconds, 0.4)
    assert chosen_frames(clip, Sampling(30)) == sample_indices(len(clip.pts)) == spread(clip.pts, Sampling(30))


@pytest.mark.parametrize(("seconds", "keyframe_every_s"), [(600, 10), (600, 1), (1800, 10), (7200, 2), (121, 1.9)])
def test_in_long_videos_every_frame_but_the_last_is_a_key_frame(seconds: float, keyframe_every_s: float) -> None:
    clip = steady(seconds, keyframe_every_s)
    chosen = chosen_frames(clip, Sampling(30))
    assert len(chosen) == 30
    assert set(clip.pts[chosen[:-1]]) <= set(clip.keyframes_pts)
    assert (chosen[0], chosen[-1]) == (0, len(clip.pts) - 1)


def test_a_key_frame_too_far_away_is_not_taken() -> None:
    clip = steady(600, 200)
    assert chosen_frames(clip, Sampling(30)) == spread(clip.pts, Sampling(30))


@st.composite
def long_timelines(draw: st.DrawFn) -> Timeline:
    steps = draw(st.lists(st.integers(1, 60_000), min_size=40, max_size=400))
    pts = list(itertools.accumulate(steps, initial=draw(st.integers(-50_000, 50_000))))
    keyframes = [pts[0], *draw(st.lists(st.sampled_from(pts), max_size=100))]
    return timeline(pts, sorted(set(keyframes)))


@settings(max_examples=60, deadline=None)
@given(clip=long_timelines(), count=st.integers(1, 35))
def test_frames_are_distinct_even_and_chosen_alike_each_time(clip: Timeline, count: int) -> None:
    chosen = chosen_frames(clip, Sampling(count))
    assert chosen == chosen_frames(clip, Sampling(count))
    assert len(chosen) == len(set(chosen)) == min(count, len(clip.pts))
    assert chosen == sorted(chosen)
    if count >= 3 and clip.duration_s > LONG_VIDEO_S:
        places = np.linspace(clip.pts[0], clip.pts[-1], count)
        to_frame = np.abs(clip.pts[chosen][None] - places[:, None]).min(axis=1)
        to_nearest = np.abs(clip.pts[None] - places[:, None]).min(axis=1)
        allowed = np.maximum(KEYFRAME_TOLERANCE * interval_of(clip.pts, count), to_nearest)
        assert np.all(to_frame <= allowed + 1e-6)
    if count >= 2:
        assert (chosen[0], chosen[-1]) == (0, len(clip.pts) - 1)


@settings(max_examples=40, deadline=None)
@given(seconds=st.floats(125, 20_000), keyframe_every_s=st.floats(0.2, 60), rate=st.integers(1, 30))
def test_neighbours_are_half_an_interval_to_one_and_a_half_apart(
    seconds: float, keyframe_every_s: float, rate: int
) -> None:
    clip = steady(seconds, max(keyframe_every_s, 1 / rate), rate)
    gaps = np.diff(clip.pts[chosen_frames(clip, Sampling(30))]) / interval_of(clip.pts)
    one_frame = 1000 / rate / interval_of(clip.pts)
    assert gaps.min() >= 1 - 2 * KEYFRAME_TOLERANCE - one_frame
    assert gaps.max() <= 1 + 2 * KEYFRAME_TOLERANCE + one_frame


def test_a_key_frame_that_an_edit_list_hides_is_not_chosen() -> None:
    shown = steady(600, 10)
    hidden = round(interval_of(shown.pts)) + 1
    assert hidden not in shown.pts
    clip = timeline([int(time) for time in shown.pts], sorted([-40, hidden, *map(int, shown.keyframes_pts)]))
    assert chosen_frames(clip, Sampling(30)) == chosen_frames(shown, Sampling(30))
    assert clip.keyframe_before(-1) == -40


def test_spans_that_cannot_be_decoded_are_taken_out() -> None:
    clip = timeline([0, 10, 20, 30, 40, 50, 60, 70], [0, 30, 60])
    left = clip.without([(10, clip.next_keyframe(0)), (60, clip.next_keyframe(60))])
    assert left.pts.tolist() == [0, 30, 40, 50]
    assert left.keyframes_pts.tolist() == [0, 30]


def test_without_frames_or_key_frames() -> None:
    assert chosen_frames(timeline([], []), Sampling(30)) == []
    assert timeline([], []).duration_s == 0.0
    assert timeline([5], []).keyframe_before(5) is None
    long = timeline(list(range(0, 600_000, 100)), [])
    assert chosen_frames(long, Sampling(30)) == spread(long.pts, Sampling(30))


def test_key_frames_may_stand_in_where_frames_are_large_or_many() -> None:
    """Decoding 4K exactly takes as long as three times as much 1080p; the duration alone does not tell."""
    short = steady(20, 0.5)
    assert not short.is_costly
    for frame_px in (LARGE_FRAME_PX + 1, MUCH_VIDEO_PX // len(short.pts) + 1):
        costly = replace(short, frame_px=frame_px)
        assert costly.is_costly
        chosen = chosen_frames(costly, Sampling())
        assert chosen != spread(costly.pts, Sampling())
        assert len(set(costly.pts[chosen]) & set(costly.keyframes_pts)) > 15
        assert chosen_frames(costly, Sampling(keyframes_may_stand_in=False)) == spread(costly.pts, Sampling())
    assert not replace(timeline([], []), frame_px=LARGE_FRAME_PX + 1).is_costly


def parts_of(clip: Timeline, chosen: list[int], count: int = 30) -> list[int]:
    """In which of the equal parts of the duration each chosen frame is."""
    shown = (clip.pts[-1] - clip.pts[0]) * len(clip.pts) / (len(clip.pts) - 1)
    return [int((time - clip.pts[0]) * count / shown + 1e-9) for time in clip.pts[chosen]]


@pytest.mark.parametrize("clip", [steady(60, 2), steady(600, 2), steady(6000, 10)])
def test_a_seed_decides_on_one_place_in_each_part(clip: Timeline) -> None:
    chosen = chosen_frames(clip, Sampling(seed=SEED))
    assert parts_of(clip, chosen) == list(range(30))
    assert chosen == chosen_frames(clip, Sampling(seed=SEED))
    others = {tuple(chosen_frames(clip, Sampling(seed=bytes([n])))) for n in range(1, 20)}
    assert len({tuple(chosen), tuple(chosen_frames(clip, Sampling())), *others}) == 21


def test_places_are_anywhere_in_their_parts() -> None:
    clip = steady(60, 2)
    offsets = [index % 50 for n in range(40) for index in chosen_frames(clip, Sampling(seed=bytes([n + 1])))]
    assert set(offsets) == set(range(50))
    assert 22 < np.mean(offsets) < 27


def test_with_a_seed_half_of_a_long_video_is_judged_by_other_frames_than_key_frames() -> None:
    clip = steady(600, 2)
    keyframes = [
        set(np.flatnonzero(np.isin(clip.pts[chosen], clip.keyframes_pts)))
        for chosen in (chosen_frames(clip, Sampling(seed=bytes([n + 1]))) for n in range(20))
    ]
    assert all(15 <= len(found) <= 19 for found in keyframes)
    assert set.union(*keyframes) == set(range(30)), "the seed decides in which parts"
    exact = chosen_frames(clip, Sampling(seed=SEED, keyframes_may_stand_in=False))
    assert exact == spread(clip.pts, Sampling(seed=SEED))


@settings(max_examples=60, deadline=None)
@given(clip=long_timelines(), count=st.integers(1, 35), seed=st.binary(min_size=1, max_size=32))
def test_frames_with_a_seed_are_distinct_whatever_their_times(clip: Timeline, count: int, seed: bytes) -> None:
    chosen = chosen_frames(clip, Sampling(count, seed=seed))
    assert chosen == sorted(set(chosen))
    assert len(chosen) == min(count, len(clip.pts))
    assert all(0 <= index < len(clip.pts) for index in chosen)


def test_a_frame_that_is_shown_for_longer_is_more_often_chosen() -> None:
    """Of 100 pairs, the second frame is shown for a fiftieth of the time: whoever makes the video decides on times."""
    clip = timeline([at for start in range(0, 100_000, 1000) for at in (start, start + 980)], [0])
    first = [index % 2 == 0 for n in range(20) for index in spread(clip.pts, Sampling(seed=bytes([n + 1])))]
    assert np.mean(first) > 0.95
