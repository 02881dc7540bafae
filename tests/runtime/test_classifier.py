"""An exported classifier, run as Triton and the in-process client run it."""

import json
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest

from export.release import Release
from runtime import Answer, ClassifierLoadError, ClassifierRunError, RuntimeSpec, load_classifier, usable_cores
from runtime import openvino_classifier as ov


@pytest.fixture
def folder(tiny_release: Release, tmp_path: Path) -> Path:
    """A copy of the tiny release's classifier."""
    return Path(shutil.copytree(tiny_release.repository / "classifier" / "1", tmp_path / "1"))


def pixels(count: int) -> np.ndarray:
    return np.random.default_rng(5).integers(0, 256, (count, 224, 224, 3), dtype=np.uint8)


def run(folder: Path, images: np.ndarray, cores: int) -> Answer:
    classifier = load_classifier(folder, cores)
    try:
        return classifier.run(images, np.zeros((len(images), 1), np.int32))
    finally:
        classifier.close()


@pytest.mark.parametrize("cores", [1, 2, 3])
@pytest.mark.parametrize("count", [1, 2, 3, 7, 8])
def test_a_batch_of_any_size_is_answered_in_order_whatever_the_cores(folder: Path, cores: int, count: int) -> None:
    images = pixels(count)
    alone = np.concatenate([run(folder, images[i : i + 1], 1).fake_probability for i in range(count)])
    answer = run(folder, images, cores)
    assert alone.std() > 1e-3 or count == 1  # equal constants would prove nothing
    np.testing.assert_allclose(answer.fake_probability, alone, atol=1e-6)
    assert answer.probabilities.shape == (count, 2)
    assert answer.export_id.shape == (count, 1)


def test_images_may_lie_apart_in_memory(folder: Path) -> None:
    images = pixels(4)
    apart = np.repeat(images, 2, axis=2)[:, :, ::2]
    expected, answer = run(folder, images, 2), run(folder, apart, 2)
    np.testing.assert_array_equal(answer.fake_probability, expected.fake_probability)


def test_failed_images_are_nan_and_their_neighbours_unharmed(folder: Path) -> None:
    images = pixels(5)
    classifier = load_classifier(folder, 2)
    clean = classifier.run(images, np.zeros((5, 1), np.int32))
    marked = classifier.run(images, np.array([[0], [6], [0], [0], [2]], np.int32))
    classifier.close()
    assert np.isnan(marked.fake_probability[[1, 4]]).all()
    np.testing.assert_array_equal(marked.fake_probability[[0, 2, 3]], clean.fake_probability[[0, 2, 3]])


def test_onnxruntime_gives_the_same_numbers(folder: Path) -> None:
    images = pixels(4)
    expected = run(folder, images, 2)
    RuntimeSpec(runtime="onnxruntime").save(folder)
    other = run(folder, images, 2)
    np.testing.assert_allclose(other.probabilities, expected.probabilities, atol=1e-5)
    np.testing.assert_array_equal(other.export_id, expected.export_id)


def test_a_release_for_cuda_does_not_run_on_the_cpu_in_silence(folder: Path) -> None:
    RuntimeSpec(runtime="onnxruntime", cuda=True).save(folder)
    with pytest.raises(ClassifierLoadError, match=r"CUDA was asked for, and onnxruntime .* fell back to the CPU: use"):
        load_classifier(folder)


def test_what_onnxruntime_cannot_run_has_a_type(folder: Path) -> None:
    RuntimeSpec(runtime="onnxruntime").save(folder)
    classifier = load_classifier(folder, 2)
    with pytest.raises(ClassifierRunError, match=r"onnxruntime could not run the graph: .*PIXELS"):
        classifier.run(pixels(1)[:, :9], np.zeros((1, 1), np.int32))
    classifier.close()


