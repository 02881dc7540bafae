"""What the model's author says travels: the card, the calibration, and nothing where there is neither."""

import hashlib
import io
from typing import Any

import pytest

from tests.gateway.conftest import Gateway
from tests.gateway.routes.test_health import KEYS
from tests.inference_server import DESCRIPTION, jpeg

TEXT = "# Example\n\nFor tests; größer als nötig.\n"
SHA256 = hashlib.sha256(TEXT.encode()).hexdigest()
CARD = {
    "name": "Example", "licence": "apache-2.0", "purpose": "tests", "limits": "everything",
    "url": "https://example.org/card", "sha256": SHA256, "text": TEXT,
}  # fmt: skip
BAND = {
    "unit": "images", "real": 300, "fake": 300, "persons": 40, "auc": 0.97, "ece_before": 0.1, "ece_after": 0.02,
    "fpr": 0.01, "fpr_upper": 0.0256, "fnr": 0.03, "fnr_upper": 0.05,
    "tpr": {"value": 0.9, "low": 0.85, "high": 0.94}, "uncertain": 0.08,
}  # fmt: skip
CALIBRATION = {
    "temperature": 1.7, "max_fpr": 0.01, "max_fnr": 0.05, "face_detection": True, "dataset_sha256": "0" * 64,
    "image": BAND, "video": None, "notes": ["a note"],
}  # fmt: skip
REFERENCE = {
    "name": "Example", "licence": "apache-2.0", "sha256": SHA256, "url": "https://example.org/card",
    "route": "/model-card",
}  # fmt: skip
SUMMARY = {"temperature": 1.7, "bias": 0.0, "max_fpr": 0.01, "max_fnr": 0.05}


def serve(gateway: Gateway, **blocks: Any) -> None:
    gateway.server.behaviour.description = {**DESCRIPTION, **blocks}
    gateway.configure()


def upload(gateway: Gateway) -> Any:
    form = {"file": (io.BytesIO(jpeg("p=0.9")), "a.jpg")}
    return gateway.http.post("/detect", data=form).json["metadata"]["model"]


def test_card_and_calibration_stand_in_health_and_in_results(gateway: Gateway) -> None:
    serve(gateway, calibration=CALIBRATION, model_card=CARD)
    body = gateway.http.get("/health").json
    assert list(body)[: len(KEYS)] == KEYS
    assert (body["calibration"], body["model_card"]) == (SUMMARY, REFERENCE)
    model = upload(gateway)
    assert (model["calibration"], model["model_card"]) == (SUMMARY, REFERENCE)


def test_a_release_without_them_says_nothing(gateway: Gateway) -> None:
    assert {"calibration", "model_card"} & set(gateway.http.get("/health").json) == set()
    assert {"calibration", "model_card"} & set(upload(gateway)) == set()


def test_the_card_is_served_as_it_is(gateway: Gateway) -> None:
    serve(gateway, model_card=CARD)
    response = gateway.http.get("/model-card")
    assert response.status_code == 200
    assert response.data == TEXT.encode()
    assert response.headers["Content-Type"] == "text/markdown; charset=utf-8"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert hashlib.sha256(response.data).hexdigest() == gateway.http.get("/health").json["model_card"]["sha256"]


@pytest.mark.parametrize(
    ("blocks", "says"),
    [({}, "no card"), ({"model_card": {**CARD, "text": ""}}, "https://example.org/card")],
    ids=["none", "too long to be served"],
)
def test_no_card_is_a_404_that_says_so(gateway: Gateway, blocks: dict[str, Any], says: str) -> None:
    serve(gateway, **blocks)
    response = gateway.http.get("/model-card")
    assert (response.status_code, response.json["code"]) == (404, "NO_MODEL_CARD")
    assert says in response.json["message"]
    assert "route" not in gateway.http.get("/health").json.get("model_card", {})


def test_without_a_server_it_is_a_503(gateway: Gateway) -> None:
    gateway.server.stop()
    response = gateway.http.get("/model-card")
    assert (response.status_code, response.json["code"]) == (503, "MODEL_UNAVAILABLE")


@pytest.mark.parametrize("block", [{"calibration": ["not", "a", "block"]}, {"model_card": {"name": "\udcff"}}])
def test_a_garbled_block_is_no_model(gateway: Gateway, block: dict[str, Any]) -> None:
    serve(gateway, **block)
    assert gateway.http.get("/health").status_code == 503
