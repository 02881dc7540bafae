"""The report's two forms: what is in them, that they repeat, and that nothing in a file name becomes markup."""

import base64
import hashlib
import io
import json
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from PIL import Image

from deepfake_client import Evidence, build_evidence, create_detector, evidence_html, evidence_json
from deepfake_client.evidence.document import DIGITS, LIMITS, evidence_schema
from deepfake_client.evidence.drawing import Axis, band_areas, draw_timeline, format_time
from deepfake_client.media import Frame
from deepfake_client.provenance.model import Credentials, Provenance, Statement
from deepfake_client.release import BandRecord, CalibrationRecord, Interval, ModelCard
from deepfake_client.scores import MediaScores
from tests.client.evidence.cases import FACE_PX, MODEL, SHA256, made_output
from tests.inference_server import InferenceServer
from tests.media import encode_image, photo_pixels

SCHEMA = Path(__file__).parents[3] / "client/deepfake_client/evidence/evidence.schema.json"
MIXED = [0.35, 0.7, "DECODE_FAILED", 0.1, 0.45, 0.5]
HOSTILE = '"><script>alert(1)</script>&amp;{{ 7 * 7 }}\u202egpj\udcff.mp4'

MEASURED = BandRecord(
    unit="images", real=300, fake=280, persons=40, auc=0.97, ece_before=0.1, ece_after=0.02, fpr=0.01, fpr_upper=0.0256,
    fnr=0.02, fnr_upper=0.04, tpr=Interval(value=0.913, low=0.88, high=0.94), uncertain=0.05,
)  # fmt: skip
CALIBRATION = CalibrationRecord(
    temperature=1.7, max_fpr=0.01, max_fnr=0.05, face_detection=True, dataset_sha256="cd" * 32, image=MEASURED,
    notes=("a note",),
)  # fmt: skip
CARD = ModelCard(
    name="Card <b>", licence="mit", purpose="tests", limits=HOSTILE.replace("\udcff", ""),
    url="https://example.org/card", sha256="ab" * 32, text="# Card",
)  # fmt: skip
DESCRIBED = MODEL.model_copy(update={"calibration": CALIBRATION, "model_card": CARD})
WITHOUT_FACE_DETECTION = MODEL.model_copy(
    update={"preprocess": MODEL.preprocess.model_copy(update={"face_detection": False})}
)


PROVENANCE = Provenance(
    content_credentials=Credentials(
        state="Invalid", not_read=None, signer=HOSTILE, issuer="<b>", signed_at=None, claim_generator="<i>",
        actions=("<u>",), digital_source_types=("<s>",), problems=("assertion.dataHash.mismatch",),
    ),
    statements=(Statement(source="PNG text", name="<b>", value=HOSTILE, of_generator=True),),
    has_location=True,
    digital_source_types=("<s>",),
)  # fmt: skip


def made(scores: list[Any] = MIXED, name: str = "clip.mp4", **options: Any) -> Evidence:
    return build_evidence(made_output(scores, **options), name)


def cases() -> dict[str, Evidence]:
    untrained = MODEL.model_copy(update={"trained": False, "notice": "Untrained weights."})
    return {
        "video": made(without_face=[4]),
        "hostile": made(name=HOSTILE, provenance=PROVENANCE),
        "image": made([0.8], is_video=False),
        "no face": made([0.8], is_video=False, without_face=[0]),
        "untrained": made(model=untrained),
        "face detection off": made(model=WITHOUT_FACE_DETECTION, without_face=range(6)),
        "without frames": made(keep_frames=False),
        "one frame": made([0.5]),
        "described": made(model=DESCRIBED),
    }


CASES = cases()


