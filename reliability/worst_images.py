"""How long the costliest images take that are still accepted: `python -m reliability.worst_images`.

They go through decoding, face search and resize, as in Triton, each in a process of its own, one after the other.
"""

import io
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from reliability.media_structure import png

_SIDE = 7000  # 49 megapixels; 50 are accepted


def _noise(channels: int = 3, bits: int = 6) -> NDArray[np.uint8]:
    values = np.random.default_rng(1).integers(0, 2**bits, (_SIDE, _SIDE, channels), dtype=np.uint8)
    return values if channels > 1 else values[..., 0]


def _saved(image: Image.Image, format_: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format_, **options)
    return buffer.getvalue()


def _repeated_scans(scans: int) -> bytes:
    encoded = _saved(Image.fromarray(_noise(1, bits=3)), "JPEG", progressive=True, quality=75)
    head, last = encoded[: encoded.rindex(b"\xff\xda")], encoded[encoded.rindex(b"\xff\xda") : -2]
    return head + last * (scans - 5) + b"\xff\xd9"


def _exif(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


IMAGES: dict[str, Callable[[], bytes]] = {
    "JPEG, noise": lambda: _saved(Image.fromarray(_noise(bits=8)), "JPEG", quality=75),
    "JPEG, noise, progressive, turned": lambda: _saved(
        Image.fromarray(_noise(bits=7)), "JPEG", quality=90, progressive=True, exif=_exif(7)
    ),
    "JPEG, noise, CMYK": lambda: _saved(Image.fromarray(_noise(4), "CMYK"), "JPEG", quality=75),
    "JPEG, grey noise of 3 bits, 20 scans": lambda: _repeated_scans(20),
    "PNG, noise of 2 bits": lambda: _saved(Image.fromarray(_noise(bits=2)), "PNG", compress_level=1),
    "PNG, one colour": lambda: png(_SIDE, _SIDE, (b"\4" + bytes(3 * _SIDE)) * _SIDE),
    "PNG, one colour, 16 bits and alpha": lambda: png(
        _SIDE, _SIDE, (b"\4" + bytes(8 * _SIDE)) * _SIDE, depth=16, colour=6
    ),
    "PNG, interlaced rows": lambda: png(_SIDE, _SIDE, bytes(3 * _SIDE * _SIDE + 2 * 2 * _SIDE), interlace=1),
    "WebP, lossless noise of 2 bits": lambda: _saved(
        Image.fromarray(_noise(bits=2)), "WEBP", lossless=True, method=0, quality=0
    ),
    "WebP, noise": lambda: _saved(Image.fromarray(_noise(bits=7)), "WEBP", quality=80, method=0),
    "BMP, palette, runs": lambda: _saved(Image.fromarray(_noise(1)).quantize(64), "BMP"),
    "JPEG, 65,500 x 760 px": lambda: _saved(Image.new("RGB", (65_500, 760)), "JPEG"),
    "PNG, 762 x 65,535 px": lambda: png(762, 65_535, bytes((1 + 3 * 762) * 65_535)),
}

_PREPARE = """
import json, re, sys, time, warnings
from pathlib import Path
from assets import FACE_MODELS, fetch_assets
from preprocessing import ImageRejectedError, Preparer, PreprocessParams
warnings.simplefilter("ignore")
(folder,) = {path.parent for path in fetch_assets(FACE_MODELS).values()}
preparer = Preparer(PreprocessParams(), folder)
encoded = Path(sys.argv[1]).read_bytes()
def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024
before, started, processor = peak(), time.perf_counter(), time.process_time()
try:
    preparer.prepare(encoded)
    outcome = "OK"
except ImageRejectedError as error:
    outcome = error.status.name
print(json.dumps([outcome, time.perf_counter() - started, time.process_time() - processor, peak() - before]))
preparer.close()
"""


def main() -> None:
    """Prints a line for each file."""
    print("| image | MB | outcome | s | CPU s | MiB more |\n|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "image"
        for name, make in IMAGES.items():
            path.write_bytes(make())
            command = [sys.executable, "-c", _PREPARE, str(path)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            outcome, seconds, processor_s, mib = json.loads(done.stdout.splitlines()[-1])
            size = path.stat().st_size / 1e6
            print(f"| {name} | {size:.1f} | {outcome} | {seconds:.2f} | {processor_s:.2f} | {mib:.0f} |", flush=True)


if __name__ == "__main__":
    main()
