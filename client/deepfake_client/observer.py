"""How an application measures and traces the requests to Triton: it gives `create_detector` an observer."""

from collections.abc import Mapping
from typing import Protocol

ANSWERED = "OK"
CANCELLED = "CANCELLED"


class ObservedRequest(Protocol):
    """One gRPC request under way."""

    @property
    def metadata(self) -> Mapping[str, str]:
        """What to send with it as gRPC metadata; names in lower case."""

    def ended(self, code: str) -> None:
        """Called once.

        Args:
            code: `OK`, the `DetectionError.code` of its failure, or `CANCELLED` where the caller gave it up.
        """


class RequestObserver(Protocol):
    """Is told of every inference request. Its methods run in the thread that scores, and must not raise."""

    def begin(self, url: str, frames: int, request_id: str) -> ObservedRequest:
        """A request is about to be sent.

        Args:
            url: host:port of the server.
            frames: How many images it carries.
            request_id: As Triton gets it.
        """


class NoObserver:
    """Does nothing: the default."""

    metadata: Mapping[str, str] = {}

    def begin(self, *_args: object, **_keywords: object) -> ObservedRequest:
        """See `RequestObserver.begin`."""
        return self

    def ended(self, code: str) -> None:
        """See `ObservedRequest.ended`."""
