"""A batch over a real Triton, cut off at a random moment and continued."""

import json
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import av
import numpy as np
import pytest

from tests.media import VideoSpec, add_sound, encode_image, photo_pixels, write_video
from tests.service import ROOT, Service

VIDEOS, BROKEN = 50, 50
FORMATS = {".jpg": "JPEG", ".png": "PNG", ".webp": "WEBP", ".bmp": "BMP"}


@pytest.fixture(scope="module", params=[200, pytest.param(2000, marks=pytest.mark.long)])
def mixed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """So many files in subfolders: images of four formats, 50 videos of four containers, 50 broken files."""
    root = tmp_path_factory.mktemp("mixed")
    for folder in range(20):
        (root / f"{folder:02}").mkdir()
    names = [root / f"{number % 20:02}" / f"{number:04}" for number in range(request.param)]
    random.Random(1).shuffle(names)
    videos, broken, images = names[:VIDEOS], names[VIDEOS : VIDEOS + BROKEN], names[VIDEOS + BROKEN :]
    astronaut = photo_pixels("astronaut.png")[::4, ::4]
    for number, name in enumerate(images):
        suffix = list(FORMATS)[number % len(FORMATS)]
        pixels = np.roll(astronaut, number, axis=1)
        name.with_suffix(suffix).write_bytes(encode_image(pixels, FORMATS[suffix]))
    clips = [write_video(root / f"clip{suffix}", VideoSpec(frames=8)) for suffix in (".mp4", ".mov", ".mkv", ".avi")]
    for number, name in enumerate(videos):
        clip = clips[number % len(clips)]
        shutil.copy(clip, name.with_suffix(clip.suffix))
    _write_broken(broken, clips[0].read_bytes(), encode_image(astronaut, "JPEG"))
    for clip in clips:
        clip.unlink()
    return root


def _write_broken(names: list[Path], video: bytes, image: bytes) -> None:
    kinds = [
        (".jpg", b""), (".jpg", b"text"), (".jpg", image[:200]), (".png", b"\x89PNG\r\n\x1a\n" + b"\0" * 50),
        (".webp", b"RIFF\x10\0\0\0WEBPVP8 "), (".bmp", b"BM" + b"\xff" * 60), (".mp4", video[:600]),
        (".mkv", b"\x1a\x45\xdf\xa3" + b"\0" * 100), (".avi", b"RIFF\0\0\0\0AVI "),
    ]  # fmt: skip
    for number, name in enumerate(names[1:]):
        suffix, content = kinds[number % len(kinds)]
        name.with_suffix(suffix).write_bytes(content)
    with av.open(str(names[0].with_suffix(".mp4")), "w") as container:
        add_sound(container)


def test_many_files_killed_and_resumed_have_one_row_each(service: Service, mixed: Path, tmp_path: Path) -> None:
    output, partial = tmp_path / "results.jsonl", tmp_path / "results.jsonl.partial"
    command = [
        sys.executable,
        "-m",
        "deepfake_client",
        str(mixed),
        "--url",
        service.grpc,
        "--output",
        str(output),
        "--resume",
    ]
    files = [str(path) for path in mixed.rglob("*") if path.is_file()]
    kill_after = random.randrange(len(files) // 10, len(files) // 2)  # a new moment in every run of the tests
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL) as process:
        while process.poll() is None and (not partial.exists() or partial.read_bytes().count(b"\n") < kill_after):
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert not output.exists()
    kept = partial.read_bytes().count(b"\n")
    assert kept >= kill_after

    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=250)
    assert done.returncode == 1, done.stderr
    assert f"{kept} files have a row already, {len(files) - kept} are left" in done.stderr
    rows = [json.loads(line) for line in output.read_text().splitlines()]
    assert len(files) in (200, 2000)
    assert Counter(row["file"] for row in rows) == Counter(files)
    failed = [row for row in rows if row["error"]]
    assert len(failed) == BROKEN
    codes = {"EMPTY_FILE", "UNSUPPORTED_MEDIA", "MEDIA_DECODE_FAILED", "NOTHING_SCORED"}
    assert {row["error"]["code"] for row in failed} == codes
    assert sum(row["metadata"]["input_type"] == "video" for row in rows if row["metadata"]) == VIDEOS
