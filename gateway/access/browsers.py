"""What browsers may do: with an answer, next to nothing for data and little for a page; and from other origins."""

from flask import Flask, Response
from flask_cors import CORS

PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
    "form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)
"""Content-Security-Policy of every HTML answer: nothing inline, nothing evaluated, nothing from elsewhere."""

DATA_POLICY = "default-src 'none'; frame-ancestors 'none'"
"""The same of everything else, should a browser be made to show it as a document."""

_EVERYWHERE = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_ON_PAGES = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Permissions-Policy": "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
    "X-Frame-Options": "DENY",
}


def add_security_headers(app: Flask) -> None:
    """Sets the headers on all answers of an application; a view's own Content-Security-Policy is kept."""

    @app.after_request
    def add(response: Response) -> Response:
        is_page = response.mimetype == "text/html"
        response.headers.setdefault("Content-Security-Policy", PAGE_POLICY if is_page else DATA_POLICY)
        response.headers.update(_EVERYWHERE)
        if is_page:
            response.headers.update(_ON_PAGES)
        return response


def allow_origins(app: Flask, origins: str) -> None:
    """Lets pages of these origins call the API.

    No cookies are involved: a page has to send the API key itself, so credentials stay off.

    Args:
        app: The application.
        origins: Separated by commas; without `*` and other marks that the library would read as a pattern.
    """
    if origins:
        CORS(
            app,
            origins=origins.split(","),
            methods=["GET", "POST"],
            allow_headers=["Authorization", "Content-Type", "X-API-Key", "X-Request-ID"],
            expose_headers=["Retry-After", "WWW-Authenticate", "X-Request-ID"],
            max_age=600,
        )
