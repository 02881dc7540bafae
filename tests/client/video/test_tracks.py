"""Of several video tracks the one that players show is sampled, and the result says so."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from deepfake_client.media import VideoTrack, identify, open_media
from deepfake_client.video.isolated import IsolatedDecoder
from deepfake_client.video.sample import sample_video
from tests.client.evidence.cases import made_output
from tests.media import pixels_of

_SMALL, _LARGE = (64, 48), (96, 64)
_DEFAULT = av.stream.Disposition.default
_NONE = av.stream.Disposition(0)


def write_tracks(path: Path, *tracks: tuple[tuple[int, int], av.stream.Disposition]) -> Path:
    """Video tracks of three frames, each of one grey: track number x 50."""
    with av.open(str(path), "w") as container:
        streams = []
        for size, disposition in tracks:
            stream = container.add_stream("mjpeg" if disposition.attached_pic in disposition else "libx264", rate=25)
            (stream.width, stream.height), stream.pix_fmt = size, "yuvj420p" if stream.name == "mjpeg" else "yuv420p"
            stream.disposition = disposition
            streams.append(stream)
        for number, stream in enumerate(streams, 1):
            for pts in range(1 if stream.name == "mjpeg" else 3):
                grey = np.full((stream.height, stream.width, 3), 50 * number, np.uint8)
                frame = av.VideoFrame.from_ndarray(grey, format="rgb24")
                frame.pts, frame.time_base = pts, Fraction(1, 25)
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
@pytest.mark.parametrize(
    ("tracks", "shown"),
    [
        ([(_SMALL, _NONE), (_LARGE, _DEFAULT)], 2),
        ([(_LARGE, _NONE), (_SMALL, _DEFAULT)], 2),
        ([(_LARGE, _DEFAULT), (_SMALL, _NONE)], 1),
        ([(_SMALL, _DEFAULT), (_LARGE, _DEFAULT), (_SMALL, _DEFAULT)], 2),
        ([(_SMALL, _DEFAULT), (_SMALL, _DEFAULT)], 1),
    ],
)
def test_the_track_that_is_on_by_default_and_of_several_the_largest(
    tmp_path: Path, suffix: str, tracks: list[tuple[tuple[int, int], av.stream.Disposition]], shown: int
) -> None:
    path = write_tracks(tmp_path / f"tracks.{suffix}", *tracks)
    with open_media(path) as stream:
        frames = sample_video(identify(stream, path.name))
    assert {frame.video_track for frame in frames} == {VideoTrack(shown, len(tracks))}
    for frame in frames:
        pixels = pixels_of(frame.encoded)
        assert pixels.shape[1::-1] == tracks[shown - 1][0]
        assert abs(int(pixels.mean()) - 50 * shown) < 4


def test_one_track_is_not_mentioned_nor_a_cover_picture(tmp_path: Path) -> None:
    cover = av.stream.Disposition.attached_pic
    for tracks in ([(_SMALL, _DEFAULT)], [(_LARGE, cover), (_SMALL, _DEFAULT)]):
        path = write_tracks(tmp_path / f"{len(tracks)}.mp4", *tracks)
        with open_media(path) as stream:
            assert [frame.video_track for frame in sample_video(identify(stream, path.name))] == [None] * 3
    assert "video_track" not in made_output([0.5]).metadata


def test_the_result_says_which_track_was_judged(tmp_path: Path) -> None:
    """It comes out of the process that decodes as well."""
    path = write_tracks(tmp_path / "two.mp4", (_SMALL, _NONE), (_LARGE, _DEFAULT))
    decoder = IsolatedDecoder()
    with open_media(path) as stream:
        media = identify(stream, path.name)
        frames = decoder.sample_video(media)
        assert frames == sample_video(media)
    decoder.close()
    output = made_output([0.5], video_track=frames[0].video_track)
    assert output.metadata["video_track"] == {"number": 2, "of": 2}
