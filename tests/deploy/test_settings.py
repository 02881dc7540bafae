"""Command line over environment over defaults."""

from pathlib import Path

import pytest
import typer
from pydantic import ValidationError

from deepfake_client.command_line.settings import options_of
from deploy.console import exits_with_one_line
from deploy.settings import DeploySettings


def read(*arguments: str) -> DeploySettings:
    found: list[DeploySettings] = []
    app = typer.Typer()
    app.command()(options_of(DeploySettings)(lambda read_settings: found.append(read_settings())))
    app(list(arguments), standalone_mode=False)
    return found[0]


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "PORT",
        "HOST",
        "CHECKPOINT",
        "MODEL_PATH",
        "MEDIA_ROOT",
        "DEEPFAKE_FACE_DETECTION",
        "DEEPFAKE_FACE_DETECTOR",
    ):
        monkeypatch.delenv(name, raising=False)


def test_the_defaults_are_those_people_expect() -> None:
    settings = read()
    assert (settings.host, settings.port) == ("127.0.0.1", 5000)
    assert (settings.triton_http_port, settings.triton_grpc_port, settings.triton_metrics_port) == (0, 8001, 8002)
    assert settings.checkpoint is None
    assert settings.precision == "auto"


def test_environment_then_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "6001")
    monkeypatch.setenv("MEDIA_ROOT", "/srv/media")
    assert read().port == 6001
    assert read("--port", "6002").port == 6002
    assert read().media_root == Path("/srv/media")


@pytest.mark.parametrize("name", ["CHECKPOINT", "MODEL_PATH"])
def test_both_names_of_the_model_are_accepted(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "/models/mine")
    assert read().checkpoint == "/models/mine"
    assert read("--checkpoint", "other/model").checkpoint == "other/model"


def test_face_detection_can_be_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEEPFAKE_FACE_DETECTION", "off")
    assert read().face_detection is False


def test_the_face_detector_is_chosen_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    assert read().face_detector == "direct"
    monkeypatch.setenv("DEEPFAKE_FACE_DETECTOR", "mediapipe")
    assert read().face_detector == "mediapipe"
    monkeypatch.setenv("DEEPFAKE_FACE_DETECTOR", "dlib")
    with pytest.raises(ValidationError, match="direct"):
        read()


@pytest.mark.parametrize(
    ("name", "value"),
    [("PORT", "http"), ("PORT", "70000"), ("DEEPFAKE_PRECISION", "fp7"), ("DEEPFAKE_TRITON_HOST", "::1")],
)
def test_impossible_values_are_refused(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ValidationError):
        read()


def test_a_wildcard_address_is_reached_by_loopback() -> None:
    assert read("--host", "0.0.0.0").gateway_url == "http://127.0.0.1:5000"
    assert read("--triton-host", "0.0.0.0").triton_addresses.grpc_url == "127.0.0.1:8001"


def test_all_interfaces_for_the_gateway_leave_triton_on_loopback() -> None:
    assert read("--host", "0.0.0.0").triton_addresses.host == "127.0.0.1"


def test_fake_labels_reach_the_export(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model whose labels say nothing is served once the user has said which are fake."""
    from deploy.model import ensure_release
    from export.errors import LabelError
    from tests.export import checkpoints

    checkpoint = checkpoints.siglip(tmp_path / "checkpoint", {0: "LABEL_0", 1: "LABEL_1"})
    monkeypatch.setenv("CHECKPOINT", str(checkpoint))
    monkeypatch.setenv("DEEPFAKE_RELEASES_DIR", str(tmp_path / "releases"))
    with pytest.raises(LabelError, match="make serve DEEPFAKE_FAKE_LABELS="):
        ensure_release(DeploySettings(), lambda _line: None)
    monkeypatch.setenv("DEEPFAKE_FAKE_LABELS", "LABEL_1, ")
    release = ensure_release(DeploySettings(), lambda _line: None)
    assert release.manifest["description"]["fake_labels"] == ["LABEL_1"]


def test_whole_images_for_a_model_that_is_not_served_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where no model is named, and the default one would be served."""
    from deploy.model import ensure_release
    from export.errors import CheckpointError

    monkeypatch.setenv("DEEPFAKE_WHOLE_IMAGE", "scene-model")
    with pytest.raises(CheckpointError, match="scene-model"):
        ensure_release(DeploySettings(), lambda _line: None)


def test_what_a_single_output_means_reaches_the_export(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from deploy.model import ensure_release
    from tests.export import checkpoints

    monkeypatch.setenv("CHECKPOINT", str(checkpoints.siglip(tmp_path / "checkpoint", {0: "LABEL_0"})))
    monkeypatch.setenv("DEEPFAKE_RELEASES_DIR", str(tmp_path / "releases"))
    monkeypatch.setenv("DEEPFAKE_FAKE_WHEN", "low")
    assert ensure_release(DeploySettings(precision="fp32"), lambda _line: None).info.fake_when == "low"


def test_a_refusal_says_what_is_expected_and_no_regular_expression(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit), exits_with_one_line("deepfake-serve"):
        DeploySettings(triton_host="::1")
    said = capsys.readouterr().err
    assert "DEEPFAKE_TRITON_HOST: '::1' has not the right form. Address Triton listens on" in said
    assert "^" not in said
