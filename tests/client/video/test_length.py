"""A video that holds less than its file says."""

import io
import json
from pathlib import Path

import av
import numpy as np
import pytest
from typer.testing import CliRunner

from deepfake_client.batch.cli import app
from deepfake_client.connect import create_detector
from deepfake_client.media import VideoLength, identify
from deepfake_client.video.isolated import IsolatedDecoder
from deepfake_client.video.sample import sample_video
from deepfake_client.video.sampling import Sampling
from tests.inference_server import InferenceServer
from tests.media import H264_SHORT_GOP, VideoSpec, write_video

SPECS = {
    "clip.mp4": VideoSpec(100, size=(256, 64), options=H264_SHORT_GOP, container_options={"movflags": "faststart"}),
    "clip.mkv": VideoSpec(100, size=(256, 64), options=H264_SHORT_GOP),
    "clip.avi": VideoSpec(100, size=(256, 64), codec="mpeg4", options={"g": "12"}),
    "clip.flv": VideoSpec(100, size=(256, 64), codec="flv", options={"g": "12"}),
}


def length_of(content: bytes, **options: object) -> VideoLength | None:
    media = identify(io.BytesIO(content), "clip")
    return sample_video(media, Sampling(**options))[0].video_length  # type: ignore[arg-type]


@pytest.mark.parametrize("name", SPECS)
def test_a_file_that_is_cut_says_more_than_it_holds(tmp_path: Path, name: str) -> None:
    whole = write_video(tmp_path / name, SPECS[name]).read_bytes()
    assert length_of(whole) == length_of(whole, seed=b"secret" * 3) == VideoLength(4.0, pytest.approx(4, abs=0.05))
    cut = length_of(whole[: len(whole) // 2])
    assert cut is not None
    assert cut.said_s == pytest.approx(4)
    assert 1 < cut.decodable_s < 2.6
    assert length_of(whole[: len(whole) // 2], seed=b"secret" * 3) == cut


def test_what_cannot_be_decoded_counts_as_missing(tmp_path: Path) -> None:
    content = bytearray(write_video(tmp_path / "clip.mkv", SPECS["clip.mkv"]).read_bytes())
    start = content.index(b"\x1f\x43\xb6\x75")
    for at in range(start + (len(content) - start) // 2, len(content) - 1000, 50):
        content[at] ^= 0xFF
    length = length_of(bytes(content))
    assert length is not None
    assert 1 < length.decodable_s < 2.6


def test_a_last_frame_that_is_shown_for_long_is_not_missing(tmp_path: Path) -> None:
    times = [*(n / 25 for n in range(50)), 20.0]
    spec = VideoSpec(51, size=(256, 64), options=H264_SHORT_GOP, times_s=times)
    length = length_of(write_video(tmp_path / "slides.mp4", spec).read_bytes())
    assert length is not None
    assert length.said_s - length.decodable_s < 0.1


def cut_clip() -> bytes:
    """4 s said, some 2 s there."""
    whole = io.BytesIO()
    with av.open(whole, "w", format="matroska") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for level in range(40):
            pixels = np.full((48, 64, 3), level * 6, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))
    return whole.getvalue()[: len(whole.getvalue()) // 2]


def test_library_and_command_line_find_it(server: InferenceServer, tmp_path: Path) -> None:
    path = tmp_path / "cut.mkv"
    path.write_bytes(cut_clip())
    with create_detector(server.url) as detector:
        findings = detector.detect(path).findings
    (message,) = (finding.message for finding in findings if finding.code == "VIDEO_INCOMPLETE")
    assert "it lasts 4.0 s" in message
    done = CliRunner().invoke(app, ["--url", server.url, "--format", "jsonl", str(path)])
    assert json.loads(done.stdout)["metadata"]["findings"] == [finding.model_dump(mode="json") for finding in findings]


def test_the_isolated_decoder_says_the_same(tmp_path: Path) -> None:
    path = write_video(tmp_path / "clip.mkv", SPECS["clip.mkv"])
    decoder = IsolatedDecoder()
    try:
        media = identify(io.BytesIO(path.read_bytes()[: path.stat().st_size // 2]), "clip")
        assert decoder.sample_video(media) == sample_video(media)
    finally:
        decoder.close()