class Page(HTMLParser):
    """What a browser finds in the report: tags with their attributes, and the text by the tag it stands in."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.texts: list[tuple[str, str]] = []
        self._open = [""]
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in ("meta", "img", "br"):
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag, f"</{tag}> closes another element"

    def handle_data(self, data: str) -> None:
        self.texts.append((self._open[-1], data))

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.tags if name == tag]

    def text(self) -> str:
        return " ".join(" ".join(text for tag, text in self.texts if tag != "style").split())


def test_the_models_calibration_and_card_are_in_both_forms() -> None:
    model = made(model=DESCRIBED).model
    assert model.calibration is not None
    assert model.calibration == CALIBRATION
    assert model.model_card is not None
    assert (model.model_card.sha256, model.model_card.text) == ("ab" * 32, "# Card")
    text = Page(evidence_html(made(model=DESCRIBED))).text()
    assert (
        "on 300 real and 280 fake images of 40 persons: 1.00% of the real ones called fake (95%: at most 2.56%" in text
    )
    assert "Card <b>, licence mit" in text
    assert "https://example.org/card; GET /model-card of the gateway; MODEL_CARD.md of the release" in text
    plain = Page(evidence_html(made())).text()
    assert "Model card" not in plain
    assert "Calibration" not in plain


def test_bands_of_a_calibration_are_the_checkpoints_even_where_they_equal_the_defaults() -> None:
    assert made().verdict.bands.origin == "default"
    assert made(model=DESCRIBED).verdict.bands.origin == "checkpoint"
    assert "DEFAULT_BANDS" not in [finding.code for finding in made(model=DESCRIBED).findings]


def test_what_is_in_it() -> None:
    evidence = made(without_face=[4])
    assert evidence.input.model_dump() == {
        "file_name": "clip.mp4", "sha256": SHA256, "size_bytes": 1_234_567, "media_type": "video", "format": "mp4",
        "width_px": 480, "height_px": 384, "duration_s": 2.5,
    }  # fmt: skip
    assert evidence.verdict.model_dump() == {
        "result": "uncertain", "fake_probability": 0.4125, "person": 1, "frames": 4,
        "bands": {"real_below": 0.4, "fake_above": 0.6, "origin": "default"}, "assessable": True,
    }  # fmt: skip
    assert evidence.scores.model_dump() == made_output(MIXED).scores.rounded()
    assert evidence.frames[1].model_dump() == {
        "index": 1, "timestamp_s": 0.5, "status": "OK", "fake_probability": 0.7, "result": "fake",
        "probabilities": [0.7, 0.3], "face_box_px": (169.0, 67.0, 272.0, 170.0), "face_score": 0.9, "is_peak": True,
    }  # fmt: skip
    failed = evidence.frames[2]
    assert (failed.status, failed.fake_probability, failed.result) == ("DECODE_FAILED", None, None)
    assert [frame.index for frame in evidence.frames if frame.is_peak] == [1, 5]
    assert [key.index for key in evidence.key_frames] == [0, 1, 3, 4, 5]
    assert (evidence.model.preprocess.crop_factor, evidence.model.preprocessing_version) == (1.3, 1)
    assert evidence.model.version == "example/detector@fp32-0123456789ab"
    assert evidence.limits == list(LIMITS)
    assert evidence.software.pillow_version == Image.__version__


def test_numbers_are_rounded_but_the_verdict_is_not() -> None:
    evidence = made([0.6000004, 0.60000046], keep_frames=False)
    assert (evidence.verdict.fake_probability, evidence.verdict.result) == (0.6, "fake")
    assert evidence.frames[0].fake_probability == 0.6
    assert DIGITS == 4


def test_pictures_are_the_frames_and_the_models_crops() -> None:
    evidence = made([0.8], is_video=False)
    (key,) = evidence.key_frames
    assert key.picture is not None
    assert key.crop is not None
    assert key.picture.face_box_px == FACE_PX
    for picture, box in ((key.picture, (0, 0, 480, 384)), (key.crop, (158, 52, 292, 186))):
        with Image.open(io.BytesIO(base64.b64decode(picture.jpeg_base64, validate=True))) as image:
            assert image.size == (picture.width_px, picture.height_px) == (box[2] - box[0], box[3] - box[1])
            assert image.getpixel((60, 60)) == pytest.approx(
                photo_pixels("astronaut.png")[box[1] + 60, box[0] + 60].tolist(), abs=25
            )


def test_frames_that_the_model_saw_whole_have_no_crop() -> None:
    assert [key.crop is None for key in CASES["video"].key_frames] == [False, False, False, True, False]
    assert all(key.crop is None for key in CASES["face detection off"].key_frames)


def test_a_frame_that_cannot_be_drawn_costs_its_picture_only() -> None:
    output = made_output([0.5, 0.6])
    output = replace(output, frames=tuple(replace(frame, encoded=b"junk") for frame in output.frames))
    evidence = build_evidence(output, "x")
    assert [key.picture for key in evidence.key_frames] == [None, None]
    assert "This frame cannot be shown." in Page(evidence_html(evidence)).text()


@pytest.mark.parametrize("name", CASES)
def test_the_json_form_follows_the_committed_schema(name: str) -> None:
    schema = json.loads(SCHEMA.read_text("utf-8"))
    validator = jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker())
    document = json.loads(evidence_json(CASES[name]))
    validator.validate(document)
    assert Evidence.model_validate(document) == CASES[name]
    for part in (document, document["input"], document["run"], document["frames"][0]):
        removed = part.popitem()
        with pytest.raises(jsonschema.ValidationError):
            validator.validate(document)
        part[removed[0]] = removed[1]


def test_the_committed_schema_is_the_codes() -> None:
    jsonschema.Draft202012Validator.check_schema(json.loads(evidence_schema()))
    assert SCHEMA.read_text("utf-8") == evidence_schema(), (
        "write evidence_schema() to client/deepfake_client/evidence/evidence.schema.json"
    )


def without_run(html: str) -> str:
    removed, count = re.subn(r'<footer id="run">.*?</footer>', "", html, flags=re.DOTALL)
    assert count == 1
    return removed


def test_two_runs_differ_in_nothing_but_the_run() -> None:
    first = build_evidence(made_output(MIXED), "x.mp4", created_at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
    output = made_output(MIXED, elapsed_s=7.5)
    second = build_evidence(output, "x.mp4", created_at=datetime(2031, 6, 7, 8, 9, tzinfo=timezone(timedelta(hours=2))))
    documents = [json.loads(evidence_json(evidence)) for evidence in (first, second)]
    runs = [document.pop("run") for document in documents]
    assert documents[0] == documents[1]
    assert runs == [
        {"created_at": "2026-01-02T03:04:05Z", "processing_time_s": 1.25},
        {"created_at": "2031-06-07T06:09:00Z", "processing_time_s": 7.5},
    ]
    pages = [evidence_html(evidence) for evidence in (first, second)]
    assert pages[0] != pages[1]
    assert without_run(pages[0]) == without_run(pages[1])
    assert evidence_html(first) == pages[0]


@pytest.mark.parametrize("name", CASES)
def test_the_page_needs_and_allows_nothing_from_outside(name: str) -> None:
    html = evidence_html(CASES[name])
    page = Page(html)
    (style,) = re.findall(r"<style>(.*?)</style>", html, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    (policy,) = [meta["content"] for meta in page.all("meta") if meta.get("http-equiv") == "Content-Security-Policy"]
    assert policy == (
        f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )
    assert html.index("Content-Security-Policy") < html.index("<style>"), "a policy counts for what follows it"
    assert all(image["src"].startswith("data:image/jpeg;base64,") for image in page.all("img"))
    for tag, attributes in page.tags:
        assert tag not in ("script", "link", "iframe", "object", "embed", "form", "base", "a", "image", "use")
        assert not {"style", "href", "xlink:href", "srcset", "action"} & set(attributes)
        assert not [attribute for attribute in attributes if attribute.startswith("on")]
    without_names = html.replace(CASES[name].input.file_name, "").replace("https://example.org/card", "")
    assert "//" not in re.sub(r'src="data:[^"]*"', "", without_names)
    assert "url(" not in style
    assert "@import" not in style


def test_names_cannot_become_markup() -> None:
    html = evidence_html(CASES["hostile"])
    shown = HOSTILE.replace("\u202e", "\ufffd").replace("\udcff", "\ufffd")
    page = Page(html)
    assert ("h1", shown) in page.texts
    assert page.all("script") == []
    assert "49" not in shown
    model = MODEL.model_copy(
        update={"name": "<b>m</b>", "notice": "<i>n</i>", "labels": ("<u>", "Real"), "precision": "<s>"}
    )
    page = Page(evidence_html(made(model=model)))
    assert {"b", "i", "u", "s"} & {tag for tag, _ in page.tags} == set()
    assert "<i>n</i>" in page.text()
    hidden = Page(evidence_html(made(["<hr>", 0.5], keep_frames=False)))
    assert "hr" not in {tag for tag, _ in hidden.tags}


def test_what_a_file_says_of_itself_is_a_card_of_text() -> None:
    page = Page(evidence_html(made(provenance=PROVENANCE)))
    assert {"b", "i", "u", "s", "script"} & {tag for tag, _ in page.tags} == set()
    text = page.text()
    shown = HOSTILE.replace("\u202e", "\ufffd").replace("\udcff", "\ufffd")
    for part in ("C2PA manifest Invalid", "assertion.dataHash.mismatch", f"PNG text: <b> {shown}", "not shown here"):
        assert part in text
    valid = PROVENANCE.model_copy(
        update={"content_credentials": Credentials(state="Valid", not_read=None, signer="S", issuer="I")}
    )
    text = Page(evidence_html(made(provenance=valid))).text()
    assert "unchanged since it was signed. Nobody vouches for the signer." in text
    assert "S, I" in text
    unread = Provenance(content_credentials=Credentials(state=None, not_read="Why."))
    text = Page(evidence_html(made(provenance=unread))).text()
    assert "C2PA manifest Why." in text
    assert "Signer" not in text
    assert "What the file says of itself" not in Page(evidence_html(made())).text()
    assert made(provenance=PROVENANCE).provenance == PROVENANCE


@pytest.mark.parametrize("name", CASES)
def test_the_page_can_be_read_without_seeing_it(name: str) -> None:
    page = Page(evidence_html(CASES[name]))
    assert page.all("html") == [{"lang": "en"}]
    headings = [tag for tag, _ in page.tags if re.fullmatch("h[1-6]", tag)]
    assert headings[0] == "h1"
    assert set(headings[1:]) == {"h2"}
    assert len(page.all("caption")) == len(page.all("table")) >= 4
    assert all(cell.get("scope") in ("row", "col") for cell in page.all("th"))
    assert all(image["alt"] for image in page.all("img"))
    for drawing in page.all("svg"):
        assert drawing.get("aria-hidden") == "true" or drawing["role"] == "img"
    identifiers = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(identifiers) == len(set(identifiers))
    labels = [attributes["aria-labelledby"] for _, attributes in page.tags if "aria-labelledby" in attributes]
    assert set(labels) <= set(identifiers)


def test_colours_have_enough_contrast() -> None:
    """WCAG 2.1 AA: 4.5 for every text on every background that it stands on, light and dark."""
    css = (SCHEMA.parent / "templates" / "evidence.css").read_text("utf-8")
    schemes = [
        dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", block)) for block in re.findall(r":root {(.*?)}", css, re.S)
    ]
    assert len(schemes) == 2

    def luminance(colour: str) -> float:
        channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    pairs = [(text, back) for text in ("text", "quiet", "fake", "real", "uncertain") for back in ("page", "card")]
    pairs += [(name, f"{name}-area") for name in ("fake", "real", "uncertain", "alarm")]
    pairs += [("text", "alarm-area"), ("alarm", "card")]
    for colours in schemes:
        for text, back in pairs:
            lighter, darker = sorted((luminance(colours[text]), luminance(colours[back])), reverse=True)
            assert (lighter + 0.05) / (darker + 0.05) >= 4.5, (text, back, colours[text], colours[back])


@pytest.mark.parametrize("name", CASES)
def test_the_page_shows_what_the_data_say(name: str) -> None:
    evidence = CASES[name]
    text = Page(evidence_html(evidence)).text()
    shown = [evidence.input.sha256, f"{evidence.verdict.fake_probability:.4f}", evidence.model.release_id]
    shown += [finding.message for finding in evidence.findings] + [finding.code for finding in evidence.findings]
    shown += [f"{evidence.input.size_bytes:,} bytes", str(evidence.model.export_id), *evidence.limits]
    shown += [f"{value:.2f}" for value in evidence.scores.model_dump().values()]
    shown += list(MediaScores.model_fields) + [key.explanation for key in evidence.key_frames]
    shown += [f"{frame.timestamp_s:.3f} s" for frame in evidence.frames]
    shown += [f"{frame.fake_probability:.4f}" for frame in evidence.frames if frame.fake_probability is not None]
    assert [part for part in shown if part not in text] == []


def test_an_untrained_model_is_the_first_thing_said() -> None:
    text = Page(evidence_html(CASES["untrained"])).text()
    assert text.index("This model was never trained") < text.index("Untrained weights.") < text.index("Verdict")
    assert "never trained" not in Page(evidence_html(CASES["video"])).text()


def test_the_timeline_keeps_real_times() -> None:
    frames = made(MIXED, keep_frames=False).frames
    uneven = [frame.model_copy(update={"timestamp_s": t}) for frame, t in zip(frames, (0, 1, 2, 3, 4, 10), strict=True)]
    drawn = draw_timeline(uneven)
    x, y = drawn.x, drawn.y
    width = x.end - x.start
    scored = [frame for line in drawn.lines for frame in line]
    assert [x.at(frame.timestamp_s) for frame in scored] == pytest.approx(
        [x.start + width * t / 10 for t in (0, 1, 3, 4, 10)], abs=0.1
    )
    assert [len(line) for line in drawn.lines] == [2, 3], "no line over a frame that was not scored"
    assert y.at(0.7) == pytest.approx(y.start - 0.7 * (y.start - y.end), abs=0.1)
    bands = band_areas(made().verdict.bands, y)
    assert [band.result for band in bands] == ["fake", "uncertain", "real"]
    assert sum(band.length for band in bands) == pytest.approx(y.start - y.end, abs=0.2)


@pytest.mark.parametrize("last_s", [0.0, 0.03, 0.9, 12.0, 59.0, 3600.0, 400_000.0])
def test_the_time_axis_has_few_ticks_with_distinct_labels(last_s: float) -> None:
    frame = made([0.5], keep_frames=False).frames[0]
    frames = [frame, frame.model_copy(update={"timestamp_s": last_s})]
    ticks = draw_timeline(frames).ticks_s
    assert 1 <= len(ticks) <= 11
    assert len({format_time(tick) for tick in ticks}) == len(ticks)


@pytest.mark.parametrize(("time_s", "text"), [(0, "0 s"), (2.5, "2.5 s"), (65, "1:05"), (3605, "1:00:05")])
def test_times(time_s: float, text: str) -> None:
    assert format_time(time_s) == text


def test_the_scale_marks_the_score_among_the_bands() -> None:
    axis = Axis(0.0, 1.0, 0.0, 100.0)
    assert axis.at(0.42) == 42.0
    assert [(band.result, band.start, band.length) for band in band_areas(made().verdict.bands, axis)] == [
        ("fake", 60.0, 40.0), ("uncertain", 40.0, 20.0), ("real", 0.0, 40.0)
    ]  # fmt: skip
    labels = re.findall(r'<text x="[0-9.]+" y="47" text-anchor="middle">([^<]+)', evidence_html(made()))
    assert labels == ["0", "0.4", "0.6", "1"]
    assert '<path class="marker" d="M268.8 3' in evidence_html(made())


def test_a_detection_through_a_server_twice(
    server: InferenceServer, clip: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = [Frame(i, i / 2, encode_image(photo_pixels("astronaut.png")[i:], "JPEG")) for i in range(4)]
    monkeypatch.setattr("deepfake_client.detector.read_frames", lambda *_, **__: frames)
    monkeypatch.setattr("tests.inference_server._said", lambda _image, _pattern, _convert, otherwise: otherwise)
    documents = []
    with create_detector(server.url) as detector:
        for _ in range(2):
            output = detector.detect(clip("mjpeg.avi"), keep_frames=True)
            documents.append(json.loads(evidence_json(build_evidence(output, "mjpeg.avi"))))
        assert all(frame.encoded is None for frame in detector.detect(clip("mjpeg.avi")).frames)
    for document in documents:
        del document["run"]
    assert documents[0] == documents[1]
    content = clip("mjpeg.avi").read_bytes()
    assert documents[0]["input"]["size_bytes"] == len(content)
    assert documents[0]["input"]["sha256"] == hashlib.sha256(content).hexdigest()
    assert documents[0]["key_frames"][0]["picture"] is not None


@pytest.mark.parametrize("wrap", [bytes, io.BytesIO])
def test_the_size_of_bytes_and_streams(server: InferenceServer, wrap: Callable[[bytes], Any]) -> None:
    content = encode_image(photo_pixels("astronaut.png"), "JPEG")
    with create_detector(server.url) as detector:
        output = detector.detect(wrap(content), keep_frames=True)
    assert output.media_bytes == len(content)
    assert output.frames[0].encoded == content
