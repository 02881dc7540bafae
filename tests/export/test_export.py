"""Exports real checkpoints of several architectures and runs the graphs that come out."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from export.checkpoint.head import Labelling
from export.checkpoint.hub import locate_checkpoint
from export.errors import CheckpointError, FlatScoresError, LabelError, ParityError
from export.release import Release
from export.run import existing_release, export_checkpoint
from export.settings import ExportSettings
from preprocessing import FaceDetector
from tests import fake_gpu
from tests.export import checkpoints


def export(path: Path, releases: Path, **settings: object) -> Release:
    chosen = ExportSettings(releases, parity_images=8, **settings)  # type: ignore[arg-type]
    return export_checkpoint(locate_checkpoint(str(path)), chosen)


def run(release: Release, pixels: np.ndarray, status: np.ndarray) -> dict[str, np.ndarray]:
    session = onnxruntime.InferenceSession(str(release.repository / "classifier" / "1" / "model.onnx"))
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {"PIXELS": pixels, "STATUS": status}), strict=True))


@pytest.mark.parametrize("make", [checkpoints.vit, checkpoints.clip, checkpoints.resnet])
def test_any_fixed_size_image_classifier_passes_the_gate(make: Callable[[Path], Path], tmp_path: Path) -> None:
    release = export(make(tmp_path / "checkpoint"), tmp_path / "releases")
    report = json.loads((release.path / "export_report.json").read_text())
    assert report["parity"]["max_dp"] <= 1e-5
    assert report["parity"]["std_p"] > 0.01  # constant scores would prove nothing


@pytest.mark.parametrize(
    ("labels", "fake"),
    [
        ({0: "Fake", 1: "Real"}, [0]),
        ({0: "Real", 1: "Fake"}, [1]),
        ({0: "AI", 1: "Deepfake", 2: "Real"}, [0, 1]),
    ],
)
def test_the_fake_probability_follows_the_labels(labels: dict[int, str], fake: list[int], tmp_path: Path) -> None:
    # Channels with means and deviations of their own: a fold that mixes them up would drift.
    checkpoint = checkpoints.siglip(tmp_path / "checkpoint", labels, mean=0.3, std=0.25)
    release = export(checkpoint, tmp_path / "releases")
    pixels = np.random.default_rng(0).integers(0, 256, (5, 64, 64, 3), dtype=np.uint8)
    answer = run(release, pixels, np.zeros((5, 1), np.int32))
    np.testing.assert_allclose(answer["FAKE_PROBABILITY"][:, 0], answer["PROBABILITIES"][:, fake].sum(1), atol=1e-6)
    labels_file = release.repository / "classifier" / "labels.txt"
    assert labels_file.read_text().split("\n")[:-1] == [labels[i] for i in range(len(labels))]


def test_a_checkpoint_whose_labels_do_not_say_is_refused_until_the_user_says(tmp_path: Path) -> None:
    checkpoint = checkpoints.siglip(tmp_path / "checkpoint", {0: "LABEL_0", 1: "LABEL_1"})
    with pytest.raises(LabelError):
        export(checkpoint, tmp_path / "releases")
    release = export(checkpoint, tmp_path / "releases", labelling=Labelling(("LABEL_1",)))
    assert release.manifest["description"]["fake_labels"] == ["LABEL_1"]


def test_failed_frames_are_nan_and_their_neighbours_unharmed(tiny_release: Release) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (3, 224, 224, 3), dtype=np.uint8)
    clean = run(tiny_release, pixels, np.zeros((3, 1), np.int32))
    marked = run(tiny_release, pixels, np.array([[0], [6], [0]], np.int32))
    assert np.isnan(marked["FAKE_PROBABILITY"][1]).all()
    assert np.isnan(marked["PROBABILITIES"][1]).all()
    np.testing.assert_allclose(marked["PROBABILITIES"][[0, 2]], clean["PROBABILITIES"][[0, 2]], atol=1e-7)
    export_id = tiny_release.manifest["description"]["export_id"]
    assert (marked["EXPORT_ID"] == export_id).all()
    assert 0 < export_id < 2**31


def test_the_same_image_scores_the_same_alone_and_in_any_batch(tiny_release: Release) -> None:
    pixels = np.random.default_rng(2).integers(0, 256, (32, 224, 224, 3), dtype=np.uint8)
    session = onnxruntime.InferenceSession(str(tiny_release.repository / "classifier" / "1" / "model.onnx"))

    def scores(batch: np.ndarray) -> np.ndarray:
        return session.run(["FAKE_PROBABILITY"], {"PIXELS": batch, "STATUS": np.zeros((len(batch), 1), np.int32)})[0]

    alone = np.concatenate([scores(pixels[i : i + 1]) for i in range(32)])
    for size in (2, 7, 8, 32):
        batched = np.concatenate([scores(pixels[i : i + size]) for i in range(0, 32, size)])
        assert np.abs(batched - alone).max() <= 1e-6


def test_normalisation_is_folded_into_the_patch_embedding(tiny_release: Release) -> None:
    graph = onnx.load(str(tiny_release.repository / "classifier" / "1" / "model.onnx")).graph
    before_convolution = []
    for node in graph.node:
        if node.op_type == "Conv":
            break
        if node.op_type not in ("Constant", "Shape"):
            before_convolution.append(node.op_type)
    assert before_convolution == ["Cast", "Sub", "Transpose"]
    (pixels, _status) = graph.input
    assert [d.dim_param or d.dim_value for d in pixels.type.tensor_type.shape.dim] == ["N", 224, 224, 3]
    assert pixels.type.tensor_type.elem_type == onnx.TensorProto.UINT8
    assert {node.domain for node in graph.node} <= {"", "ai.onnx"}


def test_a_drifting_graph_is_refused_by_its_number_and_leaves_nothing(
    tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The gate must bite: weights folded with a wrong standard deviation drift visibly."""
    import export.graph.serving_graph as serving_graph

    exact_fold = serving_graph._fold
    monkeypatch.setattr(
        serving_graph,
        "_fold",
        lambda index, node, scale, offset, *, bgr: exact_fold(index, node, scale * 1.01, offset, bgr=bgr),
    )
    with pytest.raises(ParityError, match=r"max \|dp\| = [0-9.e-]+ over [1-8] images exceeds the tolerance 1e-05"):
        export(tiny_checkpoint, tmp_path)
    assert list(tmp_path.iterdir()) == []
    # A saturated model hides the same drift from its probabilities, but not from their log-odds.
    checkpoint = _saturated_copy(tiny_checkpoint, tmp_path / "saturated")
    with pytest.raises(ParityError, match="log-odds"):
        export(checkpoint, tmp_path / "releases", allow_flat_scores=True)


