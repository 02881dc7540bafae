"""A program: milliseconds of CPU of each step from a file to the classifier's pixels, as JSON.

It measures the packages that Python finds, so that another checkout's can be measured with this file. It begins with
the server's environment, and sets for its memory what a model process sets.
"""

import io
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from assets import FACE_MODELS, SAMPLE_PHOTOS, fetch_assets
from deepfake_client.video.picture import encode_picture
from preprocessing import FaceFinder, Preparer, PreprocessParams, decode_rgb, resize_to_square
from runtime.process import keep_large_blocks

_FRAMES, _PHOTOS, _REPEATS = 16, 2, 3
_PHOTO_PX = (4032, 3024)


def measure(frames: Sequence[bytes]) -> dict[str, float]:
    """Milliseconds by step.

    Args:
        frames: JPEG files of 1280 x 720 with a face.
    """
    keep_large_blocks()
    assets = fetch_assets([*FACE_MODELS, *SAMPLE_PHOTOS])
    models_dir, params = assets[FACE_MODELS[0].name].parent, PreprocessParams()
    preparer, finder = Preparer(params, models_dir), FaceFinder(models_dir)
    decoded = [_decode(frame) for frame in frames]
    sent = [encode_picture(pixels) for pixels in decoded]
    crops = [np.ascontiguousarray(preparer.crop(frame)[0]) for frame in frames]
    profile = Image.open(assets["rocket.jpg"]).info["icc_profile"]
    photos = {True: [_photo(frame, profile) for frame in frames[:_PHOTOS]]}
    photos[False] = [_photo(frame, None) for frame in frames[:_PHOTOS]]
    return {
        "JPEG frame: decode": _cpu_ms(_decode, frames),
        "JPEG frame: find faces": _cpu_ms(finder.faces, decoded),
        "JPEG frame: resize the crop": _cpu_ms(lambda crop: resize_to_square(crop, params.resize), crops),
        "JPEG frame: all": _cpu_ms(preparer.prepare, frames),
        "video frame: encode (client)": _cpu_ms(encode_picture, decoded),
        "video frame: decode": _cpu_ms(_decode, sent),
        "video frame: all but the client's": _cpu_ms(preparer.prepare, sent),
        "JPEG of 12 megapixels: all": _cpu_ms(preparer.prepare, photos[False]),
        "the same with a colour profile: all": _cpu_ms(preparer.prepare, photos[True]),
    }


def _decode(encoded: bytes) -> Any:
    limits = PreprocessParams()
    return decode_rgb(encoded, max_bytes=limits.max_bytes, max_pixels=limits.max_pixels)


def _photo(frame: bytes, profile: bytes | None) -> bytes:
    buffer = io.BytesIO()
    Image.open(io.BytesIO(frame)).resize(_PHOTO_PX).save(buffer, "JPEG", quality=90, icc_profile=profile)
    return buffer.getvalue()


def _cpu_ms(step: Callable[[Any], Any], of: Sequence[Any]) -> float:
    step(of[0])
    started = time.process_time()
    for _ in range(_REPEATS):
        for one in of:
            step(one)
    return (time.process_time() - started) / (_REPEATS * len(of)) * 1e3


if __name__ == "__main__":
    print(json.dumps(measure([path.read_bytes() for path in sorted(Path(sys.argv[1]).glob("*.jpg"))[:_FRAMES]])))
