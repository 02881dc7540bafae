"""The models that score images, and the order in which they are asked.

The ensemble does everything in one request. Where preprocessing has servers of its own, one request to these makes the
pixels, and a second one has the classifier score them.
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepfake_client.pictures import Box
from deepfake_client.release import MAX_MEMBERS
from deepfake_client.scorer import MAX_FACES, ModelOutputs
from deepfake_client.triton.endpoint import PendingAnswer, Question, Tensors

EncodedImage = tuple[bytes, Box | None]
"""An image file and the box of the face in it that is to be scored; None where faces are to be searched for."""

Steps = Generator[PendingAnswer[Any], Any, ModelOutputs]
"""Yields each request that it has sent, wants its answer, and returns what the last one gives."""

Ask = Callable[[Question[Any]], PendingAnswer[Any]]
"""Sends a question to the servers of one stage."""

PREPROCESS = "preprocess"
"""Name of the model that makes the pixels."""

CLASSIFIER = "classifier"
"""Name of the model that scores them."""

_Shapes = dict[str, tuple[int | None, ...]]

_ONE = (1,)
_FACES = (MAX_FACES, 5)
_SCORED: _Shapes = {"FAKE_PROBABILITY": _ONE, "PROBABILITIES": (None,), "EXPORT_ID": _ONE}
_MEMBERS: _Shapes = {"MEMBER_PROBABILITIES": (None,)}
"""Only of a release of several models."""
_PIXELS = (None, None, 3)
_PREPARED: _Shapes = {"PIXELS": _PIXELS, "STATUS": _ONE, "FACES": _FACES, "EXPORT_ID": _ONE}
_FURTHER_PIXELS: _Shapes = {f"PIXELS_{number}": _PIXELS for number in range(2, MAX_MEMBERS + 1)}
"""Of a release of several models that are given different squares."""


def in_one_stage(images: Sequence[EncodedImage], model: str, ask: Ask) -> Steps:
    """Has the ensemble score images.

    Args:
        images: One request's.
        model: Name of the ensemble.
        ask: Sends to its servers.
    """
    outputs: _Shapes = {**_SCORED, "FACES": _FACES, "STATUS": _ONE}
    scored: ModelOutputs = yield ask(Question(model, _inputs(images), outputs, _read_ensemble, _MEMBERS))
    return scored


def in_two_stages(images: Sequence[EncodedImage], ask_preprocess: Ask, ask_classifier: Ask) -> Steps:
    """Has one set of servers make the pixels, and another one score them.

    The outputs tell both releases: `ModelOutputs.releases`.
    """
    prepared: Prepared = yield ask_preprocess(pixels_of(images))
    inputs: Tensors = {**prepared.pixels, "STATUS": prepared.statuses[:, None]}
    read = partial(_read_classifier, prepared)
    scored: ModelOutputs = yield ask_classifier(Question(CLASSIFIER, inputs, _SCORED, read, _MEMBERS))
    return scored


def pixels_of(images: Sequence[EncodedImage]) -> "Question[Prepared]":
    """The question to servers that only preprocess."""
    return Question(PREPROCESS, _inputs(images), _PREPARED, _read_prepared, _FURTHER_PIXELS)


@dataclass(frozen=True)
class Prepared:
    """What `preprocess` makes of N images.

    Attributes:
        pixels: By the name of its tensor, each square that classifiers are given: (N, S, S, 3) uint8; zeros where the
            status is not 0.
        statuses: (N,) int32.
        faces: (N, F, 5) float32, as in `ModelOutputs`.
        export_ids: (N,) int32, of the release that it belongs to.
    """

    pixels: Mapping[str, NDArray[np.uint8]]
    statuses: NDArray[np.int32]
    faces: NDArray[np.float32]
    export_ids: NDArray[np.int32]


def _inputs(images: Sequence[EncodedImage]) -> dict[str, NDArray[Any]]:
    """IMAGE, and FACE only where there is a box, so that other requests are batched together."""
    inputs: dict[str, NDArray[Any]] = {"IMAGE": np.array([image for image, _ in images], np.object_).reshape(-1, 1)}
    if any(box is not None for _, box in images):
        inputs["FACE"] = np.array([box or (np.nan,) * 4 for _, box in images], np.float32)
    return inputs


def _read_ensemble(tensors: Tensors) -> ModelOutputs:
    return _outputs(tensors, tensors["STATUS"][:, 0], tensors["FACES"])


def _read_prepared(tensors: Tensors) -> Prepared:
    pixels = {name: values for name, values in tensors.items() if name.startswith("PIXELS")}
    return Prepared(pixels, tensors["STATUS"][:, 0], tensors["FACES"], tensors["EXPORT_ID"][:, 0])


def _read_classifier(prepared: Prepared, tensors: Tensors) -> ModelOutputs:
    return _outputs(tensors, prepared.statuses, prepared.faces, prepared.export_ids)


def _outputs(
    tensors: Tensors,
    statuses: NDArray[np.int32],
    faces: NDArray[np.float32],
    prepared_by: NDArray[np.int32] | None = None,
) -> ModelOutputs:
    return ModelOutputs(
        statuses=statuses,
        fake_probabilities=tensors["FAKE_PROBABILITY"][:, 0],
        probabilities=tensors["PROBABILITIES"],
        faces=faces,
        export_ids=tensors["EXPORT_ID"][:, 0],
        members=tensors.get("MEMBER_PROBABILITIES"),
        prepared_by=prepared_by,
    )