def test_a_model_that_says_the_same_of_every_picture_is_refused(tiny_checkpoint: Path, tmp_path: Path) -> None:
    checkpoint = _saturated_copy(tiny_checkpoint, tmp_path / "saturated")
    with pytest.raises(FlatScoresError, match=r"standard deviation of p is \S+, below 0.001.*--allow-flat-scores"):
        export(checkpoint, tmp_path / "releases")
    assert list((tmp_path / "releases").iterdir()) == []
    assert export(checkpoint, tmp_path / "releases", allow_flat_scores=True).info.trained is False


def test_a_resize_that_differs_from_the_processor_is_refused(
    tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from PIL import Image

    import export.gate.parity as parity

    def nearest(pixels: np.ndarray, spec: object) -> np.ndarray:
        return np.array(Image.fromarray(pixels).resize((224, 224), Image.Resampling.NEAREST))

    monkeypatch.setattr(parity, "resize_to_square", nearest)
    with pytest.raises(ParityError, match="grey levels"):
        export(tiny_checkpoint, tmp_path)


def test_a_second_export_is_the_same_release(tiny_checkpoint: Path, tiny_release: Release) -> None:
    releases = tiny_release.path.parent
    found = existing_release(locate_checkpoint(str(tiny_checkpoint)), ExportSettings(releases))
    assert found is not None
    assert found.release_id == tiny_release.release_id
    again = export(tiny_checkpoint, releases)
    assert again.release_id == tiny_release.release_id
    # Another way to the same release is remembered as well: it is not exported at every start.
    other = ExportSettings(releases, parity_images=8, tolerance=1e-5)
    assert existing_release(locate_checkpoint(str(tiny_checkpoint)), other) is None
    export(tiny_checkpoint, releases, tolerance=1e-5)
    assert existing_release(locate_checkpoint(str(tiny_checkpoint)), other) is not None


def test_other_settings_are_another_release(tiny_checkpoint: Path, tiny_release: Release) -> None:
    other = ExportSettings(tiny_release.path.parent, face_detection=False)
    assert existing_release(locate_checkpoint(str(tiny_checkpoint)), other) is None


@pytest.mark.parametrize(
    "settings", [{"face_detection": False}, {"face_detector": FaceDetector.MEDIAPIPE}, {"pipeline_pixels": True}]
)
def test_other_preprocessing_has_another_export_id(
    settings: dict[str, object], tiny_checkpoint: Path, tiny_release: Release, tmp_path: Path
) -> None:
    """Clients tell releases by it, also those that differ in nothing but what is done before the classifier."""
    assert export(tiny_checkpoint, tmp_path, **settings).info.export_id != tiny_release.info.export_id


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"architectures": ["SiglipModel"]}, "ForImageClassification"),
        ({"model_type": "siglip2", "architectures": ["Siglip2ForImageClassification"]}, "NaFlex"),
        ({"vision_config": {"num_channels": 1}}, "RGB"),
        ({"vision_config": {"image_size": 256}}, "256"),
        ({"model_type": "no-such-model"}, "cannot be loaded"),
    ],
)
def test_unsuitable_checkpoints_are_refused(
    change: dict[str, object], message: str, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    checkpoint = _changed_copy(tiny_checkpoint, tmp_path / "checkpoint", "config.json", change)
    with pytest.raises(CheckpointError, match=message):
        export(checkpoint, tmp_path / "releases")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"do_resize": False}, "does not resize"),
        ({"size": {"height": 224, "width": 112}}, "no fixed square"),
        ({"size": {"shortest_edge": 224}}, "no fixed square"),
        ({"do_pad": True}, "pads"),
    ],
)
def test_processors_without_a_fixed_square_are_refused(change: dict[str, object], message: str, tmp_path: Path) -> None:
    source = checkpoints.vit(tmp_path / "source")
    checkpoint = _changed_copy(source, tmp_path / "checkpoint", "preprocessor_config.json", change)
    with pytest.raises(CheckpointError, match=message):
        export(checkpoint, tmp_path / "releases")


