"""Old against new sampling: `python -m tests.client.video.compare OLD_CHECKOUT`.

Makes the suite's clips, one of 20 s of 720p H.264 and one of 20 s of 4K HEVC. Both checkouts sample each of them, in
turns, with this interpreter. Prints how many frames are equal bit for bit, times included, and the ratios of processor
time, old over new.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.client.clips import CLIPS
from tests.media import VideoSpec, write_long_video, write_video
from tests.service import ROOT

# What both checkouts have.
_SAMPLE = """
import hashlib, json, sys, time
from deepfake_client.media import identify
from deepfake_client.video.sample import sample_video
from deepfake_client.video.source import warm_up
warm_up()
with open(sys.argv[1], "rb") as stream:
    started = time.process_time()
    frames = sample_video(identify(stream, "clip"))
    cpu_s = time.process_time() - started
print(json.dumps([cpu_s, [[frame.timestamp_s, hashlib.sha256(frame.encoded).hexdigest()] for frame in frames]]))
"""
_TIMED = {
    "720p.mp4": VideoSpec(150, size=(1280, 720), rate=30, options={"preset": "ultrafast", "g": "30"}),
    "4k.mp4": VideoSpec(
        60, size=(3840, 2160), rate=30, codec="libx265",
        options={"preset": "ultrafast", "x265-params": "log-level=none:keyint=30"},
    ),
}  # fmt: skip
_TIMED_S = 20


def sampled(checkout: Path, clip: Path) -> tuple[float, list[Any]]:
    """Processor seconds, and time and digest of each frame."""
    env = {**os.environ, "PYTHONPATH": f"{checkout}:{checkout / 'client'}"}
    command = [sys.executable, "-P", "-c", _SAMPLE, str(clip)]
    done = subprocess.run(command, cwd=checkout, env=env, stdout=subprocess.PIPE, text=True, check=True)
    cpu_s, frames = json.loads(done.stdout)
    return cpu_s, frames


def main() -> None:
    """Exit codes: 0, 1 some frames differ, 2 usage."""
    parser = argparse.ArgumentParser(prog="python -m tests.client.video.compare", description=__doc__)
    parser.add_argument("old", type=Path, help="checkout of version 0.2 or later")
    parser.add_argument("--rounds", type=int, default=5, help="of the two timed clips")
    options = parser.parse_args()
    old, equal, different = options.old.resolve(), 0, []
    with tempfile.TemporaryDirectory() as folder:
        for name, spec in CLIPS.items():
            clip = write_video(Path(folder) / name, spec)
            before, after = sampled(old, clip)[1], sampled(ROOT, clip)[1]
            equal += len(after) if before == after else 0
            different += [] if before == after else [name]
        print(f"{len(CLIPS)} clips: {equal} frames equal; different: {different or 'none'}", flush=True)
        for name, spec in _TIMED.items():
            clip = write_long_video(Path(folder) / name, spec, _TIMED_S * spec.rate // spec.frames)
            pairs = [(sampled(old, clip)[0], sampled(ROOT, clip)[0]) for _ in range(options.rounds)]
            ratios = [before / after for before, after in pairs]
            print(
                f"{name}: old {statistics.median(pair[0] for pair in pairs):.2f} s of processor time, new "
                f"{statistics.median(pair[1] for pair in pairs):.2f}; old over new {statistics.median(ratios):.3f} "
                f"({min(ratios):.3f} to {max(ratios):.3f})",
                flush=True,
            )
    sys.exit(bool(different))


if __name__ == "__main__":
    main()
