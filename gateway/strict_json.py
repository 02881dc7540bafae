"""JSON: what goes out is by the standard, without NaN and Infinity; what comes in may be what Python's reader takes."""

import json
from typing import Any

from flask import Flask, Request
from flask.json.provider import DefaultJSONProvider
from werkzeug.exceptions import RequestEntityTooLarge

from gateway.errors import ApiError


class StrictJSONProvider(DefaultJSONProvider):
    """Writes keys in the order given, and fails rather than write a number that JSON does not know."""

    sort_keys = False
    ensure_ascii = False

    def dumps(self, obj: Any, **kwargs: Any) -> str:
        """Serialises to JSON text.

        Raises:
            ValueError: There is a NaN or an infinity in it.
        """
        return super().dumps(obj, **{**kwargs, "allow_nan": False})


class StrictRequest(Request):
    """Reads JSON bodies as Flask does, and names what is wrong with them.

    Callers of the service that this one replaces may send what is no JSON where nobody looks: a byte order mark, half
    a surrogate pair or NaN in the metadata.
    """

    def get_json(self, force: bool = False, silent: bool = False, cache: bool = True) -> Any:  # noqa: ARG002
        """The body, which must be a JSON object. The arguments are there for callers inside libraries.

        Raises:
            ApiError: It is not.
            RequestEntityTooLarge: It is over the limit of this request.
        """
        data = self.get_data()
        # Werkzeug cuts a body of unknown length off at the limit where it should refuse it.
        limit = self.max_content_length
        if self.content_length is None and limit is not None and len(data) >= limit:
            raise RequestEntityTooLarge
        try:
            body = json.loads(data)
        except (ValueError, RecursionError) as error:
            raise ApiError("INVALID_JSON", f"The body is no valid JSON: {error}.") from None
        if not isinstance(body, dict):
            raise ApiError("INVALID_JSON", "The body must be a JSON object.")
        return body


def use_strict_json(app: Flask, *, indent: bool) -> None:
    """Makes an application read and write strict JSON."""
    provider = StrictJSONProvider(app)
    provider.compact = not indent
    app.json = provider
    app.request_class = StrictRequest