@pytest.mark.parametrize("model_type", ["vit", "own"])
@pytest.mark.parametrize("file", ["config.json", "preprocessor_config.json"])
def test_code_of_the_checkpoint_is_refused_and_never_run(model_type: str, file: str, tmp_path: Path) -> None:
    path, ran = checkpoints.vit(tmp_path / "checkpoint"), tmp_path / "ran"
    (path / "own.py").write_text(f"open({str(ran)!r}, 'w')\n")
    classes = {"AutoConfig": "Own", "AutoModelForImageClassification": "Own", "AutoImageProcessor": "Own"}
    edits: dict[str, dict[str, object]] = {"config.json": {"model_type": model_type}}
    edits.setdefault(file, {})["auto_map"] = {name: f"own.{class_}" for name, class_ in classes.items()}
    for name, changed in edits.items():
        (path / name).write_text(json.dumps({**json.loads((path / name).read_text()), **changed}))
    with pytest.raises(CheckpointError, match="Python code of the checkpoint"):
        export(path, tmp_path / "releases")
    assert not ran.exists()


def test_a_directory_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"holds no config\.json"):
        export(tmp_path, tmp_path / "releases")


def test_a_refusal_does_not_list_every_kind_of_model(tmp_path: Path) -> None:
    for name in ("config.json", "preprocessor_config.json"):
        (tmp_path / name).write_text("{}")
    with pytest.raises(CheckpointError, match="cannot be loaded") as caught:
        export(tmp_path, tmp_path / "releases")
    assert len(str(caught.value)) < 500


