"""The pages for people: their headers, their static files, and that nothing in them needs a laxer policy."""

import re
import tomllib
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

import gateway as gateway_package
from deepfake_client.media import SUFFIXES
from gateway.access.browsers import PAGE_POLICY
from tests.gateway.conftest import Gateway

PAGES = ("/", "/docs")
STATIC = Path(gateway_package.__file__).parent / "page" / "static"
FILES = sorted(path.relative_to(STATIC).as_posix() for path in STATIC.rglob("*.*"))
STRICT = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' data: blob:",
    "media-src": "blob:",
    "connect-src": "'self'",
    "form-action": "'none'",
    "base-uri": "'none'",
    "frame-ancestors": "'none'",
}


class Markup(HTMLParser):
    """Every tag with its attributes, and text inside scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.inline = ""
        self._inside = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._inside = tag

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside in ("script", "style"):
            self.inline += data.strip()

    def addresses(self) -> list[str]:
        found = [attrs.get(name) for _, attrs in self.tags for name in ("href", "src")]
        return [address for address in found if address and not address.startswith("#")]


def fetch(gateway: Gateway, path: str, **options: Any) -> Any:
    """The answer, its file closed."""
    return gateway.http.get(path, buffered=True, **options)


def policy(header: str) -> dict[str, str]:
    return dict(part.strip().split(" ", 1) for part in header.split(";"))


@pytest.mark.parametrize("path", PAGES)
def test_pages_come_with_strict_headers(gateway: Gateway, path: str) -> None:
    response = fetch(gateway, path)
    assert response.status_code == 200
    assert response.content_type == "text/html; charset=utf-8"
    sent = policy(response.headers["Content-Security-Policy"])
    assert {name: sent[name] for name in STRICT} == STRICT
    assert set(sent) - set(STRICT) <= {"require-trusted-types-for", "trusted-types"}
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Referrer-Policy"] == "no-referrer"
    assert response.headers["X-Frame-Options"] == "DENY"
    assert response.headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert response.headers["Cross-Origin-Embedder-Policy"] == "require-corp"
    assert "camera=()" in response.headers["Permissions-Policy"]


def test_the_page_lets_no_script_make_html_of_text(gateway: Gateway) -> None:
    sent = policy(fetch(gateway, "/").headers["Content-Security-Policy"])
    assert (sent["require-trusted-types-for"], sent["trusted-types"]) == ("'script'", "'none'")


@pytest.mark.parametrize("path", ["/health", "/openapi.json", "/no-such-route", "/static/page.js", "/static/icon.svg"])
def test_answers_that_are_no_page_may_do_nothing(gateway: Gateway, path: str) -> None:
    response = fetch(gateway, path)
    assert response.headers["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Cross-Origin-Resource-Policy"] == "same-origin"


def test_errors_of_the_api_have_the_headers_too(gateway: Gateway) -> None:
    response = gateway.http.post("/detect", data="text", content_type="text/plain")
    assert response.status_code == 415
    assert response.headers["X-Content-Type-Options"] == "nosniff"


def test_other_html_comes_under_the_policy(gateway: Gateway) -> None:
    """Werkzeug answers doubled slashes with a redirect that has an HTML body."""
    response = fetch(gateway, "//docs", base_url="http://localhost")
    assert response.status_code == 308
    assert response.mimetype == "text/html"
    assert response.headers["Content-Security-Policy"] == PAGE_POLICY


@pytest.mark.parametrize("path", PAGES)
def test_pages_hold_no_inline_script_or_style(gateway: Gateway, path: str) -> None:
    markup = Markup(fetch(gateway, path).text)
    assert markup.inline == ""
    assert not any(tag == "style" for tag, _ in markup.tags)
    names = [name for _, attributes in markup.tags for name in attributes]
    assert [name for name in names if name == "style" or name.startswith("on")] == []


@pytest.mark.parametrize("path", PAGES)
def test_all_that_a_page_asks_for_is_served_here(gateway: Gateway, path: str) -> None:
    addresses = Markup(fetch(gateway, path).text).addresses()
    assert "static/theme.css" in addresses
    for address in addresses:
        assert not re.match(r"[a-z]+:|/", address), f"{address} is not relative"
        response = fetch(gateway, "/" + address.removeprefix("./"))
        assert response.status_code == 200, address


def test_the_page_knows_the_limits(gateway: Gateway) -> None:
    gateway.configure(max_body_bytes=12345, max_frame_bytes=678)
    attributes = dict(Markup(fetch(gateway, "/").text).tags)["body"]
    assert (attributes["data-max-body-bytes"], attributes["data-max-image-bytes"]) == ("12345", "678")


def test_the_page_names_the_accepted_formats(gateway: Gateway) -> None:
    gateway.configure(accepted_formats="jpeg,heic,mp4")
    assert re.search(r"JPEG, HEIC up to <span.*; MP4 up to <span", fetch(gateway, "/").text)


def test_the_file_dialog_offers_what_a_scan_takes(gateway: Gateway) -> None:
    tags = Markup(fetch(gateway, "/").text).tags
    (chooser,) = [attributes for tag, attributes in tags if tag == "input" and attributes.get("id") == "file"]
    assert set(SUFFIXES) <= set((chooser["accept"] or "").split(","))


@pytest.mark.parametrize("path", [*PAGES, "/static/page.js", "/static/theme.css"])
def test_what_the_browser_has_is_not_sent_again(gateway: Gateway, path: str) -> None:
    first = fetch(gateway, path)
    assert first.headers["Cache-Control"] == "no-cache"
    again = fetch(gateway, path, headers={"If-None-Match": first.headers["ETag"]})
    assert again.status_code == 304
    assert again.data == b""


def test_swagger_ui_is_kept_for_a_day(gateway: Gateway) -> None:
    for name, start in (("swagger-ui.css", b".swagger-ui"), ("swagger-ui-bundle.js", b"/*!")):
        response = fetch(gateway, f"/static/swagger-ui/{name}")
        assert response.status_code == 200
        assert start in response.data[:200]
        assert response.headers["Cache-Control"] == "public, max-age=86400"


@pytest.mark.parametrize(
    "path",
    ["/static/", "/static/nothing.js", "/static/../app.py", "/static/swagger-ui/plugins.py", "/static/%2e%2e/app.py"],
)
def test_nothing_else_is_served(gateway: Gateway, path: str) -> None:
    response = fetch(gateway, path)
    assert response.status_code == 404
    assert response.json["code"] == "NOT_FOUND"


def test_types_of_static_files(gateway: Gateway) -> None:
    types = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
    assert FILES
    for name in FILES:
        assert fetch(gateway, f"/static/{name}").mimetype == types[Path(name).suffix], name


@pytest.mark.parametrize("name", [name for name in FILES if name.endswith(".js")])
def test_scripts_turn_no_text_into_html_or_code(name: str) -> None:
    code = (STATIC / name).read_text("utf-8")
    forbidden = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|DOMParser|\bsrcdoc\b|https?://(?!www\.w3\.org)"
    assert re.findall(forbidden, code) == []
    assert not re.search(r"set(Attribute)?\(\s*[\"']style", code)


def test_every_script_is_used() -> None:
    """From the pages and along the imports."""
    pages = "".join(path.read_text("utf-8") for path in (STATIC.parent / "templates").iterdir())
    scripts = {path: path.read_text("utf-8") for path in STATIC.rglob("*.js")}
    imported = {
        (path.parent / address).resolve()
        for path, code in scripts.items()
        for address in re.findall(r'(?:from |import\()"(.+?)"', code)
    }
    unused = [path for path in scripts if f"static/{path.relative_to(STATIC)}" not in pages and path not in imported]
    assert unused == []


def test_an_installed_gateway_has_its_pages() -> None:
    package = STATIC.parent
    project = tomllib.loads((package.parents[1] / "pyproject.toml").read_text("utf-8"))
    shipped = {
        file for glob in project["tool"]["setuptools"]["package-data"]["gateway.page"] for file in package.glob(glob)
    }
    data = {path for path in package.rglob("*") if path.suffix in (".html", ".css", ".js", ".svg")}
    assert data
    assert data <= shipped
