"""How a checkpoint's logits become probabilities, and these the fake probability."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepfake_client.release import Activation, Description, FakeWhen
from export.checkpoint.labels import fake_label_indices, ordered_labels
from export.errors import LabelError

Floats = NDArray[np.floating[Any]]

_SURE = 8.0
"""Log-odds of a sigmoid above it are not compared: fp32 has too few steps between such a probability and 1."""


@dataclass(frozen=True)
class Labelling:
    """What the user says of a checkpoint's outputs where they do not speak for themselves.

    Attributes:
        fake_labels: Names of the fake classes.
        fake_when: Whether a single output is high or low for fakes.
        of_several: Whether it is said of several checkpoints: a name that one lacks is then that of another.
    """

    fake_labels: tuple[str, ...] = ()
    fake_when: FakeWhen | None = None
    of_several: bool = False

    def of_one(self, labels: Sequence[str]) -> "Labelling":
        """What of it is said of the checkpoint with these labels."""
        if not self.of_several:
            return self
        single = len(labels) == 1
        names = () if single else tuple(name for name in self.fake_labels if name in labels)
        return Labelling(names, self.fake_when if single else None)

    def require_used(self, heads: Sequence["Head"]) -> None:
        """Checks that what is said of several checkpoints is said of some of them.

        Args:
            heads: Of each.

        Raises:
            LabelError: A name is that of no label, or none has a single output.
        """
        if self.fake_when and all(head.fake_when is None for head in heads):
            raise LabelError(f"--fake-when {self.fake_when}: none of the models has a single output; leave it out")
        known = set(chain.from_iterable(head.labels for head in heads))
        if unknown := [name for name in self.fake_labels if name not in known]:
            raise LabelError(f"--fake-labels {', '.join(unknown)}: the labels are {', '.join(sorted(known))}")

    @classmethod
    def of(cls, release: Description) -> "Labelling":
        """What was said of a release's checkpoint."""
        return cls((), release.fake_when) if release.fake_when else cls(release.fake_labels)


NOTHING_SAID = Labelling()


@dataclass(frozen=True)
class Head:
    """What is made of a model's logits.

    A model with a single output z is served as one of two classes with the logits z and 0.

    Attributes:
        labels: By class index.
        fake_indices: The fake classes.
        activation: Softmax: the classes exclude each other, and the fake ones add up. Sigmoid: each has a probability
            of its own, and the highest fake one counts.
        outputs: Number of the model's logits: 1, or that of the labels.
        fake_when: Which end of a single output means fake; None for several.
    """

    labels: tuple[str, ...]
    fake_indices: tuple[int, ...]
    activation: Activation
    outputs: int
    fake_when: FakeWhen | None = None

    @property
    def fake_labels(self) -> tuple[str, ...]:
        """The labels of the fake classes."""
        return tuple(self.labels[index] for index in self.fake_indices)

    @property
    def towards_fake(self) -> tuple[float, ...]:
        """By output: which way what is added to the log-odds of fake is to be added to the logit."""
        if self.outputs == 1:
            return (1.0 if self.fake_when == "high" else -1.0,)
        return tuple(float(index in self.fake_indices) for index in range(self.outputs))

    @property
    def softmax_fake_indices(self) -> tuple[int, ...]:
        """The fake columns of `softmax_logits`."""
        return (0,) if self.activation == "sigmoid" else self.fake_indices

    def softmax_logits(self, logits: Floats) -> Floats:
        """(N, classes) logits of a softmax with the same fake probability, also where they are divided by a number."""
        if self.activation == "sigmoid":
            logits = logits[:, list(self.fake_indices)].max(axis=1, keepdims=True)
        elif self.outputs > 1:
            return logits
        return np.concatenate([logits, np.zeros_like(logits)], axis=1)

    def log_probabilities(self, logits: Floats) -> Floats:
        """(N, labels) float64 of (N, outputs) logits."""
        if self.activation == "sigmoid":
            return np.asarray(-np.logaddexp(0.0, -logits.astype(np.float64)))
        z = self.softmax_logits(logits).astype(np.float64)
        return np.asarray(z - np.logaddexp.reduce(z, axis=1, keepdims=True))

    def fake_probability(self, probabilities: Floats) -> Floats:
        """(N,) of (N, labels) probabilities."""
        fake = probabilities[:, list(self.fake_indices)]
        return np.asarray(fake.max(1) if self.activation == "sigmoid" else fake.sum(1))

    def log_odds(self, log_probabilities: Floats) -> Floats:
        """log(P(fake) / P(not fake)) of (N, labels), exact where a softmax makes one of them tiny."""
        fake = log_probabilities[:, list(self.fake_indices)]
        if self.activation == "sigmoid":
            highest = fake.max(1)
            with np.errstate(divide="ignore"):
                return np.asarray(np.minimum(highest - np.log(-np.expm1(highest)), _SURE))
        others = [i for i in range(log_probabilities.shape[1]) if i not in self.fake_indices]
        return np.asarray(np.logaddexp.reduce(fake, axis=1) - np.logaddexp.reduce(log_probabilities[:, others], axis=1))


def read_head(id2label: Mapping[int | str, str], *, multi_label: bool, said: Labelling) -> Head:
    """What the labels, and the user, say of a model's outputs.

    Args:
        id2label: The checkpoint's labels by class index.
        multi_label: Whether it was trained for several labels an image.
        said: What the user says.

    Raises:
        LabelError: They do not say which output means fake.
    """
    labels = ordered_labels(id2label)
    said = said.of_one(labels)
    if len(labels) == 1:
        return _single(labels[0], said)
    if said.fake_when is not None:
        raise LabelError(
            f"--fake-when is for a model with a single output; this one has {len(labels)}: {', '.join(labels)}"
        )
    fake = fake_label_indices(labels, said.fake_labels, all_may_be=multi_label)
    return Head(tuple(labels), tuple(fake), "sigmoid" if multi_label else "softmax", len(labels))


def _single(label: str, said: Labelling) -> Head:
    if said.fake_labels:
        raise LabelError(f"the model has the single output {label!r}: give --fake-when in place of --fake-labels")
    if said.fake_when is None:
        raise LabelError(
            f"the model has the single output {label!r}, which does not say whether fakes score high or low: "
            "deepfake-export --fake-when high|low or make serve DEEPFAKE_FAKE_WHEN=high|low"
        )
    labels = ("fake", "real") if said.fake_when == "high" else ("real", "fake")
    return Head(labels, (labels.index("fake"),), "softmax", outputs=1, fake_when=said.fake_when)
