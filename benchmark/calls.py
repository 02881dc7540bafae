"""Single calls of an HTTP service, without a library between the clock and the socket."""

import json
import urllib.error
import urllib.request
from collections.abc import Sequence
from typing import Any

_TIMEOUT_S = 120.0
_BOUNDARY = "deepfake-bench-boundary"
# Without the machine's proxy settings, which are not meant for this machine's own services.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class CallError(Exception):
    """A service answered with an error, or not at all."""


def score_frames(url: str, frames: Sequence[str], media_type: str = "VIDEO") -> dict[str, Any]:
    """Has listed frames scored: POST /api/v1/inference.

    Args:
        url: Base URL.
        frames: Paths below the service's media root.
        media_type: `VIDEO` or `IMAGE`.

    Raises:
        CallError: It failed.
    """
    body = json.dumps({"mediaType": media_type, "extractedFrames": list(frames)}).encode()
    return _post(f"{url}/api/v1/inference", body, "application/json")


def score_image(url: str, route: str, image: bytes) -> dict[str, Any]:
    """Has one image scored.

    Args:
        url: Base URL.
        route: `/detect` takes a form, any other the bytes.
        image: An encoded image.

    Raises:
        CallError: It failed.
    """
    body, content_type = image_body(route, image)
    return _post(url + route, body, content_type)


def image_body(route: str, image: bytes) -> tuple[bytes, str]:
    """The body of a request for one image, and its content type."""
    if route != "/detect":
        return image, "application/octet-stream"
    head = f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="frame.jpg"\r\n'
    body = head.encode() + b"Content-Type: image/jpeg\r\n\r\n" + image + f"\r\n--{_BOUNDARY}--\r\n".encode()
    return body, f"multipart/form-data; boundary={_BOUNDARY}"


def _post(url: str, body: bytes, content_type: str) -> dict[str, Any]:
    request = urllib.request.Request(url, body, {"Content-Type": content_type})
    try:
        with _OPENER.open(request, timeout=_TIMEOUT_S) as answer:
            found = json.loads(answer.read())
    except urllib.error.HTTPError as error:
        raise CallError(f"{url}: {error.code} {error.read()[:300].decode(errors='replace')}") from error
    except (OSError, ValueError) as error:
        raise CallError(f"{url}: {error}") from error
    if not isinstance(found, dict):
        raise CallError(f"{url} answered {found!r:.200}")
    return found
