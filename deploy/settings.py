"""Settings of every deployment: command line over environment over defaults, read once at the start."""

from dataclasses import replace
from pathlib import Path
from typing import Literal, Self

from pydantic import AliasChoices, Field, model_validator
from pydantic_settings import SettingsConfigDict

from assets import default_cache_dir
from deepfake_client.environment import PrefixedSettings
from deepfake_client.release import FakeWhen
from deploy.triton.addresses import GrpcTls, ServerAddresses
from preprocessing import PreprocessParams

_HOST = r"^[^:/\s]+$"
_IPV6 = r"^[0-9A-Fa-f:.]+$"


class DeploySettings(PrefixedSettings):
    """What is served, where, and how."""

    model_config = SettingsConfigDict(populate_by_name=True)

    host: str = Field(
        default="127.0.0.1",
        pattern=f"{_HOST}|{_IPV6}",
        description="Address the gateway listens on: a name or an IP address. `0.0.0.0`: all of IPv4; `::`: all.",
    )
    port: int = Field(default=5000, ge=1, le=65535, validation_alias="port", description="Port of the HTTP gateway.")
    triton_host: str = Field(
        default="127.0.0.1",
        pattern=_HOST,
        description="Address Triton listens on: loopback or a private network, since whoever reaches it may use it.",
    )
    triton_http_port: int = Field(
        default=0,
        ge=0,
        le=65535,
        description="Triton's HTTP port, such as 8000; 0: none. Nothing here needs it, and one bad request there ends "
        "the Triton of the wheel.",
    )
    triton_grpc_port: int = Field(default=8001, ge=1, le=65535, description="Triton's gRPC port.")
    triton_metrics_port: int = Field(default=8002, ge=1, le=65535, description="Triton's metrics port.")
    preprocess_servers: int = Field(
        default=0,
        ge=0,
        le=16,
        description="Further Tritons that only preprocess, whom the gateway asks for pixels (docs/deploy.md); 0: none.",
    )
    preprocess_grpc_port: int = Field(
        default=8011,
        ge=1,
        le=65535 - 31,
        description="gRPC port of the first of them. The next one is its metrics port, and so on.",
    )
    triton_tls_cert_file: Path | None = Field(
        default=None,
        description="PEM certificate chain of Triton: with the key its gRPC port is encrypted, and its HTTP port, "
        "which cannot be, on loopback only. DEEPFAKE_CLIENT_TLS_CA_FILE must name who vouches for it, and "
        "DEEPFAKE_CLIENT_TLS_SERVER_NAME the name in it unless that is 127.0.0.1.",
    )
    triton_tls_key_file: Path | None = Field(
        default=None, description="PEM private key of DEEPFAKE_TRITON_TLS_CERT_FILE."
    )
    triton_tls_client_ca_file: Path | None = Field(
        default=None,
        description="PEM file of the authority whose certificates Triton's clients must show; unset: they need none.",
    )
    checkpoint: str | None = Field(
        default=None,
        validation_alias=AliasChoices("checkpoint", "CHECKPOINT", "model_path", "MODEL_PATH"),
        description="Hub id or directory of the model; several, separated by commas, are fused. Unset: the default "
        "model, or the embedded one where the hub cannot be reached.",
    )
    revision: str | None = Field(default=None, description="Branch, tag or commit of the hub repository.")
    whole_image: str = Field(
        default="",
        description="Those of several models, separated by commas, that are given the whole image, not the face.",
    )
    fake_labels: str = Field(
        default="", description="Names of the fake classes, separated by commas, where a model's labels do not say."
    )
    fake_when: FakeWhen | None = Field(
        default=None, description="Whether the single output of a model without classes is high or low for fakes."
    )
    allow_flat_scores: bool = Field(
        default=False, description="Take a model that says nearly the same of every picture."
    )
    precision: Literal["auto", "fp32", "bf16", "fp16", "int8"] = Field(
        default="auto",
        description="Numeric format of the classifier: fp32 is the reference, auto the fastest that passes the gate on "
        "this machine.",
    )
    embedded_fallback: bool = Field(
        default=True, description="Serve the embedded checkpoint where the default model's hub cannot be reached."
    )
    face_detection: bool = Field(default=True, description="Crop each frame to its faces.")
    face_detector: Literal["direct", "mediapipe"] = Field(
        default="direct",
        description="What runs the face models: OpenVINO, or MediaPipe, slower.",
    )
    pipeline_pixels: bool = Field(
        default=False, description="Ignore colour profiles and transparency, as transformers' image pipelines do."
    )
    max_image_bytes: int = Field(
        default=PreprocessParams.max_bytes, ge=1, description="Largest encoded image that Triton accepts."
    )
    max_image_pixels: int = Field(
        default=PreprocessParams.max_pixels, ge=1, description="Largest width x height of an image, from its header."
    )
    media_root: Path = Field(
        default=Path("media"),
        validation_alias="media_root",
        description="Folder below which extractedFrames are read; made if it is the default.",
    )
    releases_dir: Path = Field(default=Path("releases"), description="Where exported releases are kept.")
    cache_dir: Path = Field(
        default_factory=default_cache_dir,
        validation_alias=AliasChoices("cache_dir", "DEEPFAKE_CACHE_DIR"),
        description="Face models, logs and run state.",
    )
    instances: int = Field(
        default=0, ge=0, description="Instances of preprocess; 0: one per core, at most 8 and what fits."
    )
    otel_exporter_otlp_endpoint: str = Field(
        default="",
        validation_alias="otel_exporter_otlp_endpoint",
        pattern=r"^(https?://\S+)?$",
        description="Base URL of an OTLP/HTTP collector for traces, such as `http://127.0.0.1:4318`; none without one.",
    )
    canary_interval_s: float = Field(default=5.0, gt=0, description="Pause between canary inferences.")
    start_timeout_s: float = Field(
        default=180.0, gt=0, description="How long Triton and the gateway may take to start."
    )

    @model_validator(mode="after")
    def _complete_tls(self) -> Self:
        GrpcTls.from_files(self.triton_tls_cert_file, self.triton_tls_key_file, self.triton_tls_client_ca_file)
        return self

    @property
    def triton_addresses(self) -> ServerAddresses:
        """Where Triton listens."""
        tls = GrpcTls.from_files(self.triton_tls_cert_file, self.triton_tls_key_file, self.triton_tls_client_ca_file)
        return ServerAddresses(
            self.triton_host, self.triton_http_port, self.triton_grpc_port, self.triton_metrics_port, tls
        )

    @property
    def preprocess_addresses(self) -> tuple[ServerAddresses, ...]:
        """Where the servers listen that only preprocess."""
        ports = range(self.preprocess_grpc_port, self.preprocess_grpc_port + 2 * self.preprocess_servers, 2)
        one = self.triton_addresses
        return tuple(replace(one, http_port=0, grpc_port=port, metrics_port=port + 1) for port in ports)

    @property
    def preprocess_url(self) -> str:
        """Where clients of this machine find them; "" for none."""
        return ",".join(one.grpc_url for one in self.preprocess_addresses)

    @property
    def run_dir(self) -> Path:
        """Where run state is kept."""
        return self.cache_dir / "run"

    @property
    def proof(self) -> Path:
        """A file that exists once Triton has proved its release: the container's health check is another process."""
        return self.run_dir / f"proved-{self.triton_grpc_port}"

    @property
    def logs(self) -> Path:
        """Where the servers' output goes: a folder for each address."""
        host = "" if self.host == DeploySettings.model_fields["host"].default else f"{self.host.replace(':', '_')}-"
        return self.run_dir / f"logs-{host}{self.port}"

    @property
    def gateway_url(self) -> str:
        """Base URL of the gateway, as clients on this machine reach it."""
        host = "127.0.0.1" if self.host in ("0.0.0.0", "::") else self.host
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"
