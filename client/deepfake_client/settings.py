"""Settings of the client, read once from arguments and the environment."""

from pathlib import Path
from typing import Any

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from deepfake_client.analysis.faces import FaceChoice, FaceRules
from deepfake_client.errors import ConfigurationError
from deepfake_client.scorer import MAX_FACES, MIN_FACE_PX
from deepfake_client.scores import MAX_SCORED_FRAMES
from deepfake_client.triton.target import parse_target


class ClientSettings(BaseSettings):
    """How the client talks to Triton. Environment variables have the prefix DEEPFAKE_CLIENT_."""

    model_config = SettingsConfigDict(
        env_prefix="DEEPFAKE_CLIENT_", frozen=True, extra="forbid", env_ignore_empty=True, hide_input_in_errors=True
    )

    model: str = Field(default="deepfake_detector", description="Name of the ensemble.")
    preprocess_url: str = Field(
        default="",
        description="Address of Triton servers that only preprocess, in the forms of Triton's own: they make the "
        "pixels, and Triton scores these (docs/deploy.md). Unset: Triton does both.",
    )
    chunk_frames: int = Field(default=8, ge=1, le=32, description="Most frames in one gRPC request.")
    chunk_bytes: int = Field(
        default=32 * 2**20, ge=1, description="Most bytes in one gRPC request, unless a single frame is larger."
    )
    attempts: int = Field(default=3, ge=1, le=10, description="Tries of a request after failures that may pass.")
    outage_wait_s: float = Field(
        default=0.0, ge=0, description="How long tries go on, whatever their number, while the server is unavailable."
    )
    overload_wait_s: float = Field(
        default=0.0, ge=0, description="How long tries go on, whatever their number, while the server is overloaded."
    )
    requests_in_flight: int = Field(
        default=4, ge=1, description="Most gRPC requests of one detection under way at once; bounds copies of frames."
    )
    use_http_proxy: bool = Field(
        default=False, description="Whether gRPC obeys http_proxy, https_proxy and no_proxy of the environment."
    )
    max_media_bytes: int = Field(
        default=384 * 2**20,
        ge=1,
        description="Most bytes of an image file, and of the frames of one video as they are sent to Triton, together.",
    )
    faces: FaceChoice = Field(
        default=FaceChoice.EVERY,
        description="`every`: all faces are scored, and the most suspicious person decides. `largest`: only the "
        "largest face of a frame. `most_suspicious`: as every, and the risk scores take each frame's most suspicious "
        "face.",
    )
    min_face_px: float = Field(
        default=MIN_FACE_PX,
        ge=0,
        description="Shorter side of the smallest further face that is scored; the largest always is. A release for "
        "faces only judges nothing without a face of this size.",
    )
    max_faces: int = Field(default=MAX_FACES, ge=1, le=MAX_FACES, description="Most faces of a frame that are scored.")
    keyframes_may_stand_in: bool = Field(
        default=True,
        description="Whether a key frame near a place may be scored for the frame there, in videos that take long to "
        "decode.",
    )
    further_frames: int = Field(
        default=MAX_SCORED_FRAMES,
        ge=0,
        le=MAX_SCORED_FRAMES,
        description="Most further frames of a video that are scored around what stands out; 0: none.",
    )
    sampling_secret: SecretStr | None = Field(
        default=None,
        min_length=16,
        description="Decides, with a video's SHA-256, which of its frames are scored. Unset: evenly spread ones.",
    )
    sampling_secret_file: Path | None = Field(
        default=None, description="File with that secret, in its place; an empty file is none."
    )
    provenance: bool = Field(
        default=True,
        description="Whether results tell what a file says of itself: C2PA manifests and metadata.",
    )
    timeout_s: float = Field(default=60.0, gt=0, description="Deadline of one detection, in seconds.")
    tls_ca_file: Path | None = Field(
        default=None,
        description="PEM file of the authority that vouches for Triton. Set: the gRPC link is encrypted and no other "
        "server is talked to.",
    )
    tls_cert_file: Path | None = Field(
        default=None, description="PEM certificate that the client shows Triton, where Triton asks for one."
    )
    tls_key_file: Path | None = Field(default=None, description="PEM private key of that certificate.")
    tls_server_name: str = Field(
        default="", description="Name in Triton's certificate, where it is not the host of its address."
    )

    @field_validator("preprocess_url")
    @classmethod
    def _check_preprocess_url(cls, value: str) -> str:
        try:
            return value and str(parse_target(value))
        except ConfigurationError as error:
            raise ValueError(str(error)) from error

    @property
    def face_rules(self) -> FaceRules:
        """Which faces are scored."""
        return FaceRules(self.faces, self.min_face_px, self.max_faces)

    @model_validator(mode="before")
    @classmethod
    def _read_secret(cls, values: dict[str, Any]) -> dict[str, Any]:
        path = values.get("sampling_secret_file")
        if not path or values.get("sampling_secret"):
            return values
        try:
            return {**values, "sampling_secret": Path(path).read_text("utf-8").strip() or None}
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(f"SAMPLING_SECRET_FILE {path} cannot be read: {error}") from error

    @model_validator(mode="after")
    def _complete_tls(self) -> "ClientSettings":
        if (self.tls_cert_file is None) != (self.tls_key_file is None):
            raise ValueError("TLS_CERT_FILE and TLS_KEY_FILE must be set together")
        if self.tls_ca_file is None and (self.tls_cert_file is not None or self.tls_server_name):
            raise ValueError("TLS_CERT_FILE and TLS_SERVER_NAME say nothing without TLS_CA_FILE, which switches TLS on")
        return self
