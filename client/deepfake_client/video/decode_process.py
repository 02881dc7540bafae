"""The process that decodes videos, see `isolation.fork_server`."""

import json
from dataclasses import astuple
from typing import Any, BinaryIO

from deepfake_client.errors import DetectionError
from deepfake_client.isolation.fork_server import serve
from deepfake_client.media import identify
from deepfake_client.video.sample import sample_video
from deepfake_client.video.sampling import Sampling
from deepfake_client.video.source import warm_up

INDEX_LENGTH_BYTES = 8
"""The result: the frames' bytes, the index of places as JSON, and the index' length in so many bytes."""


class _ResultFile:
    """Frames are written as they come, so that the memory of one serves for the next."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def keep(self, encoded: bytes) -> bytes:
        place = [self._file.tell(), len(encoded)]
        self._file.write(encoded)
        return json.dumps(place).encode("ascii")

    def forget(self) -> None:
        self._file.seek(0)
        self._file.truncate()


def _decode(task: dict[str, Any], video: BinaryIO, result: BinaryIO) -> None:
    sampling = Sampling(
        count=task["count"],
        max_bytes=task["max_bytes"],
        keyframes_may_stand_in=task["keyframes_may_stand_in"],
        seed=bytes.fromhex(task["seed"]),
        within_s=task["within_s"] and tuple(task["within_s"]),
    )
    index: dict[str, Any]
    try:
        frames = sample_video(identify(video, task["name"]), sampling, _ResultFile(result))
    except DetectionError as error:
        index = {"error": error.code, "message": str(error)}
    else:
        track = next((frame.video_track for frame in frames), None)
        length = next((frame.video_length for frame in frames), None)
        index = {
            "frames": [
                [frame.index, frame.timestamp_s, frame.sketch.hex(), *json.loads(frame.encoded)] for frame in frames
            ],
            "track": track and astuple(track),
            "length": length and astuple(length),
            "tags": next((frame.container_tags for frame in frames), ()),
        }
    encoded = json.dumps(index).encode("ascii")
    result.write(encoded + len(encoded).to_bytes(INDEX_LENGTH_BYTES, "big"))


def main() -> None:
    """Loads what decoding needs, then serves."""
    serve(_decode, warm_up)
