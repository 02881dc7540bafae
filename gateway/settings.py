"""Settings of the gateway: command line over environment over defaults, read once into a frozen object."""

import re
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, ValidationInfo, field_validator, model_validator

from deepfake_client import ConfigurationError
from deepfake_client.environment import PrefixedSettings
from deepfake_client.media import FORMAT_NAMES
from deepfake_client.scores import MAX_SCORED_FRAMES
from deepfake_client.triton.target import parse_target

_MIB = 2**20
MIN_DECODE_BYTES = 256 * _MIB
"""Below this no video can be decoded."""


def _separated(pattern: str, form: str) -> AfterValidator:
    """Checks each of the values that commas separate; the refusal shows a form that is taken, never the pattern."""

    def check(value: str) -> str:
        entries = [entry.strip().removesuffix("/") for entry in value.split(",") if entry.strip()]
        for entry in entries:
            if not re.fullmatch(pattern, entry):
                raise ValueError(f"{entry!r} is no {form}")
        return ",".join(entries)

    return AfterValidator(check)


_ORIGIN = _separated(
    r"(https?|[a-z]+(-web)?-extension)://[A-Za-z0-9.-]+(:[0-9]+)?",
    "origin, such as https://app.example.com or chrome-extension://ID",
)
_HOST_NAME = _separated(r"\*|\.?[\w-]+(\.[\w-]+)*", "host name without a port, such as app.example.com")
_FORMATS = _separated("|".join(FORMAT_NAMES), f"format; there are {', '.join(FORMAT_NAMES)}")
_URL = _separated(r"https?://\S+", "URL, such as http://127.0.0.1:4318")


