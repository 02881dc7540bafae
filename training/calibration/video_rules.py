"""Whether the mean of a video's frames or their highest stretch should decide, compared on mixtures.

`python -m training.calibration.video_rules` makes up scores; RESULTS.jsonl after it takes real ones.
Both rules get bands within the same budget on one half of the clips, and judge the other half: real clips, fake ones,
and mixtures, real clips with a stretch of a fake one. Clips are rows of `deepfake-detect` with real/ or fake/ in their
names, or made up: a frame's log odds are those of its class, with one deviation of its clip and one of its own.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from deepfake_client.command_line.exits import USAGE, run
from deepfake_client.command_line.help import new_app, styled
from deepfake_client.release import VideoRule
from deepfake_client.scores import MAX_SCORED_FRAMES, STRETCH_FRAMES, deciding_probability
from evaluation.statistics.metrics import FloatArray
from training.calibration.fitting import Budget, set_edges

SHARES = (1.0, 0.5, 0.2, 0.1)
"""Of a clip that is fake; 1 is a fake clip."""

_LAWS = ((0.89, 0.1), (0.89, 0.5), (0.89, 0.9), (0.99, 0.5), (0.99, 0.9))
_MADE_CLIPS = 400
_RULES: tuple[VideoRule, ...] = ("mean", "stretch")


@dataclass(frozen=True)
class Clips:
    """Fake probabilities of the frames of each clip, float64 each.

    Attributes:
        name: Where they come from.
        real: Real clips.
        fake: Fake ones.
    """

    name: str
    real: Sequence[FloatArray]
    fake: Sequence[FloatArray]


def made_clips(auc: float, within: float, count: int, seed: int = 0) -> Clips:
    """Clips of 30 frames by a law: calibrated scores of two normal classes.

    Args:
        auc: Of single frames.
        within: Share of the variance that the frames of a clip have in common, 0-1.
        count: Clips of each class.
        seed: Of all draws.
    """
    from scipy.special import expit, ndtri

    rng = np.random.default_rng(seed)
    apart = float(np.sqrt(2) * ndtri(auc))
    clips = []
    for centre in (0.0, apart):
        common = rng.normal(0, np.sqrt(within), (count, 1))
        own = rng.normal(0, np.sqrt(1 - within), (count, MAX_SCORED_FRAMES))
        clips.append(expit(apart * (centre + common + own - apart / 2)))
    return Clips(f"made, AUC {auc:g}, {within:.0%} common", list(clips[0]), list(clips[1]))


def read_clips(path: Path) -> Clips:
    """The scored videos of a JSON lines file of `deepfake-detect`, by the folder in their names: real or fake."""
    clips: dict[str, list[FloatArray]] = {"real": [], "fake": []}
    for line in path.read_text("utf-8").splitlines():
        row = json.loads(line)
        frames = (row["metadata"] or {}).get("frame_predictions", [])
        p = np.array([frame["fake_probability"] for frame in frames if frame["fake_probability"] is not None])
        label = next((part for part in reversed(Path(row["file"]).parts) if part in clips), None)
        if label and len(p) >= STRETCH_FRAMES:
            clips[label].append(p)
    return Clips(path.name, clips["real"], clips["fake"])


def mixture(real: FloatArray, fake: FloatArray, share: float, rng: np.random.Generator) -> FloatArray:
    """The real clip, with a stretch of frames at a random place that score as those of the fake one do."""
    count = max(round(share * len(real)), 1)
    start = int(rng.integers(0, len(real) - count + 1))
    return np.concatenate([real[:start], np.resize(fake, len(real))[start : start + count], real[start + count :]])


def compare_rules(clips: Clips, budget: Budget, rounds: int, seed: int = 0) -> dict[str, list[float]]:
    """What each rule calls fake: of real clips, then of clips of each of `SHARES`, in the mean over the rounds.

    `mean or finding` counts clips too that get the finding SHORT_SUSPICIOUS_STRETCH: `STRETCH_FRAMES` frames in a row
    above the fake band of the mean.
    """
    rng = np.random.default_rng(seed)
    found: dict[str, list[list[float]]] = {rule: [] for rule in (*_RULES, "mean or finding")}
    for _ in range(rounds):
        (real, real_held), (fake, fake_held) = (_halves(of, rng) for of in (clips.real, clips.fake))
        pairs = [(one, fake_held[int(rng.integers(len(fake_held)))]) for one in real_held]
        cases = [real_held, *([mixture(*pair, share, rng) for pair in pairs] for share in SHARES)]
        is_fake = np.arange(len(real) + len(fake)) >= len(real)
        for rule in _RULES:
            p = np.array([deciding_probability(one, rule) for one in (*real, *fake)])
            edge = set_edges(is_fake, p, budget).bands.fake_above
            called = [[deciding_probability(one, rule) > edge for one in case] for case in cases]
            found[rule].append([float(np.mean(one)) for one in called])
            if rule == "mean":
                either = [[_is_found(one, edge) for one in case] for case in cases]
                pairs_of = zip(called, either, strict=True)
                found["mean or finding"].append([float(np.mean(np.logical_or(*both))) for both in pairs_of])
    return {rule: np.mean(rows, axis=0).tolist() for rule, rows in found.items()}


def _halves(clips: Sequence[FloatArray], rng: np.random.Generator) -> tuple[list[FloatArray], list[FloatArray]]:
    order = rng.permutation(len(clips))
    return [clips[i] for i in order[::2]], [clips[i] for i in order[1::2]]


def _is_found(p: FloatArray, edge: float) -> bool:
    return bool(np.lib.stride_tricks.sliding_window_view(p > edge, STRETCH_FRAMES).all(axis=1).any())


def table(sources: Sequence[Clips], budget: Budget, rounds: int) -> str:
    """Markdown."""
    rows = [
        f"| scores | rule | real called fake | {' | '.join(f'{share:.0%} fake' for share in SHARES)} |",
        f"|---|---|---|{'---|' * len(SHARES)}",
    ]
    for clips in sources:
        for rule, shares in compare_rules(clips, budget, rounds).items():
            rows.append(f"| {clips.name} | {rule} | {' | '.join(f'{share:.1%}' for share in shares)} |")
    return "\n".join(rows)


PROGRAM = "python -m training.calibration.video_rules"

EXAMPLES = ("python -m training.calibration.video_rules scores.jsonl --max-fpr 0.05",)

app = new_app(PROGRAM)


@app.command(cls=styled({0: "printed", **USAGE}, EXAMPLES))
def main(
    results: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="FILE", help="JSON lines of deepfake-detect on videos in real/ and fake/; without one, made clips."
        ),
    ] = None,
    max_fpr: Annotated[float, typer.Option(help="Share of real clips that may be called fake.")] = Budget.max_fpr,
    rounds: Annotated[int, typer.Option(min=1, help="Random halves that are compared.")] = 20,
) -> None:
    """Compares the mean with the highest stretch as what decides about a video."""
    made = [made_clips(auc, within, _MADE_CLIPS) for auc, within in _LAWS]
    print(table([read_clips(path) for path in results] if results else made, Budget(max_fpr), rounds))


if __name__ == "__main__":
    run(app, PROGRAM)
