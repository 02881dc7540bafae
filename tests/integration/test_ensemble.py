"""The ensemble on the real Triton, driven by Triton's own clients: the contract's section 2."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tritonclient.grpc
import tritonclient.http
from tritonclient.utils import InferenceServerException

from export.release import Release
from preprocessing import STATUS_TABLE, Status
from tests.hostile.image_containers import other_containers
from tests.integration.conftest import OUTPUTS, Infer, as_tensor
from tests.service import Service


def test_the_tensors_are_those_of_the_contract(service: Service) -> None:
    with tritonclient.grpc.InferenceServerClient(service.grpc) as client:
        metadata = client.get_model_metadata("deepfake_detector")
        batch_sizes = {
            name: client.get_model_config(name).config.max_batch_size
            for name in ("preprocess", "classifier", "deepfake_detector")
        }
    assert {(t.name, t.datatype, tuple(t.shape)) for t in metadata.inputs} == {
        ("IMAGE", "BYTES", (-1, 1)),
        ("FACE", "FP32", (-1, 4)),
    }
    assert {(t.name, t.datatype, tuple(t.shape)) for t in metadata.outputs} == {
        ("FAKE_PROBABILITY", "FP32", (-1, 1)),
        ("PROBABILITIES", "FP32", (-1, 2)),
        ("FACES", "FP32", (-1, 8, 5)),
        ("FACE_BOX", "FP32", (-1, 4)),
        ("FACE_SCORE", "FP32", (-1, 1)),
        ("EXPORT_ID", "INT32", (-1, 1)),
        ("STATUS", "INT32", (-1, 1)),
    }
    assert set(batch_sizes.values()) == {32}


def test_bad_images_get_a_status_and_nan_and_harm_no_neighbour(infer: Infer, images: dict[str, bytes]) -> None:
    coffee, astronaut = images["coffee.png"], images["astronaut.png"]
    batch = [coffee, b"junk", astronaut, b"", coffee[: len(coffee) // 2], b"\0\0\1\0" + bytes(40), images["rocket.jpg"]]
    answer = infer(batch)
    reasons = ("OK", "NOT_AN_IMAGE", "OK", "EMPTY", "DECODE_FAILED", "UNSUPPORTED_FORMAT", "OK")
    assert answer["STATUS"][:, 0].tolist() == [Status[reason] for reason in reasons]
    bad = answer["STATUS"][:, 0] != 0
    assert np.isnan(answer["FAKE_PROBABILITY"][bad]).all()
    assert np.isnan(answer["PROBABILITIES"][bad]).all()
    assert np.isfinite(answer["FAKE_PROBABILITY"][~bad]).all()
    for row in np.flatnonzero(~bad):
        alone = infer([batch[row]])
        for name in OUTPUTS:
            np.testing.assert_allclose(answer[name][row], alone[name][0], atol=1e-6, rtol=0, err_msg=name)


def test_hostile_containers_get_a_status_each(infer: Infer, images: dict[str, bytes]) -> None:
    cases = other_containers()
    for start in range(0, len(cases), 16):
        batch = [case.make() for case in cases[start : start + 16]]
        statuses = infer([*batch, images["coffee.png"]])["STATUS"][:, 0].tolist()
        assert statuses.pop() == Status.OK
        for case, status in zip(cases[start : start + 16], statuses, strict=True):
            assert status in case.outcomes, case.name


def test_faces_are_reported_in_pixels_of_the_image(infer: Infer, images: dict[str, bytes]) -> None:
    answer = infer([images["astronaut.png"], images["coffee.png"]])
    np.testing.assert_allclose(answer["FACE_BOX"][0], [173, 67, 276, 170], atol=4)
    assert 0.5 < answer["FACE_SCORE"][0, 0] <= 1
    assert np.isnan(answer["FACE_BOX"][1]).all()
    assert answer["FACE_SCORE"][1, 0] == 0
    np.testing.assert_array_equal(answer["FACES"][0, 0], [*answer["FACE_BOX"][0], answer["FACE_SCORE"][0, 0]])
    assert np.isnan(answer["FACES"][0, 1:]).all()
    assert np.isnan(answer["FACES"][1]).all()


def test_a_given_face_is_scored_without_a_search(infer: Infer, images: dict[str, bytes]) -> None:
    astronaut = images["astronaut.png"]
    box = infer([astronaut])["FACE_BOX"][0]
    batch = [astronaut, astronaut, astronaut, astronaut, b"junk"]
    answer = infer(batch, [box, [0, 0, 0, 0], [np.nan] * 4, [9000, 1, 9100, 90], box])
    reasons = ("OK", "OK", "OK", "FACE_BOX_OUTSIDE", "NOT_AN_IMAGE")
    assert answer["STATUS"][:, 0].tolist() == [Status[reason] for reason in reasons]
    cropped, whole, searched = answer["FAKE_PROBABILITY"][:3, 0]
    assert abs(cropped - searched) <= 1e-6
    assert abs(cropped - whole) > 1e-6
    assert np.isnan(answer["FACES"][:2]).all()
    assert np.array_equal(answer["FACE_BOX"][2], box)


def test_every_answer_names_the_export(infer: Infer, images: dict[str, bytes], tiny_release: Release) -> None:
    answer = infer([images["coffee.png"], b"junk"])
    assert (answer["EXPORT_ID"] == tiny_release.info.export_id).all()


def test_probabilities_are_a_softmax_in_the_order_of_the_labels(infer: Infer, images: dict[str, bytes]) -> None:
    answer = infer(list(images.values()))
    np.testing.assert_allclose(answer["PROBABILITIES"].sum(1), 1, atol=1e-6)
    np.testing.assert_array_equal(answer["PROBABILITIES"][:, 0], answer["FAKE_PROBABILITY"][:, 0])


def test_the_http_client_gets_the_same_numbers(service: Service, infer: Infer, images: dict[str, bytes]) -> None:
    batch = [*images.values(), b"junk"]
    client = tritonclient.http.InferenceServerClient(f"127.0.0.1:{service.triton_http_port}")
    try:
        result = client.infer("deepfake_detector", [as_tensor(tritonclient.http, batch)])
    finally:
        client.close()
    over_grpc = infer(batch)
    for name in OUTPUTS:
        np.testing.assert_allclose(result.as_numpy(name), over_grpc[name], atol=1e-6, rtol=0, err_msg=name)


@pytest.mark.parametrize("size", [2, 8, 31, 32])
def test_a_score_does_not_depend_on_the_batch(size: int, infer: Infer, images: dict[str, bytes]) -> None:
    photos = list(images.values())
    alone = np.concatenate([infer([image])["FAKE_PROBABILITY"] for image in photos])
    batch = [photos[i % len(photos)] for i in range(size)]
    together = infer(batch)["FAKE_PROBABILITY"]
    expected = np.array([alone[i % len(photos)] for i in range(size)])
    assert np.abs(together - expected).max() <= 1e-6


def test_more_than_32_frames_in_one_request_are_refused(infer: Infer, images: dict[str, bytes]) -> None:
    with pytest.raises(InferenceServerException, match="batch-size") as caught:
        infer([images["coffee.png"]] * 33)
    assert "INVALID_ARGUMENT" in str(caught.value.status())


def test_concurrent_requests_with_bad_frames_get_their_own_answers(infer: Infer, images: dict[str, bytes]) -> None:
    """Dynamic batching merges these requests; every row must still be its own."""
    photos = [*images.values(), b"junk", b""]
    expected = infer(photos)["FAKE_PROBABILITY"][:, 0]

    def check(turn: int) -> None:
        order = np.random.default_rng(turn).permutation(len(photos))
        answer = infer([photos[i] for i in order])
        np.testing.assert_allclose(answer["FAKE_PROBABILITY"][:, 0], expected[order], atol=1e-6, rtol=0)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(check, range(40)))


def test_the_ensemble_describes_its_status_codes(service: Service) -> None:
    from deepfake_client import create_detector

    with create_detector(service.grpc) as detector:
        info = detector.info()
    assert {code: (said.name, said.meaning) for code, said in info.statuses.items()} == {
        code: (row.name, row.meaning) for code, row in STATUS_TABLE.items()
    }
    assert info.name == "seeded-untrained"
    assert not info.trained
