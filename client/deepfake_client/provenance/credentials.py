"""C2PA manifests of a file, read by a process of its own: the library is native code that parses untrusted files."""

import importlib.util
import json
import logging
import os
import sys
from functools import cache
from typing import TYPE_CHECKING

from pydantic import ValidationError

from deepfake_client.errors import DetectionError
from deepfake_client.media import Media
from deepfake_client.provenance.model import Credentials
from deepfake_client.scorer import Deadline

if TYPE_CHECKING:
    from deepfake_client.isolation.tasks import IsolatedTasks

MAX_BYTES = 2**30
"""Of a file: all of it is hashed. It took 1 s a GiB on one core."""

_TIME_S = 5.0
_MEMORY_BYTES = 2**30
_MAX_ANSWER_BYTES = 2**18
_LOG = logging.getLogger("deepfake_client.provenance")
_TYPES = {
    "jpeg": "image/jpeg", "png": "image/png", "webp": "image/webp", "gif": "image/gif", "tiff": "image/tiff",
    "heic": "image/heic", "avif": "image/avif", "mp4": "video/mp4", "mov": "video/quicktime", "avi": "video/x-msvideo",
}  # fmt: skip


def read_credentials(media: Media, deadline: Deadline | None = None) -> Credentials:
    """The manifests of a file that holds some. Never fails: what prevents the reading is said in `not_read`.

    The process can open neither file nor connection, so nothing is fetched. Its time and memory are bounded.
    """
    if media.format.name not in _TYPES:
        return _not_read(f"C2PA manifests of {media.format.name} files are not read.")
    if not sys.platform.startswith("linux"):
        return _not_read("C2PA manifests are read on Linux only.")
    if importlib.util.find_spec("c2pa") is None:
        return _not_read("The package c2pa-python is missing: install deepfake-client[provenance].")
    if media.size_bytes() > MAX_BYTES:
        return _not_read(f"The file holds over {MAX_BYTES} bytes, the limit.")
    from deepfake_client.isolation.tasks import TimeUpError

    try:
        with _process().run(media.stream, {"type": _TYPES[media.format.name]}, deadline) as (code, result):
            if code != 0:
                _LOG.warning("reading C2PA manifests ended with code %d", code)
                return _not_read("The C2PA library failed on them.")
            return Credentials.model_validate(json.loads(os.pread(result, _MAX_ANSWER_BYTES, 0)))
    except TimeUpError:
        return _not_read(f"Reading them takes longer than {_TIME_S:g} s, the limit.")
    except (DetectionError, ValidationError, ValueError, OSError) as error:
        _LOG.warning("C2PA manifests were not read: %s", type(error).__name__)
        return _not_read("The process that reads them failed.")


def _not_read(why: str) -> Credentials:
    return Credentials(state=None, not_read=why)


@cache
def _process() -> "IsolatedTasks":
    from deepfake_client.isolation.tasks import IsolatedTasks

    return IsolatedTasks("deepfake_client.provenance.credentials_process", _TIME_S, _MEMORY_BYTES)
