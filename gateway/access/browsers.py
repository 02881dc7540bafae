"""What browsers may do: with an answer, next to nothing for data and little for a page; and from where."""

import re

from flask import Flask, Response, request
from flask_cors import CORS
from werkzeug.sansio.utils import host_is_trusted

from gateway.errors import ApiError

PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; media-src blob:; "
    "connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)
"""Content-Security-Policy of every HTML answer: nothing inline, nothing evaluated, nothing from elsewhere. Videos are
played from the user's own file only."""

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

_IP_ADDRESS = re.compile(r"([0-9.]+|\[[0-9a-f:.]+\])(:[0-9]+)?")  # no name of the DNS ends with a number


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


def allow_hosts(app: Flask, names: str) -> None:
    """Refuses requests under other names than these and localhost: a site whose name leads here could read the answers.

    IP addresses are fine: no other site has this machine's. `*` stands for every name.
    """
    trusted = ["localhost", ".localhost", *filter(None, names.lower().split(","))]
    if "*" in trusted:
        return

    @app.before_request
    def check() -> None:
        # Probes may use any name. No browser leaves the header out.
        if request.endpoint == "operation.check_health" or "Host" not in request.headers:
            return
        host = request.host.lower()
        if not host_is_trusted(host, trusted) and not _IP_ADDRESS.fullmatch(host):
            raise ApiError(
                "HOST_NOT_ALLOWED",
                "The service does not answer under the name in the Host header. Whoever runs it may add the name to "
                "DEEPFAKE_ALLOWED_HOSTS.",
            )


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
            expose_headers=["Retry-After", "WWW-Authenticate", "X-Release-ID", "X-Request-ID"],
            max_age=600,
        )
