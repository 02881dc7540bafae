"""What a run learns from and is measured on, whether from a folder or made in memory."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from evaluation.dataset import Label
from preprocessing import ResizeSpec
from training.data.cutting import serving_view
from training.data.face_image import FaceImage, Forgery
from training.errors import DatasetError


class Forger(Protocol):
    """Makes a forgery of a face, such as `training.forgeries.self_blend.SelfBlender(...).forge`."""

    def __call__(self, face: FaceImage, rng: np.random.Generator, /) -> Forgery:
        """Forges one face; everything random comes from `rng`."""
        ...


class RealChange(Protocol):
    """Changes a real face as a whole now and then, such as `training.forgeries.self_blend.SelfBlender(...).real`.

    Without it a detector may learn the traces of the changes that forgeries contain, not the forgery.
    """

    def __call__(self, face: FaceImage, rng: np.random.Generator, /) -> NDArray[np.uint8]:
        """The face as (H, W, 3) uint8 RGB, as it is or changed; everything random comes from `rng`."""
        ...


@dataclass(frozen=True)
class FaceSet:
    """Labelled faces to train on.

    Attributes:
        faces: Indexed at random, one at a time: may read from disk.
        labels: Of each face.
    """

    faces: Sequence[FaceImage]
    labels: Sequence[Label]

    def __post_init__(self) -> None:
        if len(self.faces) != len(self.labels):
            raise DatasetError(f"{len(self.faces)} faces have {len(self.labels)} labels")


@dataclass(frozen=True)
class ValidationSet:
    """Labelled pictures as serving would give them to the classifier.

    Attributes:
        views: (S, S, 3) uint8, RGB, 0-255 each; indexed one at a time: may read from disk.
        labels: Of each view.
        sources: The file of each view; the scores of one file are averaged.
        kinds: How each view was forged, or "".
    """

    views: Sequence[NDArray[np.uint8]]
    labels: Sequence[Label]
    sources: Sequence[str]
    kinds: Sequence[str]


@dataclass(frozen=True)
class TrainingData:
    """Both sides of the split.

    Attributes:
        train: What is trained on.
        validate: Makes the validation set for a crop factor and a resize.
        digest: Names exactly this data: a run is taken up again with the same only.
        description: Counts for the model card.
    """

    train: FaceSet
    validate: Callable[[float, ResizeSpec], ValidationSet]
    digest: str
    description: dict[str, Any] = field(default_factory=dict)


def data_in_memory(
    train_real: Sequence[FaceImage],
    validation_real: Sequence[FaceImage],
    train_fake: Sequence[FaceImage] = (),
    validation_fake: Sequence[FaceImage] = (),
    forge: Forger | None = None,
    seed: int = 0,
) -> TrainingData:
    """Data from faces in memory.

    Args:
        train_real: Real faces to train on.
        validation_real: Real faces of other people.
        train_fake: Fakes to train on; none where the run makes its own.
        validation_fake: Fakes of the other people; without any, each real one is validated beside its own forgery.
        forge: Makes those forgeries.
        seed: Of those forgeries.

    Raises:
        DatasetError: A side lacks a class, or a person is on both sides.
    """
    shared = {f.person for f in [*train_real, *train_fake]} & {f.person for f in [*validation_real, *validation_fake]}
    if shared:
        raise DatasetError(f"{len(shared)} people are on both sides of the split, such as {min(shared)}")
    if not train_real or not validation_real or (forge is None and not (train_fake and validation_fake)):
        raise DatasetError("each side of the split needs real and fake faces, or real faces and a forger")

    def validate(crop_factor: float, resize: ResizeSpec) -> ValidationSet:
        real = _served(validation_real, Label.REAL, crop_factor, resize)
        if validation_fake:
            return joined(real, _served(validation_fake, Label.FAKE, crop_factor, resize))
        if forge is None:
            raise DatasetError("there are no fakes to validate with, and no forger")
        return joined(real, forged_views(validation_real, forge, seed, crop_factor, resize))

    faces = [*train_real, *train_fake]
    labels = [Label.REAL] * len(train_real) + [Label.FAKE] * len(train_fake)
    return TrainingData(
        FaceSet(faces, labels),
        validate,
        _digest(train_real, train_fake, validation_real, validation_fake),
        {
            "train": {"real": len(train_real), "fake": len(train_fake)},
            "val": {"real": len(validation_real), "fake": len(validation_fake)},
            "people": {"train": len({f.person for f in faces}), "val": len({f.person for f in validation_real})},
        },
    )


def forged_views(
    faces: Sequence[FaceImage], forge: Forger, seed: int, crop_factor: float, resize: ResizeSpec
) -> ValidationSet:
    """One forgery of each face, always the same for a seed, as serving would show it."""
    views, sources, kinds = [], [], []
    for number, face in enumerate(faces):
        forgery = forge(face, np.random.default_rng([seed, number]))
        views.append(serving_view(forgery.pixels, face.box, crop_factor, resize))
        sources.append(f"{face.source} (forged)")
        kinds.append(forgery.method)
    return ValidationSet(views, [Label.FAKE] * len(views), sources, kinds)


def joined(first: ValidationSet, second: ValidationSet) -> ValidationSet:
    """Both sets, one after the other."""
    return ValidationSet(
        _Chain(first.views, second.views),
        [*first.labels, *second.labels],
        [*first.sources, *second.sources],
        [*first.kinds, *second.kinds],
    )


class _Chain(Sequence[NDArray[np.uint8]]):
    """Two sequences of pictures as one, nothing loaded."""

    def __init__(self, first: Sequence[NDArray[np.uint8]], second: Sequence[NDArray[np.uint8]]) -> None:
        self._first, self._second = first, second

    def __len__(self) -> int:
        return len(self._first) + len(self._second)

    def __getitem__(self, number: Any) -> Any:
        return self._first[number] if number < len(self._first) else self._second[number - len(self._first)]


def _served(faces: Sequence[FaceImage], label: Label, crop_factor: float, resize: ResizeSpec) -> ValidationSet:
    views = [serving_view(face.pixels, face.box, crop_factor, resize) for face in faces]
    return ValidationSet(views, [label] * len(views), [face.source for face in faces], [""] * len(views))


def _digest(*groups: Sequence[FaceImage]) -> str:
    digest = hashlib.sha256()
    for faces in groups:
        digest.update(f"{len(faces)} faces\n".encode())
        for face in faces:
            digest.update(f"{face.person}\0{face.source}\0{face.pixels.shape} {face.box}\n".encode())
            digest.update(np.ascontiguousarray(face.pixels).data)
    return digest.hexdigest()
