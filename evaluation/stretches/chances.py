"""Which share of short manipulations the sampled frames hit: `python -m evaluation.stretches.chances`.

Videos are made of times alone, and frames are chosen by the client's own sampling. A frame within the manipulated
stretch counts as suspicious and no other one does: what a perfect model would see.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray

from deepfake_client.analysis.segments import part_to_look_at
from deepfake_client.command_line.exits import USAGE, run
from deepfake_client.command_line.help import new_app, styled
from deepfake_client.scores import STRETCH_FRAMES
from deepfake_client.video.sampling import Sampling, Timeline, chosen_frames

DURATIONS_S = (10.0, 60.0, 600.0, 3600.0)
STRETCHES_S = (0.2, 0.5, 1.0, 2.0, 5.0, 20.0, 60.0)
_RATE = 25
_KEYFRAME_EVERY = 250
_FAKE_ABOVE = 0.5


@dataclass(frozen=True)
class Chances:
    """Shares (0-1) of the places of a stretch in a video.

    Attributes:
        one: Where one sampled frame or more lies in it.
        several: Where `STRETCH_FRAMES` or more do.
        after: Where, after the further frames, `STRETCH_FRAMES` or more do.
    """

    one: float
    several: float
    after: float


def chances(duration_s: float, stretch_s: float, *, secret: bool, trials: int, seed: int = 0) -> Chances:
    """Tries a stretch at random places of a video, with 25 frames a second and a key frame every ten seconds.

    Args:
        duration_s: Of the video.
        stretch_s: Of the stretch in it.
        secret: Whether a secret decides on the frames, another one in each trial.
        trials: How many places.
        seed: Of the places and secrets.
    """
    rng = np.random.default_rng(seed)
    pts = np.arange(round(duration_s * _RATE), dtype=np.int64)
    timeline = Timeline(pts, pts[::_KEYFRAME_EVERY], 1 / _RATE, reliable=True)
    counts = np.array([_tried(timeline, stretch_s, rng.bytes(16) if secret else b"", rng) for _ in range(trials)])
    return Chances(
        one=float(np.mean(counts[:, 0] > 0)),
        several=float(np.mean(counts[:, 0] >= STRETCH_FRAMES)),
        after=float(np.mean(counts[:, 1] >= STRETCH_FRAMES)),
    )


def _tried(timeline: Timeline, stretch_s: float, seed: bytes, rng: np.random.Generator) -> tuple[int, int]:
    """Frames in the stretch, before and after the further ones."""
    start_s = rng.uniform(0, timeline.duration_s - stretch_s)
    times_s = timeline.pts[chosen_frames(timeline, Sampling(seed=seed))] * timeline.tick_s
    hit = _within(times_s, start_s, stretch_s)
    part = part_to_look_at(times_s.tolist(), [hit.astype(float).tolist()], _FAKE_ABOVE)
    if part is None:
        return int(hit.sum()), int(hit.sum())
    further_s = timeline.pts[chosen_frames(timeline, Sampling(seed=seed, within_s=part))] * timeline.tick_s
    return int(hit.sum()), int(_within(np.union1d(times_s, further_s), start_s, stretch_s).sum())


def _within(times_s: NDArray[np.float64], start_s: float, stretch_s: float) -> NDArray[np.bool_]:
    return (times_s >= start_s) & (times_s < start_s + stretch_s)


def table(durations_s: Sequence[float], stretches_s: Sequence[float], trials: int) -> str:
    """Markdown: a row for each duration and kind of places, a column for each stretch; the three chances in percent."""
    rows = [
        f"| video, places | {' | '.join(f'{stretch_s:g} s' for stretch_s in stretches_s)} |",
        f"|---|{'---|' * len(stretches_s)}",
    ]
    for duration_s in durations_s:
        for secret in (False, True):
            cells = [_cell(duration_s, stretch_s, secret, trials) for stretch_s in stretches_s]
            rows.append(f"| {duration_s:g} s, {'secret' if secret else 'even'} | {' | '.join(cells)} |")
    return "\n".join(rows)


def _cell(duration_s: float, stretch_s: float, secret: bool, trials: int) -> str:
    if stretch_s > duration_s / 2:
        return ""
    found = chances(duration_s, stretch_s, secret=secret, trials=trials)
    return "/".join(f"{100 * share:.0f}" for share in (found.one, found.several, found.after))


PROGRAM = "python -m evaluation.stretches.chances"

EXAMPLES = ("python -m evaluation.stretches.chances --duration-s 60 --stretch-s 2",)

app = new_app(PROGRAM)


@app.command(cls=styled({0: "printed", **USAGE}, EXAMPLES))
def main(
    duration_s: Annotated[
        list[float] | None, typer.Option(min=1, help="Duration of a video. May be given again.")
    ] = None,
    stretch_s: Annotated[
        list[float] | None, typer.Option(min=0.04, help="Duration of the manipulated stretch. May be given again.")
    ] = None,
    trials: Annotated[int, typer.Option(min=1, help="Places that are tried for each stretch.")] = 300,
) -> None:
    """Prints which share of manipulated stretches the sampled frames hit."""
    print(table(duration_s or DURATIONS_S, stretch_s or STRETCHES_S, trials))


if __name__ == "__main__":
    run(app, PROGRAM)
