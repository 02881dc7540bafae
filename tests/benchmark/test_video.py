"""The comparison of frame extraction: its clips, its methods, its table."""

from dataclasses import replace
from pathlib import Path

import av
import pytest

from benchmark.video import Measurement, markdown, measure
from benchmark.video_clips import ClipSpec, make_clip, number_at, read_number
from benchmark.video_methods import METHODS

CLIP = ClipSpec("1080p_gop30_10min.mp4", (256, 96), 60, 3, options={"preset": "ultrafast", "g": "30", "bf": "2"})


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(CLIP, tmp_path_factory.mktemp("clips"))


def test_every_frame_of_a_clip_carries_the_number_of_its_time(path: Path) -> None:
    with av.open(str(path)) as container:
        frames = [(frame.time, frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)]
    assert len(frames) == CLIP.frames == 180
    assert [time for time, _ in frames] == pytest.approx([n / 30 for n in range(180)])
    assert [read_number(pixels) for _, pixels in frames] == [number_at(CLIP, time) for time, _ in frames]
    assert [read_number(pixels) for _, pixels in frames] == [*range(60)] * 3


def test_a_clip_is_made_once(path: Path) -> None:
    before = path.stat().st_mtime_ns
    assert make_clip(CLIP, path.parent) == path
    assert path.stat().st_mtime_ns == before


@pytest.mark.parametrize("method", ["ours", "ours_exact", *METHODS])
def test_every_method_arrives_at_frames_with_honest_times(path: Path, method: str) -> None:
    found = measure(method, CLIP, path)
    assert found.frames == 30
    assert found.distinct == (6 if method == "pyav_keyframes" else 30)
    assert found.time_error_frames == 0
    assert 0 < found.encode_s < found.wall_s


def test_a_wrong_time_stamp_is_noticed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def late(clip: Path) -> object:
        return (replace(picked, timestamp_s=picked.timestamp_s + 2 / 30) for picked in METHODS["pyav_full"](clip))

    monkeypatch.setitem(METHODS, "cv2_grab", late)
    assert measure("cv2_grab", CLIP, path).time_error_frames == 2


def test_the_table_holds_medians_and_ranges() -> None:
    one = Measurement(CLIP.name, "ours", 1.0, 2.0, 0.5, 100.0, 30, 30, 0, 0.125)
    rows = markdown([one, replace(one, wall_s=4.0, peak_rss_mib=120.4), replace(one, wall_s=2.0)]).splitlines()
    assert rows[2] == f"| {CLIP.name} | ours | 2.00 | 1.00-4.00 (3) | 2.00 | 0.50 | 30 | 30 | 0 | 0.12 | 120 |"
