"""Which form of an answer a caller wants."""

from flask import request


def prefers_html(other: str) -> bool:
    """Whether the Accept header prefers HTML.

    Args:
        other: Media type of the answer's other form, which is the one for callers who do not say, or want either.
    """
    accepted = request.accept_mimetypes
    return accepted["text/html"] > accepted[other]
