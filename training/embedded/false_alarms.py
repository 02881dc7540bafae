"""How many real pictures are called fake, by their largest face and by all: `python -m training.embedded.false_alarms`.

It says as well how many are decided at all, and takes the listed photographs that nothing was trained
on, and montages of four of the portraits.
"""

import io
import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray
from PIL import Image

from assets import default_cache_dir
from deepfake_client import ConfigurationError, Detector
from deepfake_client.analysis.faces import FaceChoice
from deepfake_client.batch.progress import with_progress
from deepfake_client.command_line.exits import USAGE, fail, run
from deepfake_client.command_line.help import new_app, styled
from deepfake_client.command_line.options import Seed
from deepfake_client.connect import create_detector
from deepfake_client.release import VerdictBands
from deepfake_client.settings import ClientSettings
from evaluation.statistics.bootstrap import BootstrapPlan, Estimate, estimate
from preprocessing import Box, Face
from training.data.faces import decode_frame, reduced, wide_crop
from training.embedded.manifest import MANIFEST, MORE, load_manifest
from training.embedded.photos import fetch_photos
from training.errors import TrainingError

SMALLEST_PX = (24, 40, 64, 96)
"""Values of MIN_FACE_PX that are compared."""

_FACES_OF_A_MONTAGE, _LARGEST_IN_MONTAGE_PX, _WIDE_FACTOR = 4, 128, 2.2


@dataclass(frozen=True)
class Picture:
    """A real picture.

    Attributes:
        person: Who is on it, or the file of a group; pictures of one person are drawn together.
        encoded: The image file.
        kind: What it counts as; "" where the number of its faces says.
    """

    person: str
    encoded: bytes
    kind: str = ""


@dataclass(frozen=True)
class Scored:
    """A picture with the faces that were scored, the largest first.

    Attributes:
        picture: The picture.
        boxes_px: x0, y0, x1, y1 of each face.
        fake_probabilities: 0-1, of each face.
    """

    picture: Picture
    boxes_px: tuple[tuple[float, float, float, float], ...]
    fake_probabilities: tuple[float, ...]

    @property
    def kind(self) -> str:
        """The picture's, or by the number of its faces."""
        return self.picture.kind or ("one face" if len(self.boxes_px) == 1 else "several faces")

    def used(self, min_face_px: float) -> list[float]:
        """Fake probabilities of the largest face, and of others whose shorter side has at least so many pixels."""
        sides = [min(x1 - x0, y1 - y0) for x0, y0, x1, y1 in self.boxes_px]
        faces = enumerate(zip(sides, self.fake_probabilities, strict=True))
        return [p for place, (side, p) in faces if place == 0 or side >= min_face_px]


def unseen_pictures(photographs: Path) -> Iterator[Picture]:
    """The listed pictures of people that nothing was trained on; those that training cuts up are whole.

    Args:
        photographs: Where they are kept; what is missing is fetched.
    """
    for manifest in (MANIFEST, MORE):
        fetch_photos(photographs, manifest)
        for package in load_manifest(manifest):
            unseen = [file for file in package.files if file.split != "train" and file.kind in ("face", "group")]
            for name, file in {file.original_name: file for file in unseen}.items():
                person = name if file.crop or not file.person else file.person
                yield Picture(person, (photographs / package.folder_name / name).read_bytes())


def score_pictures(detector: Detector, pictures: Iterable[Picture]) -> Iterator[Scored]:
    """Scores every face. Pictures in which none is found are left out."""
    for picture in pictures:
        score = detector.detect(picture.encoded).frames[0].score
        faces = [(face.box_px, face.fake_probability) for face in score.faces if face.fake_probability is not None]
        if faces:
            yield Scored(picture, *zip(*faces, strict=True))


