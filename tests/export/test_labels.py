import pytest

from export.checkpoint.labels import fake_label_indices, ordered_labels, other_labels
from export.errors import LabelError


@pytest.mark.parametrize(
    ("labels", "fake"),
    [
        (["Fake", "Real"], [0]),
        (["Real", "Fake"], [1]),
        (["real", "fake"], [1]),
        (["Realism", "Deepfake"], [1]),
        (["Deepfake", "Real one"], [0]),
        (["AI", "Deepfake", "Real"], [0, 1]),
        (["Real", "AI"], [1]),
        (["human_real", "ai-generated"], [1]),
        (["Artificial", "Deepfake", "Real", "Unclear"], [0, 1]),
        (["real", "fake", "no_face"], [1]),
        (["Deepfake", "Other"], [0]),
        (["AuthenticPhoto", "FaceSwapped"], [1]),
        (["real", "face_swap", "ai_generated", "GAN"], [1, 2, 3]),
    ],
)
def test_fake_is_every_class_that_says_so(labels: list[str], fake: list[int]) -> None:
    assert fake_label_indices(labels) == fake


@pytest.mark.parametrize(
    "labels",
    [
        ["LABEL_0", "LABEL_1"],
        ["cat", "dog"],
        ["Real", "Cartoon"],
        ["Real", "Genuine"],
        ["not real", "real"],
        ["fake or real", "other"],
    ],
)
def test_labels_that_do_not_say_are_refused(labels: list[str]) -> None:
    with pytest.raises(LabelError, match="--fake-label"):
        fake_label_indices(labels)


def test_what_is_neither_is_named() -> None:
    assert other_labels(["real", "fake", "no_face"], [1]) == ["no_face"]
    assert other_labels(["Fake", "Real"], [0]) == []
    assert other_labels(["not fake", "fake", "no_face"], [1]) == ["no_face"]


def test_what_stands_for_real_without_saying_so_is_not_neither() -> None:
    assert other_labels(["LABEL_0", "LABEL_1"], [1]) == []
    assert other_labels(["Deepfake", "Other"], [0]) == []
    assert other_labels(["face_swap", "no_face"], [0], all_may_be=True) == ["no_face"]


def test_the_user_can_name_the_fake_classes() -> None:
    assert fake_label_indices(["LABEL_0", "LABEL_1"], ["LABEL_1"]) == [1]


@pytest.mark.parametrize("chosen", [["nonsense"], ["LABEL_0", "LABEL_1"]])
def test_naming_no_class_or_all_of_them_is_refused(chosen: list[str]) -> None:
    with pytest.raises(LabelError):
        fake_label_indices(["LABEL_0", "LABEL_1"], chosen)


def test_labels_follow_the_index_and_not_the_order_of_the_mapping() -> None:
    assert ordered_labels({"1": "Real", "0": "Fake"}) == ["Fake", "Real"]


@pytest.mark.parametrize("mapping", [{0: "Fake", 2: "Real"}, {}])
def test_gaps_are_refused(mapping: dict[int, str]) -> None:
    with pytest.raises(LabelError):
        ordered_labels(mapping)
