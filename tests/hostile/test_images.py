"""Every hostile image of the catalogue ends as it should, in bounded time and memory, and harms no other."""

import json
import subprocess
import sys
import time

import numpy as np
import pytest

from preprocessing import ImageRejectedError, Status, decode_rgb
from tests.canaries import AddressCanary, FileCanary
from tests.hostile.image import HostileImage, saved
from tests.hostile.images import hostile_images, seeds, truncations
from tests.service import ROOT

IMAGES = {image.name: image for image in hostile_images()}
MOST_S = 5.0


def outcome_of(encoded: bytes) -> np.ndarray | Status:
    try:
        return decode_rgb(encoded, max_bytes=64 * 2**20, max_pixels=64_000_000)
    except ImageRejectedError as error:
        return error.status


def assert_right(image: HostileImage, encoded: bytes) -> None:
    started = time.process_time()
    outcome = outcome_of(encoded)
    assert time.process_time() - started < MOST_S
    if isinstance(outcome, Status):
        assert outcome in image.outcomes
    else:
        assert Status.OK in image.outcomes, f"decoded to {outcome.shape}"
        assert np.array_equal(outcome, image.right_pixels(encoded))


@pytest.mark.parametrize("name", IMAGES)
@pytest.mark.filterwarnings("ignore")
def test_each_ends_as_it_should(name: str) -> None:
    image = IMAGES[name]
    assert_right(image, image.make())


def test_names_are_unique() -> None:
    assert len(IMAGES) == len(hostile_images())


@pytest.mark.parametrize("number", range(len(seeds())))
@pytest.mark.filterwarnings("ignore")
def test_a_file_cut_at_any_boundary_is_whole_or_refused(number: int) -> None:
    """Never other pixels than those of the whole file."""
    whole = seeds()[number]
    pixels = outcome_of(whole)
    assert not isinstance(pixels, Status)
    for cut in truncations(whole):
        outcome = outcome_of(cut)
        if isinstance(outcome, Status):
            assert outcome in (Status.DECODE_FAILED, Status.NOT_AN_IMAGE, Status.EMPTY, Status.TOO_MANY_PIXELS)
        else:
            assert np.array_equal(outcome, pixels)


@pytest.mark.filterwarnings("ignore")
def test_nothing_that_an_image_points_to_is_read(tmp_path_factory: pytest.TempPathFactory) -> None:
    address = AddressCanary()
    file = FileCanary(tmp_path_factory.mktemp("canary") / "canary.png", saved("PNG"))
    try:
        for elsewhere in (address.url, str(file.path), file.path.as_uri()):
            for image in hostile_images(elsewhere):
                if image.name.startswith("pointer"):
                    assert_right(image, image.make())
        assert not address.was_called()
        assert not file.was_opened()
        file.path.read_bytes()
        assert file.was_opened(), "the canary must be able to tell"
    finally:
        address.close()
        file.close()


_ONE_AFTER_THE_OTHER = """
import json, re, warnings
from pathlib import Path
from tests.hostile.image import saved
from tests.hostile.images import hostile_images
from tests.hostile.test_images import outcome_of
warnings.simplefilter("ignore")
def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024
made = [(image.name, image.make()) for image in hostile_images() if not image.name.startswith("size")]
intact = saved("JPEG")
pixels = outcome_of(intact)
before = peak()
changed = []
for name, encoded in made:
    outcome_of(encoded)
    if not (outcome_of(intact) == pixels).all():
        changed.append(name)
print(json.dumps([peak() - before, changed]))
"""


def test_memory_stays_bounded_and_an_intact_image_keeps_its_pixels() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _ONE_AFTER_THE_OTHER], cwd=ROOT, capture_output=True, text=True, check=True
    )
    grown_mib, changed = json.loads(done.stdout)
    assert changed == []
    assert grown_mib < 700  # 64 megapixels as RGB are 183 MiB, and Pillow holds four bytes a pixel besides
