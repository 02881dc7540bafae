"""POST /detect for those who prefer HTML: the evidence report of the same detection."""

import base64
import hashlib
import io
import re
from typing import Any

import pytest

from deepfake_client.plain_text import NO_BREAK, percent
from tests.gateway.conftest import Gateway
from tests.gateway.page.test_pages import policy
from tests.gateway.routes.test_bad_requests import error_of
from tests.gateway.routes.test_detect import upload, video
from tests.inference_server import jpeg
from tests.media import photo

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


def ask(
    gateway: Gateway, content: bytes, name: str = "photo.jpg", accept: str = "text/html", **form: str | list[str]
) -> Any:
    data = {"file": (io.BytesIO(content), name), **form}
    response = gateway.http.post("/detect", data=data, headers={"Accept": accept})
    response.request.environ["wsgi.input"].close()  # the test client leaves its temporary file open
    return response


def report(gateway: Gateway, content: bytes, name: str = "photo.jpg", **form: str | list[str]) -> str:
    response = ask(gateway, content, name, **form)
    assert (response.status_code, response.mimetype) == (200, "text/html"), response.text
    text: str = response.text
    return text.replace(NO_BREAK, " ")


@pytest.mark.parametrize(
    ("accept", "is_report"),
    [
        ("text/html", True),
        (BROWSER, True),
        ("application/json;q=0.5, text/html", True),
        ("*/*", False),
        ("application/json", False),
        ("application/json, text/html", False),
        ("text/html;q=0.5, application/json", False),
        ("text/html, */*", False),
        ("", False),
    ],
)
def test_who_prefers_html_gets_the_report(gateway: Gateway, accept: str, is_report: bool) -> None:
    response = ask(gateway, jpeg("p=0.9 face"), accept=accept)
    assert response.status_code == 200
    assert response.mimetype == ("text/html" if is_report else "application/json")
    assert response.headers["Vary"] == "Accept"


def test_without_the_header_the_answer_is_json(gateway: Gateway) -> None:
    response = upload(gateway, jpeg("p=0.9 face"))
    assert response.mimetype == "application/json"
    assert "X-Release-ID" not in response.headers


def test_the_report_is_of_the_same_detection(gateway: Gateway) -> None:
    content = video(90)
    answer = upload(gateway, content, include=["stability", "further_frames"]).json
    shown = report(gateway, content, "clip.mp4")
    metadata = answer["metadata"]
    assert metadata["statement"]["headline"] in shown
    assert metadata["statement"]["explanation"] in shown
    assert percent(answer["confidence_score"]) in shown
    assert hashlib.sha256(content).hexdigest() in shown
    for finding in metadata["findings"]:
        assert finding["code"] in shown
    for frame in metadata["frame_predictions"]:
        assert percent(frame["fake_probability"]) in shown
    assert metadata["further_frame_predictions"]
    assert shown.count("data:image/jpeg;base64,") > 1


