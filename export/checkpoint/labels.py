"""Which classes are fake: read from the checkpoint's id2label, never assumed from an order.

A fake class says so, or is named by the user. A class that says neither fake nor real (no_face, unclear, cartoon) is
neither: its probability stands in PROBABILITIES and is no part of the fake probability.
"""

import re
from collections.abc import Mapping, Sequence

from export.errors import LabelError

_REAL_WORDS = frozenset(
    {"real", "realism", "authentic", "genuine", "original", "pristine", "bonafide", "live", "human"}
)
_FAKE_WORDS = frozenset(
    {
        "fake", "fakes", "deepfake", "deepfakes", "ai", "artificial", "synthetic", "generated", "manipulated", "forged",
        "forgery", "spoof", "spoofed", "altered", "edited", "tampered", "swap", "swapped", "faceswap", "gan",
        "diffusion", "morphed", "inpainted", "reenacted",
    }
)  # fmt: skip
_NEGATIONS = frozenset({"not", "non", "no", "un"})
_HOW_TO_SAY = (
    "name the fake classes (deepfake-export --fake-labels NAME,... or make serve DEEPFAKE_FAKE_LABELS=NAME,...)"
)


def ordered_labels(id2label: Mapping[int | str, str]) -> list[str]:
    """The labels by class index.

    Raises:
        LabelError: The indices are not 0..n-1.
    """
    by_index = {int(index): label for index, label in id2label.items()}
    if not by_index or sorted(by_index) != list(range(len(by_index))):
        raise LabelError(f"id2label must name the classes 0..n-1; it is {dict(id2label)}")
    return [by_index[index] for index in range(len(by_index))]


def fake_label_indices(
    labels: Sequence[str], fake_labels: Sequence[str] = (), *, all_may_be: bool = False
) -> list[int]:
    """Indices of the classes whose probabilities make the fake probability.

    Args:
        labels: By class index.
        fake_labels: The names of the fake classes, when the caller knows better than the words.
        all_may_be: Whether all can be fake: where they do not exclude each other, real needs no class.

    Returns:
        The classes called fake; never none.

    Raises:
        LabelError: No label says fake, one says fake and real, or `fake_labels` names no class.
    """
    if fake_labels:
        unknown = [name for name in fake_labels if name not in labels]
        chosen = [index for index, label in enumerate(labels) if label in fake_labels]
        if unknown or (len(chosen) == len(labels) and not all_may_be):
            raise LabelError(
                f"--fake-labels {', '.join(unknown or fake_labels)}: choose some, not all, of {list(labels)}"
            )
        return chosen
    chosen = [index for index, label in enumerate(labels) if _kind(label) == "fake"]
    if not chosen or (len(chosen) == len(labels) and not all_may_be):
        raise LabelError(f"the labels {list(labels)} do not say which class is fake: {_HOW_TO_SAY}")
    return chosen


def other_labels(labels: Sequence[str], fake_indices: Sequence[int], *, all_may_be: bool = False) -> list[str]:
    """The classes that are neither fake nor real.

    Args:
        labels: By class index.
        fake_indices: The fake ones.
        all_may_be: As for `fake_label_indices`. Otherwise some class is the real one: where none says so, no class
            counts as neither.
    """
    rest = [label for index, label in enumerate(labels) if index not in fake_indices]
    neither = [label for label in rest if not any(_says(label))]
    return neither if all_may_be or len(neither) < len(rest) else []


def _kind(label: str) -> str:
    """`real`, `fake` or `other`.

    Raises:
        LabelError: The label says both, or negates a word.
    """
    says_real, says_fake = _says(label)
    if (says_real and says_fake) or ((says_real or says_fake) and _words(label) & _NEGATIONS):
        raise LabelError(f"the label {label!r} is ambiguous: {_HOW_TO_SAY}")
    return "real" if says_real else "fake" if says_fake else "other"


def _says(label: str) -> tuple[bool, bool]:
    """Whether it has a word for real, and one for fake."""
    words = _words(label)
    return bool(words & _REAL_WORDS), bool(words & _FAKE_WORDS)


def _words(label: str) -> set[str]:
    return set(re.findall(r"[a-z]+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", label).lower()))
