"""API keys: who may use the gateway. `python -m gateway.new_key NAME` makes one; a file holds their hashes.

A key is 256 random bits behind the prefix `dfk_`, never words that a person chose, and what has not this form is
refused unread. So one SHA-256 is enough to keep them by: nobody guesses 256 random bits, and a slow hash such as scrypt
would only make every request dear. Whoever reads the file learns the clients' names and no key. Whoever may write it
can let clients in, so it is refused where others may.
"""

import hashlib
import hmac
import logging
import os
import re
import secrets
import stat
import threading
from pathlib import Path

from flask import Flask, g, request

from gateway.errors import ApiError

_LOG = logging.getLogger("gateway")

KEY = re.compile(r"dfk_[A-Za-z0-9_-]{43}")
NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
_LINE = re.compile(rf"({NAME.pattern}):([0-9a-f]{{64}})")

_OPEN = {"operation", "pages"}
"""Blueprints that need no key: load balancers ask for health without one, the page asks its reader for it, and the card
tells whom it may concern what they are judged by. Everything else needs one, a route that is added later included."""

_OPEN_ENDPOINTS = {"openapi", None}
"""None: no such route, which needs no key to be told."""

_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="deepfake-detection"'}


class KeyFileError(Exception):
    """The file of keys cannot be used; `str()` says why and what to do, and holds nothing of its content."""


def new_key() -> str:
    """A key that nobody has had before."""
    return "dfk_" + secrets.token_urlsafe(32)


def key_line(name: str, key: str) -> str:
    """The line of the file that lets a key in."""
    return f"{name}:{_digest(key).hex()}"


class ApiKeys:
    """The keys that are valid now: the file is read again when it has changed. Thread-safe."""

    def __init__(self, path: Path) -> None:
        """Reads the file.

        Raises:
            KeyFileError: It cannot be read, others own it or may write it, or it has lines that are no keys.
        """
        self._path = path
        self._lock = threading.Lock()
        self._version: tuple[int, ...] | None = None
        self._owners: list[tuple[bytes, str]] = []
        bad_lines = self._refresh()
        if bad_lines:
            raise KeyFileError(f"API_KEYS_FILE {path}: line {bad_lines[0]} is not NAME:HASH of gateway.new_key")
        _LOG.info("%d API keys in %s", len(self._owners), path)

    def owner(self, key: str) -> str | None:
        """The name that a key belongs to now, None if to nobody. Takes the same time for every key of the right form.

        Raises:
            KeyFileError: The file cannot be read any more, so that nobody knows.
        """
        with self._lock:
            for number in self._refresh():
                _LOG.error("API_KEYS_FILE: line %d is no key and was left out", number)
            owners = self._owners
        if not KEY.fullmatch(key):
            return None
        digest = _digest(key)
        # A name may stand there twice, so that its key can be replaced.
        matches = [name for known, name in owners if hmac.compare_digest(digest, known)]
        return matches[0] if matches else None

    def _refresh(self) -> list[int]:
        """Reads the file if it has changed; the numbers of the lines in it that are no keys."""
        bad_lines: list[int] = []
        try:
            status = self._path.stat()
            version = status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
            if version != self._version:
                self._version = None  # if it cannot be read, the old keys are not to stay in force
                self._owners, bad_lines = _read(self._path)
                self._version = version
        except OSError as error:
            raise KeyFileError(f"API_KEYS_FILE {self._path}: {error.strerror}") from error
        return bad_lines


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()


def _read(path: Path) -> tuple[list[tuple[bytes, str]], list[int]]:
    """Digest and name of each key, and the numbers of the lines that are none."""
    with path.open("rb") as file:
        status = os.fstat(file.fileno())
        mode = status.st_mode
        if not stat.S_ISREG(mode):
            raise KeyFileError(f"API_KEYS_FILE {path}: no regular file")
        if status.st_uid not in (0, os.geteuid()):
            raise KeyFileError(
                f"API_KEYS_FILE {path}: user {status.st_uid} owns it and may let anyone in; chown it to root or user "
                f"{os.geteuid()}, as whom the gateway runs"
            )
        if mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise KeyFileError(f"API_KEYS_FILE {path}: others may write it and so let themselves in; chmod go-w")
        if mode & stat.S_IROTH:
            _LOG.warning("API_KEYS_FILE may be read by everyone, who learn the clients' names; chmod o-r")
        content = file.read()
    owners, bad_lines = [], []
    for number, line in enumerate(content.decode("utf-8", "replace").splitlines(), 1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        if match := _LINE.fullmatch(text):
            owners.append((bytes.fromhex(match.group(2)), match.group(1)))
        else:
            bad_lines.append(number)
    return owners, bad_lines


def require_api_key(app: Flask, keys: ApiKeys) -> None:
    """Refuses all requests of an application without a key, but for its open routes, before their bodies are read."""

    @app.before_request
    def check() -> None:
        # Browsers ask what they may send (OPTIONS) without the key.
        if request.method == "OPTIONS" or request.blueprint in _OPEN or request.endpoint in _OPEN_ENDPOINTS:
            return
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        key = token.strip() if scheme.lower() == "bearer" else request.headers.get("X-API-Key", "").strip()
        if not key:
            raise ApiError(
                "API_KEY_REQUIRED",
                "Send your API key as `Authorization: Bearer KEY` or `X-API-Key: KEY`.",
                headers=_CHALLENGE,
            )
        try:
            owner = keys.owner(key)
        except KeyFileError as error:
            _LOG.error("nobody can be let in: %s", error)
            raise ApiError("KEYS_UNAVAILABLE") from error
        if owner is None:
            raise ApiError(
                "API_KEY_INVALID",
                "The API key is not valid: mistyped, or taken out of use. Ask whoever runs the service.",
                headers=_CHALLENGE,
            )
        g.client = owner
