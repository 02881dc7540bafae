"""Low-precision exports: each really is one, keeps what it promises, and the fastest is taken on request."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

import export.gate.candidates as candidates
import export.gate.parity as parity
import export.graph.int8 as int8
from assets import DRIFT_PHOTOS, SAMPLE_PHOTOS
from export.checkpoint.hub import locate_checkpoint
from export.checkpoint.load import load_checkpoint
from export.checkpoint.torch_scores import open_preparer
from export.errors import ExportError, ParityError
from export.gate.images import (
    _CALIBRATE_ON,
    _CALIBRATE_ON_FACES,
    _JUDGE_ON,
    _JUDGE_ON_FACES,
    calibration_photos,
    judging_photos,
)  # fmt: skip
from export.gate.parity import TOLERANCES
from export.release import Release
from export.report import explain_choice
from export.run import export_checkpoint
from export.settings import ExportSettings
from export.target import Int8Recipe, Target, variants_of
from runtime import Classifier, load_classifier
from tests.export import checkpoints
from tests.media import encode_image
from tests.processor import BF16_OR_FP32, LOW_PRECISIONS


def export(path: Path, releases: Path, **settings: object) -> Release:
    chosen = ExportSettings(releases, parity_images=8, **settings)  # type: ignore[arg-type]
    return export_checkpoint(locate_checkpoint(str(path)), chosen)


def report(release: Release) -> dict[str, dict[str, float]]:
    return json.loads((release.path / "export_report.json").read_text())


def classifier_folder(release: Release) -> Path:
    return release.repository / "classifier" / "1"


def with_rates(rates: dict[str, float]) -> Callable[..., list[object]]:
    """Stands for the timing: gives each variant the rate of its name."""

    def timed(contenders: list[Any], *_arguments: object) -> list[object]:
        candidates = [replace(c.candidate, images_per_s=rates[c.candidate.variant.name]) for c in contenders]
        return [replace(c, candidate=candidate) for c, candidate in zip(contenders, candidates, strict=True)]

    return timed


@pytest.mark.parametrize("precision", LOW_PRECISIONS)
def test_a_low_precision_keeps_its_promise_and_is_no_fp32_in_disguise(
    precision: str, tiny_checkpoint: Path, int8_release: Release, tiny_release: Release, tmp_path: Path
) -> None:
    release = int8_release if precision == "int8" else export(tiny_checkpoint, tmp_path, precision=precision)
    assert release.manifest["description"]["precision"] == precision
    parity = report(release)["parity"]
    assert 1e-5 < parity["max_dp"] <= TOLERANCES[precision].max_dp
    assert parity["max_batch_dp"] <= TOLERANCES[precision].max_batch_dp
    assert parity["images"] == 8 + 16
    assert parity["std_p"] >= 0.2
    assert release.manifest["description"]["export_id"] != tiny_release.manifest["description"]["export_id"]
    answers = []
    for folder in (classifier_folder(release), classifier_folder(tiny_release)):
        classifier = load_classifier(folder)
        images = np.stack([np.asarray(image.resize((224, 224))) for image in judging_photos(12)])
        answers.append(classifier.run(images, np.zeros((12, 1), np.int32)))
        classifier.close()
    low, full = (answer.fake_probability for answer in answers)
    assert 1e-6 < np.abs(low - full).max() <= 2 * TOLERANCES[precision].max_dp
    assert (answers[0].export_id == release.manifest["description"]["export_id"]).all()


def test_int8_quantises_the_layers_that_stand_it_and_no_others(int8_release: Release) -> None:
    assert not (classifier_folder(int8_release) / "model.onnx").exists()
    layers = ElementTree.parse(classifier_folder(int8_release) / "model.xml").getroot().findall("layers/layer")
    quantised = [layer.get("name", "") for layer in layers if layer.get("type") == "FakeQuantize"]
    weights = [
        layer for layer in layers if layer.get("type") == "Const" and layer.find("data[@element_type='i8']") is not None
    ]
    # Two layers with four products each: q, k and v are one, and the output projection stays.
    assert len(weights) == 2 * 3
    # Processors without VNNI saturate in static int8 and get the recipe that quantises activations as they come.
    assert len(quantised) == (2 * 3 if report(int8_release)["variant"] == "int8 (static)" else 0)
    assert not [name for name in quantised if "out_proj" in name or "patch" in name or "classifier" in name]


def test_a_static_variant_that_fails_is_followed_by_the_dynamic_one(
    tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = int8.write_int8
    seen: list[str] = []

    def damaged(folder: Path, onnx_path: Path, recipe: Int8Recipe, images: list[np.ndarray]) -> None:
        seen.append(recipe.value)
        # Black calibration images: ranges far too small for anything else.
        write(folder, onnx_path, recipe, [np.zeros_like(images[0])] if recipe is Int8Recipe.STATIC else images)

    monkeypatch.setattr("export.graph.write.write_int8", damaged)
    release = export(tiny_checkpoint, tmp_path, precision="int8")
    assert seen == ["static", "dynamic"]
    assert report(release)["variant"] == "int8 (dynamic)"
    assert any("int8 (static): refused: " in line and "exceeds" in line for line in explain_choice(release.path))


def test_a_precision_that_breaks_its_promise_is_refused_and_leaves_nothing(
    tiny_checkpoint: Path, tmp_path: Path
) -> None:
    precision = LOW_PRECISIONS[0]
    with pytest.raises(
        ParityError, match=rf"{precision}.*: max \|dp\| = \S+ over \d+ images exceeds the tolerance 1e-06"
    ):
        export(tiny_checkpoint, tmp_path, precision=precision, tolerance=1e-6)
    assert list(tmp_path.iterdir()) == []


def test_auto_takes_the_fastest_of_those_that_pass(
    tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(candidates, "_timed", with_rates({BF16_OR_FP32: 10.0, "int8 (static)": 5.0}))
    release = export(tiny_checkpoint, tmp_path, precision="auto")
    assert release.manifest["description"]["precision"] == BF16_OR_FP32
    lines = [line for line in explain_choice(release.path) if "computes in bf16" not in line]
    assert len(lines) == 2
    assert lines[0].startswith(f"precision {BF16_OR_FP32}: 10.0 images/s")
    assert lines[0].endswith("<- served")
    assert lines[1].startswith("precision int8 (static): 5.0 images/s")
    assert lines[1].endswith("a faster one passed the gate")
    assert not (release.path / "scratch").exists()


def test_auto_takes_the_next_one_where_the_fastest_drifts(
    tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second recipe is made after the first was refused, and must be faster than what waits beside it."""
    judge = parity.check_parity
    judged: list[Classifier] = []

    def refuses_the_first(classifier: Classifier, *arguments: object) -> object:
        judged.append(classifier)
        if len(judged) == 1:
            raise ParityError("drifts")
        return judge(classifier, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr("export.member.check_parity", refuses_the_first)
    rates = {"int8 (static)": 15.0, BF16_OR_FP32: 10.0, "int8 (dynamic)": 5.0}
    monkeypatch.setattr(candidates, "_timed", with_rates(rates))
    release = export(tiny_checkpoint, tmp_path, precision="auto")
    tried = report(release)["candidates"]
    names = [one["variant"] for one in tried if "computes in bf16" not in one["refused"]]  # type: ignore[index]
    assert names == [BF16_OR_FP32, "int8 (static)", "int8 (dynamic)"]
    assert len(judged) == 2


def test_auto_measures_and_falls_back_to_what_passes(tiny_checkpoint: Path, tmp_path: Path) -> None:
    release = export(tiny_checkpoint, tmp_path, precision="auto", tolerance=1e-5)
    assert release.manifest["description"]["precision"] == "fp32"
    served, *others = report(release)["candidates"]
    assert served["variant"] == "fp32"  # type: ignore[index]
    assert [one["variant"] for one in others if one["refused"]] != []  # type: ignore[index]
    for one in others:  # what is faster was refused
        assert one["refused"] or one["images_per_s"] <= served["images_per_s"]  # type: ignore[index]


def test_a_processor_without_bf16_still_gets_int8_and_fp32(
    tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def only_fp32(number_format: str) -> bool:
        return number_format == "fp32"

    monkeypatch.setattr("runtime.openvino_classifier.computes_in", only_fp32)
    monkeypatch.setattr(int8, "computes_in", only_fp32)
    release = export(tiny_checkpoint, tmp_path / "auto", precision="auto")
    tried = {one["variant"]: one["refused"] for one in report(release)["candidates"]}  # type: ignore[index]
    assert "computes in bf16, and this one does not" in tried["bf16"]
    assert tried["fp32"] == ""
    assert tried.get("int8 (static)") == "" or tried.get("int8 (dynamic)") == ""
    with pytest.raises(ExportError, match="computes in bf16"):
        export(tiny_checkpoint, tmp_path / "bf16", precision="bf16")


def test_a_model_without_layers_for_int8_says_so(tmp_path: Path) -> None:
    checkpoint = checkpoints.resnet(tmp_path / "checkpoint")
    with pytest.raises(ExportError, match="int8 has nothing to offer"):
        export(checkpoint, tmp_path / "releases", precision="int8")


def test_fp16_for_the_onnxruntime_backend_passes_the_gate(tiny_checkpoint: Path, tmp_path: Path) -> None:
    import onnx

    release = export(tiny_checkpoint, tmp_path, precision="fp16", backend="onnxruntime")
    parity = report(release)["parity"]
    assert 1e-6 < parity["max_dp"] <= TOLERANCES["fp16"].max_dp
    graph = onnx.load(str(classifier_folder(release) / "model.onnx")).graph
    kinds = {tensor.data_type for tensor in graph.initializer if len(tensor.dims) == 2 and min(tensor.dims) > 2}
    assert kinds == {onnx.TensorProto.FLOAT16}
    assert [i.type.tensor_type.elem_type for i in graph.input] == [onnx.TensorProto.UINT8, onnx.TensorProto.INT32]


@pytest.mark.parametrize("precision", ["bf16", "int8"])
def test_the_onnxruntime_backend_refuses_what_it_cannot_compute(precision: str) -> None:
    with pytest.raises(ExportError, match="takes fp32, fp16 or auto"):
        variants_of(precision, Target("onnxruntime"))


def test_calibration_and_judgement_share_no_photo() -> None:
    assert not {*_CALIBRATE_ON, *_CALIBRATE_ON_FACES} & {*_JUDGE_ON, *_JUDGE_ON_FACES}
    known = {asset.name for asset in SAMPLE_PHOTOS + DRIFT_PHOTOS}
    assert {*_CALIBRATE_ON, *_CALIBRATE_ON_FACES, *_JUDGE_ON, *_JUDGE_ON_FACES} <= known
    first, again = ([np.asarray(i).sum() for i in calibration_photos(5)] for _ in range(2))
    assert first == again
    assert len(set(first)) == 5


@pytest.mark.parametrize("photos", [calibration_photos, judging_photos])
def test_half_of_the_photos_are_faces_as_the_release_cuts_them(
    photos: Callable[..., Iterator[Image.Image]], tiny_checkpoint: Path
) -> None:
    """A face that fills its crop is found again; of the scenes most have none."""
    loaded = load_checkpoint(locate_checkpoint(str(tiny_checkpoint)))
    with open_preparer(loaded) as preparer:
        images = [np.asarray(image) for image in photos(16, preparer=preparer)]
        shares = []
        for image in images[1::2]:
            (face, *_) = preparer.crop(encode_image(image, "PNG"))[1]
            shares.append(face.box.area / (image.shape[0] * image.shape[1]))
    assert min(shares) > 0.25
    with open_preparer(loaded, face_detection=False) as preparer:
        whole = [np.asarray(image) for image in photos(16, preparer=preparer)]
    assert [image.shape for image in whole] == [np.asarray(image).shape for image in photos(16)]


def test_int8_is_calibrated_on_what_the_release_cuts(
    tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[np.ndarray]] = []

    def watched(folder: Path, onnx_path: Path, recipe: Int8Recipe, images: list[np.ndarray]) -> None:
        seen.append(images)
        raise ExportError("seen")

    monkeypatch.setattr("export.graph.write.write_int8", watched)
    for face_detection in (True, False):
        with pytest.raises(ExportError, match="seen"):
            export(tiny_checkpoint, tmp_path, precision="int8", face_detection=face_detection)
    with_faces, _, whole, _ = seen
    same = [np.array_equal(one, other) for one, other in zip(with_faces, whole, strict=True)]
    assert not any(same[1::2])
