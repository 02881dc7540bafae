"""One of several servers, and what a balancer knows of it."""

import threading
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from deepfake_client.errors import ServiceError
from deepfake_client.release import ModelInfo

_INFO_FRESH_S = 30.0
"""How old a description may be: a server can be restarted on another release between two requests."""

FIRST_REST_S = 0.25
LONGEST_REST_S = 5.0


class Endpoint(Protocol):
    """What a balancer needs of a server."""

    url: str

    def read_info(self, timeout_s: float) -> ModelInfo:
        """Description of the served release."""

    def close(self) -> None:
        """Frees the connection."""


E = TypeVar("E", bound=Endpoint)


@dataclass
class Member(Generic[E]):
    """A server and what is known of it. `describing` guards what follows it, the balancer's lock the rest."""

    endpoint: E
    info: ModelInfo | None = None
    described_at: float = 0.0
    in_flight: int = 0
    sent: int = 0
    failures: int = 0
    scores_fail: bool = False
    rests_until: float = 0.0
    describing: threading.Lock = field(default_factory=threading.Lock)
    asked: int = 0
    last_error: ServiceError | None = None
    gone: bool = False

    def rest_s(self, now: float) -> float:
        """How long the server should be left alone: after a failure, one request at a time finds out if it is back."""
        if self.failures and self.in_flight:
            return LONGEST_REST_S
        return max(self.rests_until - now, 0.0)

    def may_serve(self, release_id: str | None, now: float) -> bool:
        """Whether it is not known, or no longer, to serve another release than the wanted one."""
        info = self.known(now)
        return info is None or release_id in (None, info.release_id)

    def known(self, now: float) -> ModelInfo | None:
        """Its description, unless that is too old."""
        return self.info if now - self.described_at < _INFO_FRESH_S else None

    def serves_another(self, release_id: str | None, now: float) -> bool:
        """Whether it works and is known to serve another release than the wanted one."""
        if release_id is None or self.info is None:
            return False
        return self.info.release_id != release_id and self.rest_s(now) == 0