def test_truncated_weights_are_refused(tiny_checkpoint: Path, tmp_path: Path) -> None:
    checkpoint = _changed_copy(tiny_checkpoint, tmp_path / "checkpoint", "config.json", {})
    weights = checkpoint / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match="cannot be loaded"):
        export(checkpoint, tmp_path / "releases")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"verdict_bands": {"image": {"real_below": 0.8, "fake_above": 0.2}}}, "real_below is above fake_above"),
        ({"verdict_bands": {"image": {"real_below": 0.2}}}, "verdict_bands.image.fake_above"),
        ({"verdict_bands": {"photo": {"real_below": 0.2, "fake_above": 0.8}}}, "verdict_bands.photo"),
        ({"crop_factor": 0.5}, "crop_factor"),
        ({"scope": "cats"}, "scope"),
        ({"nonsense": 1}, "nonsense"),
    ],
)
def test_a_sidecar_that_makes_no_sense_is_refused(
    change: dict[str, object], message: str, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    checkpoint = _changed_copy(tiny_checkpoint, tmp_path / "checkpoint", "deepfake.json", change)
    with pytest.raises(CheckpointError, match=message):
        export(checkpoint, tmp_path / "releases")


def test_a_sidecar_decides_name_bands_and_crop(tiny_checkpoint: Path, tmp_path: Path) -> None:
    bands = {"image": {"real_below": 0.1, "fake_above": 0.9}}
    change = {
        "name": "mine",
        "trained": True,
        "notice": "",
        "crop_factor": 1.6,
        "scope": "face",
        "verdict_bands": bands,
    }
    checkpoint = _changed_copy(tiny_checkpoint, tmp_path / "checkpoint", "deepfake.json", change)
    description = export(checkpoint, tmp_path / "releases").manifest["description"]
    assert (description["model"], description["trained"]) == ("mine", True)
    assert description["verdict_bands"] == {**bands, "video": {"real_below": 0.4, "fake_above": 0.6}}
    assert description["preprocess"]["crop_factor"] == 1.6
    assert description["scope"] == "face"


@pytest.mark.parametrize("content", ["{", "[]", '{"size": 3}', "null"])
def test_a_damaged_processor_file_is_refused(content: str, tiny_checkpoint: Path, tmp_path: Path) -> None:
    checkpoint = _changed_copy(tiny_checkpoint, tmp_path / "checkpoint", "config.json", {})
    (checkpoint / "preprocessor_config.json").write_text(content)
    with pytest.raises(CheckpointError):
        export(checkpoint, tmp_path / "releases")


def test_the_onnxruntime_backend_gets_the_same_graph(
    tiny_checkpoint: Path, tiny_release: Release, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_gpu.use_cuda(monkeypatch)
    release = export(tiny_checkpoint, tmp_path, backend="onnxruntime", gpu=True)
    entry = release.repository / "classifier"
    assert not (entry / "1" / "model.py").exists()
    config = (entry / "config.pbtxt").read_text()
    assert 'backend: "onnxruntime"' in config
    assert "KIND_GPU" in config
    graph = (entry / "1" / "model.onnx").read_bytes()
    assert graph == (tiny_release.repository / "classifier" / "1" / "model.onnx").read_bytes()


def _saturated_copy(source: Path, target: Path) -> Path:
    """The same model, so sure of Fake that every probability rounds to 1."""
    from safetensors.numpy import load_file, save_file

    copy = _changed_copy(source, target, "config.json", {})
    weights = load_file(copy / "model.safetensors")
    weights["classifier.bias"] = weights["classifier.bias"] + np.array([40, 0], np.float32)
    save_file(weights, copy / "model.safetensors", metadata={"format": "pt"})
    return copy


def _changed_copy(source: Path, target: Path, file: str, change: dict[str, object]) -> Path:
    target.mkdir()
    for path in source.iterdir():
        (target / path.name).write_bytes(path.read_bytes())
    values = json.loads((target / file).read_text())
    for key, value in change.items():
        nested = isinstance(value, dict) and isinstance(values.get(key), dict) and key == "vision_config"
        values[key] = {**values[key], **value} if nested else value  # type: ignore[dict-item]
    (target / file).write_text(json.dumps(values))
    return target
