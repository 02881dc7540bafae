"""The crop that the client cuts and sends is the one that the service cuts, on a server and in this process."""

import io
from collections.abc import Iterator

import numpy as np
import pytest
import requests
from PIL import Image

from deepfake_client.analysis.crops import Subject, png
from deepfake_client.in_process import InProcessScorer
from deepfake_client.scorer import WHOLE_PICTURE, Deadline, FrameScorer
from deepfake_client.triton.scorer import TritonScorer
from export.release import Release
from tests.media import encode_image, photo, photo_pixels
from tests.preprocessing.test_icc import display_p3
from tests.service import Service


@pytest.fixture(params=["server", "in process"])
def scorer(request: pytest.FixtureRequest, service: Service, tiny_release: Release) -> Iterator[FrameScorer]:
    made = TritonScorer(service.grpc) if request.param == "server" else InProcessScorer.open(tiny_release.path)
    yield made
    made.close()


def frames() -> dict[str, bytes]:
    """The astronaut as a picture, at the edge, sideways, large, with a profile, seen through; a cup."""
    pixels = photo_pixels("astronaut.png")
    sideways = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned
    Image.fromarray(np.rot90(pixels)).save(sideways, "JPEG", quality=90, exif=exif)
    return {
        "png": photo("astronaut.png").read_bytes(),
        "at the edge": encode_image(pixels[60:250, 160:300], "BMP"),
        "sideways": sideways.getvalue(),
        "large": encode_image(np.asarray(Image.fromarray(pixels).resize((1500, 1500))), "JPEG", quality=85),
        "display P3": encode_image(pixels, "JPEG", quality=90, icc_profile=display_p3()),
        "transparent": encode_image(np.dstack([pixels, pixels[:, :, :1] // 2 + 128]), "PNG"),
        "no face": photo("coffee.png").read_bytes(),
    }


def test_an_unchanged_crop_scores_as_its_frame(scorer: FrameScorer) -> None:
    sent, deadline = frames(), Deadline(60)
    whole = scorer.score(list(sent.values()), deadline)
    crops = []
    for encoded, score in zip(sent.values(), whole.scores, strict=True):
        subject = Subject(0, 0.0, encoded, None, score.face_box_px, score.fake_probability or 0.0)
        picture = subject.picture(whole.info)
        crops.append(png(picture.crop(subject.square_px(picture, whole.info.preprocess.crop_factor))))
    again = scorer.score(crops, deadline, face_boxes_px=[WHOLE_PICTURE] * len(crops))
    assert [score.face_box_px is None for score in whole.scores] == [name == "no face" for name in sent]
    for name, before, after in zip(sent, whole.scores, again.scores, strict=True):
        assert after.fake_probability == pytest.approx(before.fake_probability, abs=1e-6), name


def test_the_gateway_looks_closer_on_request(service: Service) -> None:
    with photo("astronaut.png").open("rb") as stream:
        answer = requests.post(
            f"{service.url}/detect",
            files={"file": stream},
            data={"include": ["stability", "sensitivity"]},
            timeout=60,
        )
    metadata = answer.json()["metadata"]
    (face,) = metadata["stability"]["faces"]
    assert [variant["change"] for variant in face["variants"]] == [
        "mirror", "jpeg_75", "size_0.75", "brightness_0.8", "margin_1.2",
    ]  # fmt: skip
    found = metadata["sensitivity"]["map"]
    assert face["fake_probability"] == answer.json()["confidence_score"]
    assert found["fake_probability"] == round(face["fake_probability"], 4)
    assert np.ptp(found["changes"]) > 0
