"""The pages for people: `/`, the API reference at `/docs`, and the static files of both."""

import mimetypes
from importlib.resources import files
from pathlib import Path

from flask import Blueprint, Response, render_template, request, send_from_directory
from werkzeug.exceptions import NotFound

from deepfake_client.media import SUFFIXES, MediaType, titles
from gateway.access.browsers import PAGE_POLICY
from gateway.settings import GatewaySettings

_TYPED_POLICY = f"{PAGE_POLICY}; require-trusted-types-for 'script'; trusted-types 'none'"
"""For pages whose scripts are all ours: none of them turns text into HTML or code."""

_VENDORED = {"swagger-ui.css": "css/swagger-ui.css", "swagger-ui-bundle.js": "js/swagger-ui-bundle.js"}
_VENDOR_MAX_AGE_S = 24 * 3600

mimetypes.add_type("text/javascript", ".js")  # Python and systems differ here


def pages(settings: GatewaySettings) -> Blueprint:
    """The routes of the pages."""
    blueprint = Blueprint(
        "pages", __name__, static_folder="static", static_url_path="/static", template_folder="templates"
    )

    @blueprint.get("/")
    def show_page() -> Response:
        """The page on which a file is analysed."""
        accepted = settings.accepted_formats.split(",")
        text = render_template(
            "page.html",
            max_body_bytes=settings.max_body_bytes,
            max_image_bytes=settings.max_frame_bytes,
            suffixes=",".join(SUFFIXES),
            images=titles(MediaType.IMAGE, accepted),
            videos=titles(MediaType.VIDEO, accepted),
            needs_key=settings.api_keys_file is not None,
        )
        return html_page(text, _TYPED_POLICY)

    @blueprint.get("/docs")
    def show_docs() -> Response:
        """The API reference: Swagger UI over /openapi.json."""
        return html_page(render_template("docs.html"), PAGE_POLICY)

    @blueprint.get("/static/swagger-ui/<name>")
    def send_vendored(name: str) -> Response:
        """A file of Swagger UI, out of the package that bundles it."""
        if name not in _VENDORED:
            raise NotFound
        # Not imported: the package's own module builds a page that needs inline scripts.
        folder = Path(str(files("flask_openapi3_swagger"))) / "templates" / "swagger"
        return send_from_directory(folder, _VENDORED[name], max_age=_VENDOR_MAX_AGE_S)

    return blueprint


def html_page(text: str, policy: str) -> Response:
    """An answer that browsers keep, and ask about each time.

    Args:
        text: The document.
        policy: Its Content-Security-Policy.
    """
    response = Response(text, mimetype="text/html")
    response.headers["Content-Security-Policy"] = policy
    response.headers["Cache-Control"] = "no-cache"
    response.add_etag()
    response.make_conditional(request)
    return response