def test_its_headers_let_it_do_nothing_and_be_kept_nowhere(gateway: Gateway) -> None:
    response = ask(gateway, jpeg("p=0.9 face"))
    styles = re.findall(r"<style>(.*?)</style>", response.text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256("".join(styles).encode()).digest()).decode()
    assert len(styles) == 1
    assert policy(response.headers["Content-Security-Policy"]) == {
        "default-src": "'none'",
        "img-src": "data:",
        "style-src": f"'sha256-{digest}'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    assert response.headers["Cache-Control"] == "no-store"
    assert "ETag" not in response.headers
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["X-Release-ID"] == gateway.http.get("/health").json["release_id"]
    assert response.headers["X-Request-ID"]


@pytest.mark.parametrize(
    ("sent", "in_report", "saved"),
    [
        ("photo.jpg", "photo.jpg", "photo.jpg.report.html"),
        ("folder/../photo.jpg", "photo.jpg", "photo.jpg.report.html"),
        (
            "C:\\\\people\\\\photo.jpg",
            "photo.jpg",
            "photo.jpg.report.html",
        ),  # the header escapes a backslash by another
        ("größe 1.jpg", "größe 1.jpg", "gr_e_1.jpg.report.html"),
        ("a\u202egpj.exe", "a\N{REPLACEMENT CHARACTER}gpj.exe", "a_gpj.exe.report.html"),
        ("<b>.jpg", "&lt;b&gt;.jpg", "_b_.jpg.report.html"),
        (".htaccess", ".htaccess", "htaccess.report.html"),
        ("x" * 300, "x" * 254 + "…", "x" * 100 + ".report.html"),
        ("", "upload", "upload.report.html"),
        ("folder/", "upload", "upload.report.html"),
    ],
)
def test_the_file_is_called_by_its_bare_name(gateway: Gateway, sent: str, in_report: str, saved: str) -> None:
    response = ask(gateway, jpeg("p=0.9 face"), sent)
    assert f"<h1>{in_report}</h1>" in response.text or f">{in_report}<" in response.text
    assert response.headers["Content-Disposition"] in (
        f"attachment; filename={saved}",
        f'attachment; filename="{saved}"',
    )


def test_a_quote_in_a_name_ends_no_header(gateway: Gateway) -> None:
    name = 'a"; filename="b.exe\r\nX-Evil: 1'
    body = (
        b'--frontier\r\nContent-Disposition: form-data; name="file"; filename="'
        + name.replace('"', '\\"').replace("\r\n", " ").encode()
        + b'"\r\n\r\n'
        + jpeg("p=0.9 face")
        + b"\r\n--frontier--\r\n"
    )
    response = gateway.http.post(
        "/detect", data=body, content_type="multipart/form-data; boundary=frontier", headers={"Accept": "text/html"}
    )
    assert response.status_code == 200
    assert re.fullmatch(r'attachment; filename="?[A-Za-z0-9._-]+"?', response.headers["Content-Disposition"])
    assert "X-Evil" not in response.headers


CASE = {"case_number": "2026/117 <b>", "note": "Asked for by\nthe desk"}


def test_case_number_and_note_stand_in_it(gateway: Gateway) -> None:
    content = jpeg("p=0.9 face")
    encoded = base64.b64encode(content).decode()
    html = {"Accept": "text/html"}
    answers = [
        ask(gateway, content, **CASE),
        gateway.http.post("/detect", json={"file": encoded, **CASE}, headers=html),
        gateway.http.post("/detect", query_string=CASE, data=content, content_type="image/jpeg", headers=html),
    ]
    for response in answers:
        assert response.status_code == 200
        assert "Case <strong>2026/117 &lt;b&gt;" in response.text
        assert "Asked for by the desk" in response.text
    for nothing in ({}, {"case_number": "", "note": ""}):
        assert "Case <strong>" not in report(gateway, content, **nothing)
    assert gateway.http.post("/detect", json={"file": encoded, "note": None}).status_code == 200


def test_the_longest_case_number_and_note_are_taken(gateway: Gateway) -> None:
    shown = report(gateway, jpeg("p=0.9 face"), case_number="1" * 80, note="\N{GRINNING FACE}" * 1000)
    assert "1" * 80 in shown
    assert "\N{GRINNING FACE}" * 1000 in shown


@pytest.mark.parametrize("accept", ["text/html", "application/json"])
@pytest.mark.parametrize(
    ("form", "says"),
    [
        ({"case_number": "1" * 81}, "case_number: String should have at most 80 characters."),
        ({"note": "ü" * 1001}, "note: String should have at most 1000 characters."),
        ({"note": "1" * 9000}, "note: the value is too long."),
        ({"note": "a\0b"}, "note: This text cannot hold a NUL character or half a character."),
    ],
)
def test_what_is_too_long_is_refused(gateway: Gateway, form: dict[str, str], says: str, accept: str) -> None:
    assert error_of(ask(gateway, jpeg("p=0.9 face"), accept=accept, **form), 400, "MALFORMED_REQUEST") == says
    assert gateway.server.received == []


@pytest.mark.parametrize("value", ["7", '{"a": 1}', '["\\ud800"]', '"\\ud800"'])
def test_a_note_is_text(gateway: Gateway, value: str) -> None:
    body = f'{{"file": "{base64.b64encode(jpeg("p=0.9 face")).decode()}", "note": {value}}}'
    response = gateway.http.post("/detect", data=body, content_type="application/json", headers={"Accept": "text/html"})
    assert error_of(response, 400, "MALFORMED_REQUEST").startswith("note: ")


def test_stability_is_always_in_it_and_the_map_where_asked_for(gateway: Gateway) -> None:
    content = photo("astronaut.png").read_bytes()
    plain, asked = (report(gateway, content, **form) for form in ({}, {"include": "sensitivity"}))
    assert "mirrored" in plain.lower()
    assert "blurred" not in plain
    assert "blurred" in asked


def test_errors_stay_json(gateway: Gateway) -> None:
    error_of(ask(gateway, b""), 400, "EMPTY_FILE")
    error_of(ask(gateway, b"plain text"), 415, "UNSUPPORTED_MEDIA")
    error_of(ask(gateway, jpeg("status=6")), 422, "NOTHING_SCORED")
    error_of(ask(gateway, jpeg("p=0.9"), type="video"), 400, "INVALID_INPUT")
    error_of(ask(gateway, jpeg("p=0.9"), include="everything"), 400, "MALFORMED_REQUEST")
    gateway.configure(request_deadline_s=0.3)
    gateway.server.behaviour.delay_s = 1.0
    error_of(ask(gateway, jpeg("p=0.9")), 504, "DEADLINE")


def test_reports_are_counted_and_admitted_like_other_answers(gateway: Gateway) -> None:
    report(gateway, jpeg("p=0.9 face"))
    metrics = gateway.http.get("/metrics").text
    assert 'deepfake_gateway_verdicts_total{media_type="image",verdict="fake"} 1.0' in metrics
    gateway.configure(max_in_flight=1)
    slots = gateway.app.extensions["deepfake_gateway"].slots
    assert slots.acquire(blocking=False)
    error_of(ask(gateway, jpeg("p=0.9")), 503, "OVERLOADED")
    slots.release()
    videos = gateway.app.extensions["deepfake_gateway"].videos
    assert report(gateway, video(2), "clip.mp4")
    assert videos._working.acquire(blocking=False)  # its turn is over
