"""Settings of the gateway: command line over environment over defaults, read once into a frozen object."""

from pathlib import Path
from typing import Self

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

_MIB = 2**20


class GatewaySettings(BaseSettings):
    """Every setting of the gateway. The environment variable is the field's name in upper case, without a prefix."""

    model_config = SettingsConfigDict(
        frozen=True,
        extra="forbid",
        env_ignore_empty=True,
        cli_prog_name="python -m gateway",
        cli_kebab_case=True,
        cli_hide_none_type=True,
    )

    host: str = Field(default="127.0.0.1", description="Address the gateway listens on.")
    port: int = Field(default=5000, ge=1, le=65535, description="Port the gateway listens on.")
    media_root: Path = Field(
        default=Path("media"), description="Folder below which every path of `extractedFrames` must lie."
    )
    triton_url: str = Field(
        default="127.0.0.1:8001", pattern=r"^[^/\s]+:\d+$", description="host:port of Triton's gRPC endpoint."
    )
    triton_outage_wait_s: float = Field(
        default=8.0, ge=0, description="How long a request waits for a Triton that is away, before its 503."
    )
    flask_env: str = Field(
        default="production",
        description="`development` logs at debug level and indents JSON; any other value is production. "
        "It never switches a debugger on.",
    )
    request_deadline_s: float = Field(
        default=25.0, gt=0, description="Time limit of one request in seconds; past it the answer is 504."
    )
    max_body_bytes: int = Field(default=200 * _MIB, ge=1, description="Largest body of POST /detect.")
    max_json_bytes: int = Field(default=4 * _MIB, ge=1, description="Largest body of POST /api/v1/inference.")
    max_listed_frames: int = Field(default=10_000, ge=1, description="Most paths in one `extractedFrames`.")
    max_frame_bytes: int = Field(
        default=64 * _MIB, ge=1, description="Largest frame file, and largest image sent to /detect."
    )
    max_total_frame_bytes: int = Field(
        default=256 * _MIB, ge=1, description="Most bytes that the scored frame files of one request hold together."
    )
    gateway_workers: int = Field(default=2, ge=1, description="Number of worker processes.")
    gateway_threads: int = Field(default=16, ge=3, description="Threads of each worker process.")
    max_in_flight: int = Field(
        default=6,
        ge=1,
        description="Detections that one worker works on at a time; more are refused with 503.",
    )
    max_video_decodes: int = Field(
        default=2,
        ge=1,
        description="Videos of POST /detect that one worker works on at a time, for their memory. As many wait for "
        "up to half of their time; more are refused with 503.",
    )
    max_body_readers: int = Field(
        default=8,
        ge=1,
        description="Request bodies that one worker reads at a time. With MAX_IN_FLIGHT less than GATEWAY_THREADS, so "
        "that threads are left to answer /health and the refusals.",
    )
    retry_after_s: int = Field(default=1, ge=1, description="Seconds in the Retry-After header of such a refusal.")
    health_fresh_s: float = Field(
        default=10.0, ge=0, description="How long a successful inference counts as proof of health, in seconds."
    )
    canary_timeout_s: float = Field(
        default=3.5,
        gt=0,
        lt=5,
        description="Time limit of the inference that /health runs without such a proof, in seconds; callers wait 5.",
    )
    score_cache_frames: int = Field(
        default=20_000,
        ge=0,
        description="Frames whose scores each worker remembers, so that identical ones are scored once; 0: none. "
        "Each takes 0.8 KB; images are not kept.",
    )

    @model_validator(mode="after")
    def _leave_threads_for_health(self) -> Self:
        if self.max_in_flight + self.max_body_readers >= self.gateway_threads:
            raise ValueError(
                "MAX_IN_FLIGHT and MAX_BODY_READERS together must be less than GATEWAY_THREADS: /health needs a thread"
            )
        return self

    @property
    def development(self) -> bool:
        """Whether FLASK_ENV asks for debug logs and indented JSON."""
        return self.flask_env == "development"
