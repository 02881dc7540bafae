"""What POST /detect is sent: a form, the file itself, or JSON that holds it."""

import base64
import contextlib
import io
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from tempfile import SpooledTemporaryFile
from typing import Any, BinaryIO, cast

from flask import request
from pydantic import ValidationError
from werkzeug.datastructures import CombinedMultiDict, MultiDict
from werkzeug.sansio.multipart import Data, Epilogue, Field, File, MultipartDecoder, NeedData

from deepfake_client.plain_text import excerpt
from gateway.errors import ApiError
from gateway.routes.schemas import DetectOptions, describe_violations
from gateway.settings import GatewaySettings

_MAX_FORM_PARTS = 16  # one with every option has eleven
_MAX_OPTION_BYTES = 4000  # a note of 1000 characters
_FILE_NAME_CHARACTERS = 255
_HELD_BYTES = 500_000
"""What of an upload is held in memory, not in a file; and what of a form is searched for the end of a part's head."""

_BLOCK_BYTES = 2**16
_URL_SAFE = bytes.maketrans(b"-_", b"+/")


@dataclass(frozen=True)
class Upload:
    """What was sent.

    Attributes:
        file: The image or video.
        file_name: Its bare name, printable; "upload" if the caller names none.
        options: What is asked of it.
    """

    file: BinaryIO
    file_name: str
    options: DetectOptions


@contextlib.contextmanager
def read_upload(settings: GatewaySettings) -> Iterator[Upload]:
    """The current request's file, closed afterwards, and what is asked of it.

    Raises:
        ApiError: The body has none of the forms, or lacks the file.
        RequestEntityTooLarge: It is over the limit.
    """
    request.max_content_length = settings.max_body_bytes
    kind = request.mimetype
    fields: Mapping[str, Any] = {}
    file_name = ""
    with contextlib.ExitStack() as stack:
        if kind == "multipart/form-data":
            file, file_name, fields = _read_form(stack)
        elif kind == "application/json":
            request.max_content_length = min(settings.max_body_bytes, settings.max_frame_bytes)  # it is held in memory
            fields = request.get_json()
            file = io.BytesIO(_decoded(fields.get("file")))
        elif kind.startswith(("image/", "video/")) or kind == "application/octet-stream":
            shutil.copyfileobj(request.stream, file := _spool(stack), _BLOCK_BYTES)
        else:
            raise ApiError(
                "WRONG_CONTENT_TYPE",
                "Send a form with the field file (Content-Type: multipart/form-data), the image or video itself "
                "(image/*, video/* or application/octet-stream), or JSON with the file in base64 (application/json).",
            )
        yield Upload(file, _bare(file_name) or "upload", _options(fields))


def _options(fields: Mapping[str, Any]) -> DetectOptions:
    """From the body, or else from the URL's query."""
    sent = CombinedMultiDict([MultiDict(fields), request.args])
    include = [value for value in sent.getlist("include") if value not in ("", None)]
    try:
        texts = {name: sent.get(name) or "" for name in ("case_number", "note")}
        return DetectOptions(type=sent.get("type") or None, include=include, **texts)
    except ValidationError as error:
        raise ApiError("MALFORMED_REQUEST", describe_violations(error)) from None


def _bare(file_name: str) -> str:
    return excerpt(file_name.replace("\\", "/").rpartition("/")[2], _FILE_NAME_CHARACTERS)


def _spool(stack: contextlib.ExitStack) -> BinaryIO:
    return cast(BinaryIO, stack.enter_context(SpooledTemporaryFile(_HELD_BYTES)))


def _read_form(stack: contextlib.ExitStack) -> tuple[BinaryIO, str, MultiDict[str, str]]:
    """The file, its name, and the other fields.

    Not by werkzeug's own loop: that takes a part without a file name for text, and many HTTP libraries send files so.
    """
    file: BinaryIO | None = None
    file_name = ""
    options: list[tuple[str, io.BytesIO]] = []
    content: BinaryIO | None = None  # of the part that is being read; None: nobody wants it
    parts = 0
    for event in _form_events():
        if isinstance(event, Data):
            if content is not None:
                content.write(event.data)
            if isinstance(content, io.BytesIO) and content.tell() > _MAX_OPTION_BYTES:
                raise ApiError("MALFORMED_REQUEST", f"{options[-1][0]}: the value is too long.")
            continue
        parts += 1
        if parts > _MAX_FORM_PARTS:
            raise ApiError(
                "BODY_TOO_LARGE", f"The form has more than {_MAX_FORM_PARTS} parts; the file alone is enough."
            )
        if event.name in DetectOptions.model_fields:
            options.append((event.name, content := io.BytesIO()))
        elif event.name != "file":
            content = None
        elif file is not None:
            raise ApiError("MALFORMED_REQUEST", "file: there are several; send one file in each request.")
        else:
            file = content = _spool(stack)
            file_name = event.filename if isinstance(event, File) else ""
    if file is None:
        raise ApiError("NO_FILE", "file: the form has no such field; send the image or video in it.")
    return file, file_name, MultiDict((name, value.getvalue().decode("utf-8", "replace")) for name, value in options)


def _form_events() -> Iterator[Field | File | Data]:
    """The heads of the form's parts, and their contents in pieces."""
    boundary = request.mimetype_params.get("boundary", "")
    try:
        decoder = MultipartDecoder(boundary.encode("ascii"), _HELD_BYTES)
        while boundary:
            decoder.receive_data(request.stream.read(_BLOCK_BYTES) or None)
            while not isinstance(event := decoder.next_event(), NeedData):
                if isinstance(event, Epilogue):
                    return
                if isinstance(event, Field | File | Data):
                    yield event
    except ValueError:
        boundary = ""
    if not boundary:
        raise ApiError(
            "NO_FILE",
            "file: the form cannot be read: it is cut off, or Content-Type has no boundary or another one. Let the "
            "HTTP library set this header.",
        )


def _decoded(text: object) -> bytes:
    """The file that a JSON body holds."""
    if not isinstance(text, str):
        raise ApiError("NO_FILE", "file: there is none; send the image or video as text in base64, or as a data: URL.")
    head, _, encoded = text.rpartition(",")
    try:
        if head and not (head.startswith("data:") and head.endswith(";base64")):
            raise ValueError
        plain = encoded.encode("ascii").translate(_URL_SAFE, b" \t\r\n")
        return base64.b64decode(plain + b"=" * (-len(plain) % 4), validate=True)
    except ValueError:
        raise ApiError(
            "MALFORMED_REQUEST", "file: this is neither base64 nor a data: URL with base64 (data:TYPE;base64,...)."
        ) from None
