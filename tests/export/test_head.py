"""Heads that are no softmax over fake and real: sigmoids, a single output, and labels that mean neither."""

from pathlib import Path

import numpy as np
import pytest
from transformers import pipeline

from export.checkpoint.head import NOTHING_SAID, Head, Labelling
from export.checkpoint.hub import LocatedCheckpoint, locate_checkpoint
from export.checkpoint.load import load_checkpoint
from export.errors import CheckpointError, LabelError, ParityError
from export.gate.images import varied_images
from export.release import Release
from export.run import export_checkpoint
from export.settings import ExportSettings
from preprocessing import ResizeSpec, resize_to_square
from runtime import load_classifier
from tests.export import checkpoints

IMAGES = list(varied_images(12, seed=3))
SEVERAL = {0: "real", 1: "face_swap_fake", 2: "ai_generated", 3: "no_face"}


def export(path: Path, releases: Path, said: Labelling = NOTHING_SAID, **settings: object) -> Release:
    chosen = ExportSettings(releases, parity_images=8, face_detection=False, labelling=said, **settings)  # type: ignore[arg-type]
    return export_checkpoint(locate_checkpoint(str(path)), chosen)


def served(release: Release) -> tuple[np.ndarray, np.ndarray]:
    """Fake probabilities (N,) and probabilities (N, labels) of the images."""
    classifier = load_classifier(release.repository / "classifier" / "1")
    squares = np.stack([resize_to_square(np.asarray(image), ResizeSpec(64)) for image in IMAGES])
    answer = classifier.run(squares, np.zeros((len(squares), 1), np.int32))
    classifier.close()
    return answer.fake_probability[:, 0], answer.probabilities


def of_pipeline(path: Path) -> dict[str, np.ndarray]:
    """What transformers' own pipeline gives each label, each by a sigmoid."""
    rows = pipeline("image-classification", model=str(path), use_fast=False)(
        IMAGES, top_k=None, function_to_apply="sigmoid"
    )
    names = {row["label"] for row in rows[0]}
    return {name: np.array([next(r["score"] for r in row if r["label"] == name) for row in rows]) for name in names}


def test_of_sigmoids_the_highest_fake_one_counts(tmp_path: Path) -> None:
    path = checkpoints.siglip(tmp_path / "model", SEVERAL, problem_type="multi_label_classification")
    release, theirs = export(path, tmp_path / "releases"), of_pipeline(path)
    fake, each = served(release)
    np.testing.assert_allclose(each, np.stack([theirs[name] for name in SEVERAL.values()], axis=1), atol=1e-5)
    np.testing.assert_allclose(fake, np.maximum(theirs["face_swap_fake"], theirs["ai_generated"]), atol=1e-5)
    assert fake.std() > 0.05
    info = release.info
    assert (info.activation, info.fake_labels, info.other_labels) == (
        "sigmoid", ("face_swap_fake", "ai_generated"), ("no_face",)
    )  # fmt: skip


def test_sigmoids_need_no_label_for_real(tmp_path: Path) -> None:
    labels = {0: "face_swap_fake", 1: "ai_generated"}
    path = checkpoints.siglip(tmp_path / "model", labels, problem_type="multi_label_classification")
    assert load_checkpoint(LocatedCheckpoint(path, "model")).head.fake_indices == (0, 1)


@pytest.mark.parametrize(("fake_when", "labels"), [("high", ("fake", "real")), ("low", ("real", "fake"))])
def test_a_single_output_is_served_as_fake_and_real(fake_when: str, labels: tuple[str, ...], tmp_path: Path) -> None:
    path = checkpoints.siglip(tmp_path / "model", {0: "LABEL_0"})
    release = export(path, tmp_path / "releases", Labelling(fake_when=fake_when))  # type: ignore[arg-type]
    fake, each = served(release)
    sigmoid = of_pipeline(path)["LABEL_0"]
    np.testing.assert_allclose(fake, sigmoid if fake_when == "high" else 1 - sigmoid, atol=1e-5)
    np.testing.assert_allclose(each, np.stack([sigmoid, 1 - sigmoid], axis=1), atol=1e-5)
    assert fake.std() > 0.05
    assert (release.info.labels, release.info.fake_labels) == (labels, ("fake",))
    assert Labelling.of(release.info) == Labelling(fake_when=fake_when)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("labels", "said", "message"),
    [
        ({0: "LABEL_0"}, NOTHING_SAID, r"--fake-when high\|low"),
        ({0: "fake"}, NOTHING_SAID, r"--fake-when high\|low"),
        ({0: "fake"}, Labelling(("fake",)), "--fake-when in place of --fake-labels"),
        ({0: "Fake", 1: "Real"}, Labelling(fake_when="high"), "--fake-when is for a model with a single output"),
    ],
)
def test_what_a_single_output_means_must_be_said(
    labels: dict[int, str], said: Labelling, message: str, tmp_path: Path
) -> None:
    path = checkpoints.siglip(tmp_path / "model", labels)
    with pytest.raises(LabelError, match=message):
        load_checkpoint(LocatedCheckpoint(path, "model"), said)


def test_outputs_of_a_regression_are_refused(tmp_path: Path) -> None:
    path = checkpoints.siglip(tmp_path / "model", {0: "LABEL_0"}, problem_type="regression")
    with pytest.raises(CheckpointError, match="trained for regression"):
        load_checkpoint(LocatedCheckpoint(path, "model"), Labelling(fake_when="high"))


def test_the_gate_sees_a_softmax_in_place_of_sigmoids(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import onnx

    softmax = [onnx.helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1)]
    monkeypatch.setattr("export.graph.serving_graph._probability_nodes", lambda _head: softmax)
    path = checkpoints.siglip(tmp_path / "model", SEVERAL, problem_type="multi_label_classification")
    with pytest.raises(ParityError, match="exceeds the tolerance"):
        export(path, tmp_path / "releases")


def test_a_sigmoid_head_can_be_had_in_fp16(tmp_path: Path) -> None:
    path = checkpoints.siglip(tmp_path / "model", SEVERAL, problem_type="multi_label_classification")
    release = export(path, tmp_path / "releases", precision="fp16", backend="onnxruntime", tolerance=0.01)
    assert release.info.precision == "fp16"


@pytest.mark.parametrize(
    "head",
    [
        Head(("real", "fake", "ai"), (1, 2), "softmax", 3),
        Head(("real", "fake", "ai"), (1, 2), "sigmoid", 3),
        Head(("fake", "real"), (0,), "softmax", 1, "high"),
        Head(("real", "fake"), (1,), "softmax", 1, "low"),
    ],
    ids=["softmax", "sigmoid", "high", "low"],
)
@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_calibration_gets_logits_with_the_same_fake_probability(head: Head, temperature: float) -> None:
    logits = np.random.default_rng(0).normal(size=(20, head.outputs)) * 3
    p = head.fake_probability(np.exp(head.log_probabilities(logits / temperature)))
    powers = np.exp(head.softmax_logits(logits) / temperature)
    np.testing.assert_allclose(powers[:, head.softmax_fake_indices].sum(1) / powers.sum(1), p, rtol=1e-9)
    odds = head.log_odds(head.log_probabilities(logits / temperature))
    np.testing.assert_allclose(1 / (1 + np.exp(-odds)), p, atol=4e-4)
