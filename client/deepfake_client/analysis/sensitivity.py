"""Where in the picture a score comes from: the crop is scored again with one cell after the other blurred.

A map of sensitivity is no proof. It says where the model looked, not what was manipulated.
"""

from collections.abc import Sequence
from itertools import product

from PIL import Image, ImageFilter

from deepfake_client.analysis.crops import DIGITS, Part, Skippable, Subject, png, score_crops
from deepfake_client.pictures import Box
from deepfake_client.release import ModelInfo, Resize
from deepfake_client.scorer import Deadline, FrameScorer

GRID = 7
"""Cells in a row and in a column."""

BLUR_OF_CELL = 0.5
"""Standard deviation of the Gaussian blur over the side of a cell: 16 px where the model sees 224. It takes texture and
features and leaves light and colour, so that the cell's edges are no strange sight themselves."""


class SensitivityMap(Part):
    """How the fake probability of a crop changes with each of its cells."""

    index: int
    """Of the frame among the sampled ones."""
    timestamp_s: float
    person: int | None
    """Whose face, by its number in `people`; null where no person decides."""
    face_box: Box | None
    """x0, y0, x1, y1 of the face in pixels; null where the whole picture was scored."""
    grid_px: Box
    """x0, y0, x1, y1 of the part of the frame that the grid divides, in pixels: what the model saw."""
    fake_probability: float
    """Of the unchanged crop, 0-1, four decimals."""
    changes: tuple[tuple[float, ...], ...]
    """7 rows of 7 from the top left: the fake probability minus that with the cell blurred, four decimals. Above 0: the
    cell speaks for fake; below 0: for real."""


class Sensitivity(Skippable):
    """Where in the picture the score comes from. It is no proof."""

    map: SensitivityMap | None = None
    """Of the deciding face, in a video in its most suspicious frame."""


def measure_sensitivity(
    scorer: FrameScorer, subject: Subject, model: ModelInfo, deadline: Deadline, request_id: str = ""
) -> Sensitivity:
    """Scores a crop and its 49 changed forms in one call.

    Args:
        scorer: Any backend.
        subject: As the model scored it.
        model: That model.
        deadline: Of the whole detection.
        request_id: See `FrameScorer.score`.

    Raises:
        InputError: The frame cannot be decoded on this side.
        ServiceError: The crops cannot be scored.
    """
    picture, resize = subject.picture(model), model.preprocess.resize
    square = subject.square_px(picture, model.preprocess.crop_factor)
    seen, part = _as_the_model_sees(picture.crop(square), resize)
    blurred = seen.filter(ImageFilter.GaussianBlur(BLUR_OF_CELL * resize.size_px / GRID))
    crops = [seen, *(_with_cell_of(blurred, seen, cell) for cell in product(range(GRID), repeat=2))]
    whole, *changed = score_crops(scorer, [png(_framed(crop, resize)) for crop in crops], model, deadline, request_id)
    changes = [round(whole - p, DIGITS) + 0.0 for p in changed]  # no -0.0
    left, top, right, bottom = part
    return Sensitivity(
        map=SensitivityMap(
            index=subject.index,
            timestamp_s=subject.timestamp_s,
            person=subject.person,
            face_box=subject.face_box_px,
            grid_px=(square[0] + left, square[1] + top, square[0] + right, square[1] + bottom),
            fake_probability=round(whole, DIGITS),
            changes=tuple(tuple(changes[row * GRID : (row + 1) * GRID]) for row in range(GRID)),
        )
    )


def _as_the_model_sees(crop: Image.Image, resize: Resize) -> tuple[Image.Image, Box]:
    """The square that the classifier gets of a crop, and which part of the crop it shows, in pixels of the crop."""
    size = resize.size_px
    filter_ = Image.Resampling(resize.resample)
    shorter = min(crop.size)
    exact = resize.mode == "exact"
    width, height = (resize.edge if exact else int(resize.edge * side / shorter) for side in crop.size)
    left, top = resize.start_of_crop(width), resize.start_of_crop(height)
    seen = crop.resize((width, height), filter_).crop((left, top, left + size, top + size))
    x_scale, y_scale = crop.width / width, crop.height / height
    return seen, (left * x_scale, top * y_scale, (left + size) * x_scale, (top + size) * y_scale)


def _with_cell_of(blurred: Image.Image, seen: Image.Image, cell: Sequence[int]) -> Image.Image:
    edges = [round(i * seen.width / GRID) for i in range(GRID + 1)]
    row, column = cell
    box = edges[column], edges[row], edges[column + 1], edges[row + 1]
    changed = seen.copy()
    changed.paste(blurred.crop(box), box)
    return changed


def _framed(seen: Image.Image, resize: Resize) -> Image.Image:
    """A picture that the service's resize leaves as it is: where it cuts the centre out, with a border around that."""
    edge = resize.edge
    border = resize.start_of_crop(edge)
    framed = Image.new("RGB", (edge, edge))
    framed.paste(seen, (border, border))
    return framed