class GatewaySettings(PrefixedSettings):
    """Every setting of the gateway. The variables have the prefix DEEPFAKE_, except those whose alias is their name."""

    host: str = Field(default="127.0.0.1", description="Address the gateway listens on.")
    port: int = Field(default=5000, ge=1, le=65535, validation_alias="port", description="Port the gateway listens on.")
    listen_fds: tuple[int, ...] = Field(
        default=(),
        description="Listening sockets of the starting process, such as `deepfake-serve`: a JSON list of descriptors, "
        "in place of DEEPFAKE_HOST and PORT.",
    )
    media_root: Path = Field(
        default=Path("media"),
        validation_alias="media_root",
        description="Folder below which every path of `extractedFrames` must lie.",
    )
    flask_env: str = Field(
        default="production",
        validation_alias="flask_env",
        description="`development` logs at debug level and indents JSON; any other value is production.",
    )

    triton_url: str = Field(
        default="127.0.0.1:8001",
        description="host:port of Triton's gRPC endpoint, or several separated by commas; dns:///NAME:PORT stands for "
        "several servers behind one name.",
    )
    preprocess_url: str = Field(
        default="",
        description="Address of Triton servers that only preprocess, in the forms of TRITON_URL, which then only "
        "scores (docs/deploy.md). Unset: TRITON_URL does both.",
    )
    triton_outage_wait_s: float = Field(
        default=8.0, ge=0, description="How long a request waits for a Triton that is away, before its 503."
    )

    request_deadline_s: float = Field(
        default=25.0, gt=0, description="Time limit of one request in seconds; past it the answer is 504."
    )
    max_in_flight: int = Field(
        default=12, ge=1, description="Detections worked on at a time; more are refused with 503."
    )
    retry_after_s: int = Field(
        default=1, ge=1, description="Seconds in the Retry-After header of each 503 that may pass."
    )
    max_video_decodes: int = Field(
        default=4,
        ge=1,
        description="Videos of POST /detect worked on at a time, for their memory. As many wait for up to half of "
        "their time; more are refused with 503.",
    )
    video_decode_process: bool = Field(
        default=True,
        description="Whether each video is decoded in a process of its own, with the two limits below.",
    )
    video_decode_s: float = Field(
        default=20.0, gt=0, description="Time limit of decoding one video in such a process, in seconds."
    )
    video_decode_bytes: int = Field(
        default=4096 * _MIB,
        ge=MIN_DECODE_BYTES,
        description="Most memory of such a process. In a container all of them together take half of its limit at "
        "most.",
    )
    max_body_bytes: int = Field(default=200 * _MIB, ge=1, description="Largest body of POST /detect.")
    max_json_bytes: int = Field(default=4 * _MIB, ge=1, description="Largest body of POST /api/v1/inference.")
    max_listed_frames: int = Field(default=10_000, ge=1, description="Most paths in one `extractedFrames`.")
    accepted_formats: Annotated[str, _FORMATS] = Field(
        default=",".join(FORMAT_NAMES),
        min_length=1,
        description="Formats that are taken, some of the default; others get 415, and their listed frames the status "
        "UNSUPPORTED_FORMAT.",
    )
    max_frame_bytes: int = Field(
        default=64 * _MIB, ge=1, description="Largest frame file, and largest image and JSON sent to /detect."
    )
    max_total_frame_bytes: int = Field(
        default=256 * _MIB, ge=1, description="Most bytes that the scored frame files of one request hold together."
    )

    provenance: bool = Field(
        default=True,
        description="Whether POST /detect tells what a file says of itself: C2PA manifests and metadata.",
    )

    health_fresh_s: float = Field(
        default=10.0, ge=0, description="How long a successful inference counts as proof of health, in seconds."
    )
    canary_timeout_s: float = Field(
        default=3.5,
        gt=0,
        lt=5,
        description="Time limit of the inference that /health runs without such a proof, in seconds; callers wait 5.",
    )
    further_frames: int = Field(
        default=MAX_SCORED_FRAMES,
        ge=0,
        le=MAX_SCORED_FRAMES,
        description="Most further frames of a video that are scored around what stands out, for callers that ask for "
        "them; 0: none.",
    )
    score_cache_frames: int = Field(
        default=20_000,
        ge=0,
        description="Frames whose scores are remembered, for each API key by itself; 0: none. Each takes 0.8 KB; "
        "images are not kept.",
    )

    api_keys_file: Path | None = Field(
        default=None,
        description="File of API keys, one `NAME:HASH` of `python -m gateway.new_key` a line, read again when it "
        "changes. Set: /detect and /api/v1/inference want one of its keys; /health and the pages want none.",
    )
    trusted_proxies: int = Field(
        default=0,
        ge=0,
        description="Proxies in front of the gateway, each of which appends to X-Forwarded-For and X-Forwarded-Proto; "
        "0: these headers are the callers' own and not believed.",
    )
    cors_origins: Annotated[str, _ORIGIN] = Field(
        default="",
        description="Other origins whose pages may call the API from a browser, separated by commas, such as "
        "`https://app.example.com` or `chrome-extension://ID`; none by default.",
    )
    allowed_hosts: Annotated[str, _HOST_NAME] = Field(
        default="",
        description="Names of the gateway besides `localhost` and IP addresses; `.example.com` stands for those below "
        "it too, `*` for all. Requests to others are refused.",
    )

    log_format: Literal["text", "json"] = Field(
        default="text", description="`json` writes one JSON object a line, waitress's own logs included."
    )
    metrics_enabled: bool = Field(default=True, description="Whether requests are counted for GET /metrics.")
    metrics_host: str = Field(default="127.0.0.1", description="Address of DEEPFAKE_METRICS_PORT.")
    metrics_port: int = Field(
        default=0,
        ge=0,
        le=65535,
        description="Port on which `python -m gateway` serves the metrics, and nothing else. 0: /metrics on PORT, if "
        "DEEPFAKE_HOST is a loopback address.",
    )
    otel_exporter_otlp_endpoint: Annotated[str, _URL] = Field(
        default="",
        validation_alias="otel_exporter_otlp_endpoint",
        description="Base URL of an OTLP/HTTP collector for traces, such as `http://127.0.0.1:4318`; without one "
        "there are none. The SDK's other OTEL_ variables apply too.",
    )

    @field_validator("triton_url", "preprocess_url")
    @classmethod
    def _check_address(cls, value: str, field: ValidationInfo) -> str:
        try:
            if value or field.field_name == "triton_url":
                parse_target(value)
        except ConfigurationError as error:
            raise ValueError(str(error)) from error
        return value

    @model_validator(mode="after")
    def _keep_metrics_apart(self) -> Self:
        if self.metrics_port == self.port:
            raise ValueError("METRICS_PORT must differ from PORT; 0 serves /metrics on PORT if HOST is loopback")
        return self

    @property
    def development(self) -> bool:
        """Whether FLASK_ENV asks for debug logs and indented JSON."""
        return self.flask_env == "development"

    @property
    def metrics_route(self) -> bool:
        """Whether there is a /metrics among the routes: only where nobody but this machine reaches the port."""
        return self.metrics_enabled and not self.metrics_port and _is_loopback(self.host)


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
