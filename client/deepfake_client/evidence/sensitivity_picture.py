"""The map of sensitivity, drawn over the crop: orange cells speak for fake, purple ones for real."""

from PIL import Image, ImageDraw, ImageFont

from deepfake_client.analysis.sensitivity import SensitivityMap

SIDE_PX = 448

# The ends of ColorBrewer's PuOr: told apart by the colour-blind. In grey print the signs of the numbers tell.
_FAKE, _REAL = (230, 97, 1), (94, 60, 153)
_STRONGEST_TINT = 0.7
_LEAST_SCALE = 0.02
"""Change that gets the strongest tint where all are smaller: a map of noise stays pale."""
_LEAST_NUMBER = 0.005
"""Smaller changes have no number."""


def draw_map(picture: Image.Image, map_: SensitivityMap) -> Image.Image:
    """The part of a frame that the model saw, the grid of changes over it; each number is a change in points of 100.

    Args:
        picture: The frame, upright RGB.
        map_: Of that frame.
    """
    x0, y0, x1, y1 = map_.grid_px
    size, changes = (SIDE_PX, round(SIDE_PX * (y1 - y0) / (x1 - x0))), map_.changes
    drawn = picture.resize(size, Image.Resampling.LANCZOS, box=map_.grid_px)
    scale = max(_LEAST_SCALE, *(abs(change) for row in changes for change in row))
    tints = Image.new("RGBA", drawn.size)
    tint, font = ImageDraw.Draw(tints), ImageFont.load_default(22)
    width, height = drawn.width / len(changes[0]), drawn.height / len(changes)
    for y, row in enumerate(changes):
        for x, change in enumerate(row):
            box = tuple(map(round, (x * width, y * height, (x + 1) * width - 1, (y + 1) * height - 1)))
            opacity = round(255 * _STRONGEST_TINT * abs(change) / scale)
            tint.rectangle(box, fill=(*(_FAKE if change > 0 else _REAL), opacity), outline=(255, 255, 255, 90))
            if abs(change) >= _LEAST_NUMBER:
                centre = (x + 0.5) * width, (y + 0.5) * height
                text = f"{100 * change:+.0f}"
                tint.text(centre, text, "white", font, "mm", stroke_width=2, stroke_fill="black")
    drawn.paste(tints, mask=tints.getchannel("A"))
    return drawn
