"""What a run learns from and is measured on, whether from a folder or made in memory."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from deepfake_client.release import Scope
from evaluation.dataset import Label
from preprocessing import ResizeSpec
from training.data.faces import FaceImage, Forgery, is_whole, serving_view
from training.errors import DatasetError

S = TypeVar("S")
T = TypeVar("T")


class Lazy(Sequence[T], Generic[S, T]):
    """A sequence whose items are made when they are asked for: a data set need not fit into memory."""

    def __init__(self, sources: Sequence[S], make: Callable[[S], T]) -> None:
        """Nothing is made yet.

        Args:
            sources: What each item is made of.
            make: Makes one item; a function of a module, so that it can be sent to other processes.
        """
        self._sources, self._make = sources, make

    def __len__(self) -> int:
        return len(self._sources)

    def __getitem__(self, number: Any) -> Any:
        return self._make(self._sources[number])


_FEW_FACELESS = 0.1
"""Share of the training frames without a face up to which a model is one for faces."""

Forger = Callable[[FaceImage, np.random.Generator], Forgery]
"""Makes a forgery of a face, such as `training.forgeries.SelfBlender().forge`; the generator gives all randomness."""

RealChange = Callable[[FaceImage, np.random.Generator], NDArray[np.uint8]]
"""Changes a real face as a whole now and then, such as `training.forgeries.SelfBlender().real`: (H, W, 3) uint8 RGB.

Without it a detector may learn the traces of the changes that forgeries contain, and not the forgery.
"""


@dataclass(frozen=True)
class FaceSet:
    """Labelled faces to train on.

    Attributes:
        faces: Indexed at random, one at a time: may read from disk.
        labels: The label of each face.
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
        labels: The label of each view.
        sources: The file of each view; the scores of one file are averaged.
        kinds: How each view was forged, or "".
    """

    views: Sequence[NDArray[np.uint8]]
    labels: Sequence[Label]
    sources: Sequence[str]
    kinds: Sequence[str]


@dataclass(frozen=True)
class SideCounts:
    """How much one side of the split holds.

    Attributes:
        real: Real files, or faces in memory.
        fake: Fake files, or faces in memory.
        real_faces: Faces or frames of the real files.
        fake_faces: Faces or frames of the fake files.
        people: People or sources.
    """

    real: int
    fake: int
    real_faces: int
    fake_faces: int
    people: int


@dataclass(frozen=True)
class DataCounts:
    """What the model card says of the data.

    Attributes:
        train: Counts of the training side.
        val: Counts of the validation side.
        left_out: Training files whose people or contents are in the validation.
        unreadable: Files that could not be read.
        faceless: Faces or frames of the training side in which no face was found.
    """

    train: SideCounts
    val: SideCounts
    left_out: int = 0
    unreadable: int = 0
    faceless: int = 0

    @property
    def scope(self) -> Scope:
        """What a model can judge that was trained on this."""
        most = self.faceless <= _FEW_FACELESS * (self.train.real_faces + self.train.fake_faces)
        return Scope.FACE if most else Scope.ANY


@dataclass(frozen=True)
class TrainingData:
    """Both sides of the split.

    Attributes:
        train: What is trained on.
        validate: Makes the validation set for a crop factor and a resize.
        digest: Names exactly this data. A run resumes only with the same digest.
        counts: For the model card.
    """

    train: FaceSet
    validate: Callable[[float, ResizeSpec], ValidationSet]
    digest: str
    counts: DataCounts


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
        seed: Seed of those forgeries.

    Raises:
        DatasetError: A side lacks a class, or a person is on both sides.
    """
    sides = ((*train_real, *train_fake), (*validation_real, *validation_fake))
    people = [{face.person for face in side} for side in sides]
    if shared := people[0] & people[1]:
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

    labels = [Label.REAL] * len(train_real) + [Label.FAKE] * len(train_fake)
    sizes = ((len(train_real), len(train_fake)), (len(validation_real), len(validation_fake)))
    train, val = (SideCounts(*size, *size, len(own)) for size, own in zip(sizes, people, strict=True))
    return TrainingData(
        FaceSet([*train_real, *train_fake], labels),
        validate,
        _digest(train_real, train_fake, validation_real, validation_fake),
        DataCounts(train, val, faceless=sum(is_whole(f.box, f.pixels.shape[1], f.pixels.shape[0]) for f in sides[0])),
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
    """Both sets, one after the other; no view is made yet."""
    places = [(views, number) for views in (first.views, second.views) for number in range(len(views))]
    return ValidationSet(
        Lazy(places, _at),
        [*first.labels, *second.labels],
        [*first.sources, *second.sources],
        [*first.kinds, *second.kinds],
    )


def _at(place: tuple[Sequence[NDArray[np.uint8]], int]) -> NDArray[np.uint8]:
    views, number = place
    return views[number]


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