def test_threads_get_their_own_answers(folder: Path) -> None:
    classifier = load_classifier(folder, 2)
    images = pixels(6)
    expected = [classifier.run(images[i : i + 1], np.zeros((1, 1), np.int32)).fake_probability[0, 0] for i in range(6)]
    wrong: list[int] = []

    def ask(number: int) -> None:
        for _ in range(20):
            answer = classifier.run(images[number : number + 1], np.zeros((1, 1), np.int32))
            if answer.fake_probability[0, 0] != expected[number]:
                wrong.append(number)

    threads = [threading.Thread(target=ask, args=(i,)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    classifier.close()
    assert wrong == []


def test_a_processor_without_the_format_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    RuntimeSpec(computed_in="bf16").save(folder)
    monkeypatch.setattr(ov, "computes_in", lambda number_format: number_format == "fp32")
    with pytest.raises(ClassifierLoadError, match="bf16, and this one does not"):
        load_classifier(folder)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        '{"runtime": "openvino", "surprise": 1}',
        json.dumps({"version": 999}),
        json.dumps({"computed_in": "fp4"}),
    ],
)
def test_a_damaged_or_foreign_spec_is_refused(folder: Path, content: str) -> None:
    (folder / "runtime.json").write_text(content)
    with pytest.raises(ClassifierLoadError):
        load_classifier(folder)


def test_a_release_from_before_the_accelerator_was_removed_is_read_if_it_has_none(folder: Path) -> None:
    RuntimeSpec().save(folder)
    document = json.loads((folder / "runtime.json").read_text())
    assert "accelerator" not in document
    spec = RuntimeSpec.load(folder)
    (folder / "runtime.json").write_text(json.dumps({**document, "accelerator": ""}))
    assert RuntimeSpec.load(folder) == spec
    old = {**document, "runtime": "onnxruntime", "accelerator": "tensorrt"}
    (folder / "runtime.json").write_text(json.dumps(old))
    with pytest.raises(ClassifierLoadError, match="onnxruntime through tensorrt, which was removed: export it again"):
        load_classifier(folder)


@pytest.mark.parametrize("runtime", ["openvino", "onnxruntime"])
def test_a_damaged_graph_is_refused(folder: Path, runtime: str) -> None:
    RuntimeSpec(runtime=runtime).save(folder)
    (folder / "model.onnx").write_bytes(b"no graph")
    with pytest.raises(ClassifierLoadError, match=r"cannot load .*model\.onnx"):
        load_classifier(folder)


@pytest.mark.parametrize(
    ("quota", "expected"), [("max 100000", None), ("100000 100000", 1), ("150000 100000", 1), ("50000 100000", 1)]
)
def test_a_containers_quota_counts_as_cores(tmp_path: Path, quota: str, expected: int | None) -> None:
    (tmp_path / "cpu.max").write_text(f"{quota}\n")
    assert usable_cores(tmp_path) == (expected or usable_cores(tmp_path / "none"))


@pytest.mark.parametrize(("quota", "expected"), [("-1", None), ("100000", 1), ("50000", 1)])
def test_a_quota_of_cgroup_v1_counts_too(tmp_path: Path, quota: str, expected: int | None) -> None:
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text(f"{quota}\n")
    (tmp_path / "cpu" / "cpu.cfs_period_us").write_text("100000\n")
    assert usable_cores(tmp_path) == (expected or usable_cores(tmp_path / "none"))


@pytest.mark.parametrize(
    ("flags", "computed_in", "share"),
    [("avx512_bf16 amx_bf16 amx_tile", "bf16", 2), ("avx512_bf16", "bf16", 1), ("amx_bf16", "fp32", 1)],
)
def test_small_batches_stay_together_where_matrix_units_want_large_ones(
    tmp_path: Path, flags: str, computed_in: str, share: int
) -> None:
    cpu_info = tmp_path / "cpuinfo"
    cpu_info.write_text(f"processor\t: 0\nflags\t\t: fpu {flags}\n")
    assert ov.smallest_share(computed_in, cpu_info) == share
    assert ov.smallest_share(computed_in, tmp_path / "none") == 1
