"""How far simple statistics tell the forgeries from real pictures: `python -m training.embedded.linear_baseline`.

A check for leaks. Mean spectra and colour moments know no place: where a linear classifier on them tells real from
fake, a network can live on traces of how the pictures were made instead of looking for a part that does not fit.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import cv2
import numpy as np
import typer
from numpy.typing import NDArray
from scipy.fft import dctn

from assets import default_cache_dir
from evaluation.bootstrap import Estimate
from training.embedded.faces import load_photographs
from training.embedded.held_out_media import METHODS, SIDE_PX, LabelledPicture, Pixels, held_out_pictures
from training.embedded.measure import REAL_METHODS, ScoredPicture, auc_of
from training.face_image import FaceImage

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

_BLOCK_PX = 8
_FAKES = METHODS[1:]
_SMALLEST = 1e-3


def features(pixels: Pixels) -> NDArray[np.float64]:
    """Statistics of a picture that do not know where in it anything is.

    Args:
        pixels: (H, W, 3) uint8, RGB, 0-255; 8 px a side at least.

    Returns:
        (204,) float64: the logarithm of the mean magnitude of each 8 x 8 DCT coefficient of Y, Cr and Cb; mean,
        standard deviation and skewness of R, G and B; their three correlations.
    """
    ycrcb = cv2.cvtColor(pixels, cv2.COLOR_RGB2YCrCb).astype(np.float64)
    height, width = (side - side % _BLOCK_PX for side in ycrcb.shape[:2])
    blocks = ycrcb[:height, :width].reshape(height // _BLOCK_PX, _BLOCK_PX, width // _BLOCK_PX, _BLOCK_PX, 3)
    magnitude = np.abs(dctn(blocks, axes=(1, 3), norm="ortho")).mean((0, 2))
    colours = pixels.reshape(-1, 3).astype(np.float64)
    mean, std = colours.mean(0), colours.std(0) + _SMALLEST
    standard = (colours - mean) / std
    correlation = (standard.T @ standard / len(standard))[np.triu_indices(3, 1)]
    return np.concatenate([np.log(magnitude.ravel() + _SMALLEST), mean, std, (standard**3).mean(0), correlation])


@dataclass(frozen=True)
class Baseline:
    """AUC of a linear classifier on one kind of forgery, with 95% intervals over people.

    Attributes:
        trained: Fitted on what the model is trained on, the seen forgeries.
        itself: Fitted on this very kind: how much of it lies in the statistics at all.
    """

    trained: Estimate
    itself: Estimate


def linear_baseline(train: Sequence[LabelledPicture], other: Sequence[LabelledPicture]) -> dict[str, Baseline]:
    """AUC of a logistic regression on `features`.

    Args:
        train: Pictures to fit on, of every method.
        other: Pictures of other people.

    Returns:
        By kind of forgery; and "filtered", real pictures filtered as a whole against untouched ones, which shows that
        the statistics see such operations very well.
    """
    seen, held_out = (np.stack([features(picture.pixels) for picture in part]) for part in (train, other))
    fits = {fake: _fitted(seen, train, fake) for fake in (*_FAKES, "filtered")}

    def auc(fitted_on: str, fake: str) -> Estimate:
        p = fits[fitted_on].predict_proba(held_out)[:, 1]
        scored = [ScoredPicture(o.method, o.person, float(q)) for o, q in zip(other, p, strict=True)]
        return auc_of(scored, fake, _real(fake))

    return {fake: Baseline(auc("seen", fake), auc(fake, fake)) for fake in fits}


def _real(fake: str) -> tuple[str, ...]:
    return ("untouched",) if fake == "filtered" else REAL_METHODS


def _fitted(values: NDArray[np.float64], pictures: Sequence[LabelledPicture], fake: str) -> "Pipeline":
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    chosen = [i for i, picture in enumerate(pictures) if picture.method in (fake, *_real(fake))]
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, class_weight="balanced", max_iter=5000))
    return model.fit(values[chosen], [pictures[i].method == fake for i in chosen])


def main(
    variants: Annotated[int, typer.Option(min=1, help="Pictures of each method and face.")] = 4,
    photographs: Annotated[Path | None, typer.Option(help="Where the photographs are kept.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of everything drawn.")] = 0,
) -> None:
    """Prints what the linear classifier reaches on the people of val and test, fitted on those of train."""
    kept = load_photographs(photographs or default_cache_dir() / "training-photos", SIDE_PX)

    def pictures(faces: Sequence[FaceImage], number: int) -> list[LabelledPicture]:
        return list(held_out_pictures(faces, variants, seed + number))

    baselines = linear_baseline(pictures(kept.train, 0), pictures((*kept.val, *kept.test), 1))
    print("            fitted on seen           fitted on itself")
    for method, baseline in baselines.items():
        print(f"{method:11} {_said(baseline.trained)}   {_said(baseline.itself)}")


def _said(auc: Estimate) -> str:
    return f"{auc.value:.3f} ({auc.low:.3f} to {auc.high:.3f})"


if __name__ == "__main__":
    typer.run(main)
