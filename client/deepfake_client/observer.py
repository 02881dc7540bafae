"""The seam at which an application measures and traces the requests to Triton."""

from collections.abc import Mapping
from typing import Protocol

ANSWERED = "OK"
CANCELLED = "CANCELLED"


class ObservedRequest(Protocol):
    """One gRPC request under way."""

    @property
    def metadata(self) -> Mapping[str, str]:
        """What goes with it as gRPC metadata; names in lower case."""

    def ended(self, code: str) -> None:
        """Called once.

        Args:
            code: `OK`, the `DetectionError.code` of its failure, or `CANCELLED` if nobody waited for it any more.
        """


class RequestObserver(Protocol):
    """Told of every inference request. Its methods are called in the thread that scores, and must not raise."""

    def begin(self, url: str, frames: int, request_id: str) -> ObservedRequest:
        """A request is about to be sent.

        Args:
            url: host:port of the server.
            frames: How many images it carries.
            request_id: As Triton gets it.
        """


class _Unobserved:
    metadata: Mapping[str, str] = {}

    def ended(self, code: str) -> None:
        """Nobody looks."""


class NoObserver:
    """Looks at nothing."""

    def begin(self, *_args: object, **_keywords: object) -> ObservedRequest:
        """See `RequestObserver.begin`."""
        return _UNOBSERVED


_UNOBSERVED = _Unobserved()