def montages(portraits: Sequence[Scored], seed: int = 0) -> Iterator[Picture]:
    """Two rows of two portraits, each person once. Each face is reduced to a random side of 24 to 128 px.

    Args:
        portraits: Pictures with one face, one of each person.
        seed: Draws order and sizes.
    """
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(portraits))
    for start in range(0, len(order) - _FACES_OF_A_MONTAGE + 1, _FACES_OF_A_MONTAGE):
        four = order[start : start + _FACES_OF_A_MONTAGE]
        tiles = [_tile(portraits[number], rng) for number in four]
        side = max(max(tile.shape[:2]) for tile in tiles)
        canvas = np.full((2 * side, 2 * side, 3), 128, np.uint8)
        for place, tile in enumerate(tiles):
            y, x = side * (place // 2), side * (place % 2)
            canvas[y : y + tile.shape[0], x : x + tile.shape[1]] = tile
        stream = io.BytesIO()
        Image.fromarray(canvas).save(stream, "PNG")
        yield Picture(f"montage {start}", stream.getvalue(), "montage of four")


def _tile(portrait: Scored, rng: np.random.Generator) -> NDArray[np.uint8]:
    face = Face(Box(*portrait.boxes_px[0]), 1.0)
    wide, box = wide_crop(decode_frame(portrait.picture.encoded), face, _WIDE_FACTOR)
    side_px = math.exp(rng.uniform(math.log(SMALLEST_PX[0]), math.log(_LARGEST_IN_MONTAGE_PX)))
    return reduced(wide, box, round(max(wide.shape[:2]) * side_px / min(box.width, box.height)))[0]


def share_called_fake(
    pictures: Sequence[Scored], min_face_px: float, fake_above: float, plan: BootstrapPlan | None = None
) -> Estimate:
    """The share of pictures whose most suspicious face lies above the band, with a 95% interval over people.

    Args:
        pictures: At least one.
        min_face_px: Smaller faces do not count, except the largest; infinity: only the largest counts.
        fake_above: The band's edge.
        plan: Resamples and seed.
    """
    return _share(pictures, [p > fake_above for p in _highest(pictures, min_face_px)], plan)


def share_decided(
    pictures: Sequence[Scored], min_face_px: float, bands: VerdictBands, plan: BootstrapPlan | None = None
) -> Estimate:
    """The share of pictures that are called real or fake; otherwise as `share_called_fake`."""
    highest = _highest(pictures, min_face_px)
    return _share(pictures, [not bands.real_below <= p <= bands.fake_above for p in highest], plan)


def _highest(pictures: Sequence[Scored], min_face_px: float) -> list[float]:
    return [max(one.used(min_face_px)) for one in pictures]


def _share(pictures: Sequence[Scored], counted: Sequence[bool], plan: BootstrapPlan | None) -> Estimate:
    names, person = np.unique([one.picture.person for one in pictures], return_inverse=True)
    sizes, hits = np.bincount(person), np.bincount(person, weights=np.array(counted, np.float64))
    found = estimate(
        lambda people: {"share": float(hits[people].sum() / sizes[people].sum())},
        np.zeros(len(names)), plan or BootstrapPlan(), "",
    )  # fmt: skip
    return found["share"]


PROGRAM = "python -m training.embedded.false_alarms"

EXAMPLES = ("python -m training.embedded.false_alarms --url localhost:8001",)

app = new_app(PROGRAM)


@app.command(cls=styled({0: "printed", 1: "photographs or model cannot be had: see the message", **USAGE}, EXAMPLES))
def main(
    url: Annotated[
        str,
        typer.Option(help="host:port of Triton's gRPC endpoint, or the directory of a release or checkpoint."),
    ] = "deploy/embedded_checkpoint",
    photographs: Annotated[
        Path | None, typer.Option(show_default="the user's cache folder", help="Where the photographs are kept.")
    ] = None,
    seed: Seed = 0,
) -> None:
    """Prints which share of real pictures is called fake, and which is decided at all: called real or fake."""
    try:
        pictures = list(unseen_pictures(photographs or default_cache_dir() / "training-photos"))
        detector = create_detector(url, ClientSettings(min_face_px=SMALLEST_PX[0], faces=FaceChoice.EVERY))
    except (TrainingError, ConfigurationError) as error:
        fail(PROGRAM, str(error), 1)
    with closing(detector):
        bands = detector.info().verdict_bands.image
        scored = list(with_progress(score_pictures(detector, pictures), len(pictures), "scoring"))
        portraits = {one.picture.person: one for one in scored if one.kind == "one face"}
        scored += score_pictures(detector, montages(list(portraits.values()), seed))
    print("pictures         number  faces   MIN_FACE_PX  called fake           decided")
    for kind in ("one face", "several faces", "montage of four"):
        own = [one for one in scored if one.kind == kind]
        for min_face_px in (math.inf, *SMALLEST_PX) if own else ():
            faces = sum(len(one.used(min_face_px)) for one in own)
            limit = "largest" if math.isinf(min_face_px) else str(min_face_px)
            fake = share_called_fake(own, min_face_px, bands.fake_above).text()
            decided = share_decided(own, min_face_px, bands).text()
            print(f"{kind:<15}  {len(own):>6}  {faces:>5}  {limit:>11}  {fake}  {decided}")


if __name__ == "__main__":
    run(app, PROGRAM)
