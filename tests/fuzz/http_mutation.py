"""Requests that a gateway must answer sensibly: odd JSON, damaged forms, damaged HTTP."""

import json
import random
from typing import Any

from hypothesis import strategies as st

from tests.fuzz.mutation import Mutator

BOUNDARY = "boundary"

_VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)
_PATHS = st.text() | st.sampled_from(
    ["../x", "/etc/passwd", "a/../../b", "\0", "good.jpg", ".", "/", "a" * 5000, "//x", "good.jpg/", "/dev/zero"]
)
_BODIES = _VALUES | st.fixed_dictionaries(
    {"mediaType": st.sampled_from(["VIDEO", "IMAGE", "AUDIO"]) | _VALUES},
    optional={
        "hash": _VALUES,
        "metadata": _VALUES,
        "extractedFrames": st.lists(_PATHS, max_size=40) | _PATHS | _VALUES,
        "extractedAudio": _PATHS | _VALUES,
        "modelVersion": st.text() | _VALUES,
        "include": st.just(["frames"]) | _VALUES,
    },
)
json_bodies: st.SearchStrategy[bytes] = _BODIES.map(lambda value: json.dumps(value).encode("ascii"))
"""Bodies of POST /api/v1/inference: valid JSON, mostly with the right keys."""

_CONTENT_TYPES = (
    f"multipart/form-data; boundary={BOUNDARY}", f"multipart/form-data; boundary={BOUNDARY}x", "multipart/form-data",
    "multipart/form-data; boundary=", f'multipart/form-data; boundary="{BOUNDARY}', "multipart/mixed; boundary=b",
    f"multipart/form-data; boundary={'b' * 5000}", "multipart/form-data; boundary=\xe9", "text/plain",
    "application/json", "application/x-www-form-urlencoded",
    f"multipart/form-data; charset=utf-7; boundary={BOUNDARY}",
    "",
)  # fmt: skip
_HEADERS = (
    ("X-Request-ID", "\xff" * 50), ("X-Request-ID", "a" * 9000), ("Accept", "*/*;q=nan"), ("Expect", "100-continue"),
    ("Content-Encoding", "gzip"), ("Range", "bytes=0-,0-,0-"), ("Cookie", "=;=;" * 500), ("If-None-Match", '"' * 500),
    ("X-Forwarded-For", "," * 500), ("Host", "a" * 500), ("Connection", "close, upgrade"),
    ("Accept-Encoding", "x" * 4000),
)  # fmt: skip


def form(content: bytes, **fields: str) -> list[bytes]:
    """A multipart form with a file, as pieces that belong together."""
    line = f"--{BOUNDARY}\r\nContent-Disposition: form-data; name="
    pieces = [f'{line}"file"; filename="upload"\r\nContent-Type: image/jpeg\r\n\r\n'.encode(), content, b"\r\n"]
    pieces += [f'{line}"{name}"\r\n\r\n{value}\r\n'.encode() for name, value in fields.items()]
    return [*pieces, f"--{BOUNDARY}--\r\n".encode()]


def content_type(rng: random.Random) -> str:
    """The right one for `form`, or not."""
    return _CONTENT_TYPES[0] if rng.random() < 0.6 else rng.choice(_CONTENT_TYPES)


def odd_headers(rng: random.Random) -> dict[str, str]:
    """Some headers that few clients send."""
    return dict(rng.sample(_HEADERS, rng.choice((0, 0, 1, 3))))


def damaged_http(content: bytes) -> Mutator:
    """Mutates whole requests, from the request line to the body, of which some hold this file."""
    body = b"".join(form(content))
    health = [b"GET /health HTTP/1.1\r\n", b"Host: localhost\r\n", b"Connection: close\r\n", b"\r\n"]
    scored = json.dumps({"mediaType": "IMAGE", "extractedFrames": "good.jpg"}).encode()
    return Mutator(
        [
            health,
            _request(b"POST /api/v1/inference", b"application/json", [scored]),
            _request(b"POST /detect", _CONTENT_TYPES[0].encode(), form(content)),
            [
                b"POST /detect HTTP/1.1\r\n", b"Host: localhost\r\n", b"Connection: close\r\n",
                b"Transfer-Encoding: chunked\r\n", b"Content-Type: " + _CONTENT_TYPES[0].encode() + b"\r\n", b"\r\n",
                f"{len(body):x}\r\n".encode(), body,
                b"\r\n", b"0\r\n\r\n",
            ],
        ]
    )  # fmt: skip


def _request(line: bytes, kind: bytes, body: list[bytes]) -> list[bytes]:
    length = str(sum(len(piece) for piece in body)).encode()
    return [
        line + b" HTTP/1.1\r\n", b"Host: localhost\r\n", b"Connection: close\r\n", b"Content-Type: " + kind + b"\r\n",
        b"Content-Length: " + length + b"\r\n", b"\r\n", *body,
    ]  # fmt: skip
