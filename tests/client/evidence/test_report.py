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
from deepfake_client.evidence.document import CASE_NOTE_CHARACTERS, LIMITS, Case, Scores, evidence_schema
from deepfake_client.evidence.drawing import Axis, band_areas, draw_timeline, format_period, format_time
from deepfake_client.media import Frame
from deepfake_client.plain_text import NO_BREAK, one_decimal, percent
from deepfake_client.provenance.model import Credentials, FileStatement, Provenance
from deepfake_client.release import BandRecord, CalibrationRecord, Interval, LikelihoodRatios, ModelCard, Scope
from tests.client.evidence.cases import FACE_PX, MODEL, SHA256, TWO_MODELS, made_output
from tests.client.evidence.full import CASE, full_image, full_video
from tests.inference_server import InferenceServer
from tests.media import encode_image, photo_pixels

SCHEMA = Path(__file__).parents[3] / "client/deepfake_client/evidence/evidence.schema.json"
MIXED = [0.35, 0.7, "DECODE_FAILED", 0.1, 0.45, 0.5]
HOSTILE = '"><script>alert(1)</script>&amp;{{ 7 * 7 }}\u202egpj\udcff.mp4'

MEASURED = BandRecord(
    unit="images", real=300, fake=280, persons=40, auc=0.97, ece_before=0.1, ece_after=0.02, fpr=0.01, fpr_upper=0.0256,
    fnr=0.02, fnr_upper=0.04, tpr=Interval(value=0.913, low=0.88, high=0.94), uncertain=0.05,
    likelihood_ratio=LikelihoodRatios(slope=1.5, intercept=0.2, low=-1.2, high=1.5, cllr=0.4, cllr_min=0.35),
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
    statements=(FileStatement(source="PNG text", name="<b>", value=HOSTILE, of_generator=True),),
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
        "two people": made(others=[[0.9, 0.8, None, 0.7]]),
        "faces": made([0.2], is_video=False, others=[[0.9], [float("nan")]]),
        "not assessable": made(model=MODEL.model_copy(update={"scope": Scope.FACE}), without_face=range(6)),
        "two models": made([0.7], is_video=False, model=TWO_MODELS, members=[(0.912, 0.2)]),
        "two models, video": made([0.7] * 4, model=TWO_MODELS, members=[(0.9, 0.3), (0.8, 0.1)] * 2),
        "full image": build_evidence(full_image(), "portrait.jpg", case=CASE),
        "full video": build_evidence(full_video(), "interview.mp4", case=CASE),
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
    output = made_output(MIXED, without_face=[4])
    evidence = build_evidence(output, "clip.mp4")
    assert evidence.input.model_dump() == {
        "file_name": "clip.mp4", "sha256": SHA256, "size_bytes": 1_234_567, "media_type": "video", "format": "mp4",
        "width_px": 480, "height_px": 384, "duration_s": 2.5,
    }  # fmt: skip
    assert evidence.verdict.model_dump(exclude={"statement", "likelihood_ratio"}) == {
        "result": "uncertain", "fake_probability": 0.4125, "person": 1, "frames": 4,
        "bands": {"real_below": 0.4, "fake_above": 0.6, "origin": "default"}, "assessable": True,
    }  # fmt: skip
    assert evidence.verdict.statement == output.details.statement
    assert evidence.frames[1].model_dump() == {
        **output.metadata["frame_predictions"][1], "result": "fake", "probabilities": (0.7, 1 - 0.7), "is_peak": True,
        "face_box": (169.0, 67.0, 272.0, 170.0),
        "faces": ({"face_box": (169.0, 67.0, 272.0, 170.0), "face_score": 0.9, "fake_probability": 0.7, "person": 1},),
    }  # fmt: skip
    failed = evidence.frames[2]
    assert (failed.status, failed.fake_probability, failed.result) == ("DECODE_FAILED", None, None)
    assert [frame.index for frame in evidence.frames if frame.is_peak] == [1, 5]
    assert [key.index for key in evidence.key_frames] == [0, 1, 3, 4, 5]
    assert (evidence.model.preprocess.crop_factor, evidence.model.preprocessing_version) == (1.3, 1)
    assert evidence.model.version == "example/detector@fp32-0123456789ab"
    assert evidence.limits == list(LIMITS)
    assert evidence.software.pillow_version == Image.__version__


def test_numbers_are_those_of_the_answer() -> None:
    """Rounded twice, 50.947 % would be 50.9 % on the page and 51.0 % here."""
    output = made_output([0.50947], is_video=False)
    evidence = build_evidence(output, "x.jpg")
    assert evidence.verdict.fake_probability == evidence.people[0].fake_probability == output.confidence_score
    text = Page(evidence_html(evidence)).text()
    assert percent(0.50947) == "50.9 %"
    assert text.count(percent(0.50947)) == 3, "scale, verdict, face"
    assert "51.0" not in text


def test_scores_that_nothing_stands_behind_are_left_out() -> None:
    image, video = (json.loads(evidence_json(CASES[name]))["scores"] for name in ("image", "video"))
    assert {name for name, value in image.items() if value is not None} == {"confidence"}
    assert video == {name: getattr(made_output(MIXED, without_face=[4]).scores, name) for name in Scores.model_fields}
    assert {"audio_score", "gan_fingerprint"} & video.keys() == set()
    for name in CASES:
        html = evidence_html(CASES[name])
        assert not re.search("gan_fingerprint|audio_score|temporal_consistency", html)
        assert ("Consistency" in html) == (CASES[name].input.media_type == "video")


def test_every_person_is_shown_as_the_model_saw_them() -> None:
    evidence = CASES["two people"]
    assert [(person.person, person.frames, person.peak) for person in evidence.people] == [(1, 5, 0.7), (2, 3, 0.9)]
    assert [person.crop and person.crop.index for person in evidence.people] == [1, 0]
    assert [frame.probability_of(2) for frame in evidence.frames] == [0.9, 0.8, None, 0.7, None, None]
    text = Page(evidence_html(evidence)).text()
    assert text.index("Person 2 decides") < text.index("Person 1"), "the most suspicious one first"
    assert f"Person 2 decides {percent(0.8)} mean of 3 frames 0 s to 1.5 s, highest {percent(0.9)}" in text
    (only,) = CASES["image"].people
    assert only.crop is not None
    assert only.crop.fake_probability == 0.8
    assert "Person" not in Page(evidence_html(CASES["image"])).text(), "nobody to tell from"


def test_every_face_is_marked_and_numbered() -> None:
    html = evidence_html(CASES["faces"])
    marks = re.findall(r'<rect class="(box[^"]*)" x="([0-9.]+)"', html)
    assert marks == [("box", "173.0"), ("box", "280.0"), ("box unscored", "370.0")]
    assert re.findall(r"<text [^>]*font-size[^>]*>(\d)</text>", html) == ["1", "2"]
    assert "Dashed: not judged, too small or too many" in html
    assert "Dashed" not in Page(evidence_html(CASES["image"])).text()


def test_pictures_are_the_frames_and_the_models_crops() -> None:
    evidence = made([0.8], is_video=False)
    (key,) = evidence.key_frames
    (person,) = evidence.people
    assert key.picture is not None
    assert person.crop is not None
    for picture, box in ((key.picture, (0, 0, 480, 384)), (person.crop.picture, (158, 52, 292, 186))):
        with Image.open(io.BytesIO(base64.b64decode(picture.jpeg_base64, validate=True))) as image:
            assert image.size == (picture.width_px, picture.height_px) == (box[2] - box[0], box[3] - box[1])
            assert image.getpixel((60, 60)) == pytest.approx(
                photo_pixels("astronaut.png")[box[1] + 60, box[0] + 60].tolist(), abs=25
            )
    assert evidence.frames[0].faces[0].face_box == FACE_PX


def test_a_frame_that_cannot_be_drawn_costs_its_picture_only() -> None:
    output = made_output([0.5, 0.6])
    output = replace(output, frames=tuple(replace(frame, encoded=b"junk") for frame in output.frames))
    evidence = build_evidence(output, "x")
    assert [key.picture for key in evidence.key_frames] == [None, None]
    assert [person.crop for person in evidence.people] == [None]
    text = Page(evidence_html(evidence)).text()
    assert "This frame cannot be shown." in text
    assert "Person 1" in text


@pytest.mark.parametrize("name", CASES)
def test_the_json_form_follows_the_committed_schema(name: str) -> None:
    schema = json.loads(SCHEMA.read_text("utf-8"))
    validator = jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker())
    document = json.loads(evidence_json(CASES[name]))
    validator.validate(document)
    assert Evidence.model_validate(document) == CASES[name]
    for part in (document, document["input"], document["scores"], document["run"], document["frames"][0]):
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
    removed, count = re.subn(r'<div id="run">.*?</div>', "", html, flags=re.DOTALL)
    assert count == 1
    return removed


def test_two_runs_differ_in_nothing_but_the_run_and_the_case() -> None:
    first = build_evidence(made_output(MIXED), "x.mp4", created_at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
    output = made_output(MIXED, elapsed_s=7.5)
    in_two_hours = datetime(2031, 6, 7, 8, 9, tzinfo=timezone(timedelta(hours=2)))
    second = build_evidence(output, "x.mp4", case=CASE, created_at=in_two_hours)
    documents = [json.loads(evidence_json(evidence)) for evidence in (first, second)]
    runs = [(document.pop("run"), document.pop("case")) for document in documents]
    assert documents[0] == documents[1]
    assert runs == [
        ({"created_at": "2026-01-02T03:04:05Z", "processing_time_s": 1.25}, None),
        ({"created_at": "2031-06-07T06:09:00Z", "processing_time_s": 7.5}, {"number": CASE.number, "note": CASE.note}),
    ]
    pages = [evidence_html(evidence) for evidence in (first, second)]
    assert pages[0] != pages[1]
    assert without_run(pages[0]) == without_run(pages[1])
    assert evidence_html(first) == pages[0]


def test_the_page_begins_with_when_for_whom_and_on_what() -> None:
    case = Case(number="17 <b>", note="a\n\nnote\u202e")
    assert (case.number, case.note) == ("17 <b>", "a note\ufffd")
    evidence = build_evidence(made_output(MIXED), "x.mp4", case=case, created_at=datetime(2026, 1, 2, tzinfo=UTC))
    statement = evidence.verdict.statement
    text = Page(evidence_html(evidence)).text()
    shown = [
        "Made 2026-01-02 00:00:00 UTC", "Case 17 <b>", "a note\ufffd", "x.mp4", SHA256, statement.headline,
        statement.explanation, f"{percent(0.42)} fake probability", statement.calibration,
        "What makes this result unreliable", evidence.findings[0].message, "People, as the model saw them",
    ]  # fmt: skip
    places = [text.index(part, text.index("Made")) for part in shown]
    assert places == sorted(places)


def test_a_case_without_words_is_none_and_a_long_one_is_refused() -> None:
    assert build_evidence(made_output([0.5]), "x", case=Case(number=" ", note="\n")).case is None
    assert "Case" not in Page(evidence_html(made())).text()
    with pytest.raises(ValueError, match="at most 1000 characters"):
        Case(note="n" * (CASE_NOTE_CHARACTERS + 1))


@pytest.mark.parametrize("name", ["untrained", "not assessable"])
def test_what_is_no_verdict_is_grey(name: str) -> None:
    html = evidence_html(CASES[name])
    assert '<section class="verdict grey"' in html
    assert 'class="scale"' not in html
    assert not re.search(r'<span class="(fake|real|uncertain)">', html)
    assert '<section class="verdict uncertain"' in evidence_html(CASES["video"])
    assert '<span class="fake">' in evidence_html(CASES["video"])


def test_the_file_stands_at_the_foot_of_every_printed_page() -> None:
    html = evidence_html(made(name='a"}</style>ä.mp4'))
    assert r'@bottom-left { content: "a\000022\00007d\00003c\00002fstyle\00003e\0000e4\00002emp4"; }' in html
    assert "size:" not in re.sub(r"[a-z]-size:", "", html), "the printer's paper decides"


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
    without_names = html.replace(CASES[name].input.file_name, "").replace("https://example.org/", "")
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
    named = [table for table in page.all("table") if "aria-labelledby" in table]
    assert len(page.all("caption")) + len(named) == len(page.all("table")) >= 1
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
        dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", block)) for block in re.findall(r":root {(.*?)}", css, re.S)[:2]
    ]
    assert all(schemes), "light, dark"

    def luminance(colour: str) -> float:
        channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    texts = ("text", "quiet", "fake", "real", "uncertain", "grey")
    pairs = [(text, back) for text in texts for back in ("page", "card")]
    pairs += [(name, f"{name}-area") for name in ("fake", "real", "uncertain", "grey")]
    pairs += [("text", "alarm-area"), ("quiet", "alarm-area")]
    for colours in schemes:
        for text, back in pairs:
            lighter, darker = sorted((luminance(colours[text]), luminance(colours[back])), reverse=True)
            assert (lighter + 0.05) / (darker + 0.05) >= 4.5, (text, back, colours[text], colours[back])


@pytest.mark.parametrize("name", CASES)
def test_the_page_shows_what_the_data_say(name: str) -> None:
    evidence = CASES[name]
    text = Page(evidence_html(evidence)).text()
    statement = evidence.verdict.statement
    shown = [evidence.input.sha256, percent(evidence.verdict.fake_probability), evidence.model.release_id]
    shown += [statement.headline, statement.explanation, statement.calibration]
    shown += [finding.message for finding in evidence.findings] + [finding.code for finding in evidence.findings]
    shown += [f"{evidence.input.size_bytes:,} bytes", f"export id {evidence.model.export_id}", *evidence.limits]
    shown += [percent(person.fake_probability) for person in evidence.people]
    if evidence.input.media_type == "video":
        shown += [one_decimal(value) for value in evidence.scores.model_dump().values()]
        shown += [key.explanation.capitalize() for key in evidence.key_frames]
        shown += [f"{frame.timestamp_s:.3f} s" for frame in [*evidence.frames, *evidence.further_frames]]
        scored = [face.fake_probability for frame in evidence.frames for face in frame.faces]
        shown += [percent(p) for p in scored if p is not None]
    assert [part for part in shown if part not in text] == []


def test_an_untrained_models_notice_stands_in_the_verdict() -> None:
    text = Page(evidence_html(CASES["untrained"])).text()
    places = [text.index(part) for part in ("No verdict: the model is untrained", "Untrained weights.", "What makes")]
    assert places == sorted(places)
    assert "untrained" not in Page(evidence_html(CASES["video"])).text()


def test_the_timeline_keeps_real_times() -> None:
    frames = made(MIXED, keep_frames=False).frames
    uneven = [frame.model_copy(update={"timestamp_s": t}) for frame, t in zip(frames, (0, 1, 2, 3, 4, 10), strict=True)]
    drawn = draw_timeline(uneven, 1)
    x, y = drawn.x, drawn.y
    width = x.end - x.start
    points = [point for line in drawn.lines for point in line]
    assert [x.at(time_s) for time_s, _ in points] == pytest.approx(
        [x.start + width * t / 10 for t in (0, 1, 3, 4, 10)], abs=0.1
    )
    assert [len(line) for line in drawn.lines] == [2, 3], "no line over a frame that was not scored"
    assert y.at(0.7) == pytest.approx(y.start - 0.7 * (y.start - y.end), abs=0.1)
    bands = band_areas(made().verdict.bands, y)
    assert [band.result for band in bands] == ["fake", "uncertain", "real"]
    assert sum(band.length for band in bands) == pytest.approx(y.start - y.end, abs=0.2)


def test_the_timeline_has_a_line_for_each_person() -> None:
    drawn = draw_timeline(CASES["two people"].frames, 2, [1])
    assert drawn.lines == (((0.0, 0.9), (0.5, 0.8)), ((1.5, 0.7),))
    assert [[p for _, p in line] for line in drawn.other_lines] == [[0.35, 0.7], [0.1, 0.45, 0.5]]
    html = evidence_html(CASES["two people"])
    assert (html.count('<polyline class="curve"'), html.count('<polyline class="other"')) == (2, 2)
    assert html.count('<circle class="dot"') == 3, "of who decides"


@pytest.mark.parametrize("last_s", [0.0, 0.03, 0.9, 12.0, 59.0, 3600.0, 400_000.0])
def test_the_time_axis_has_few_ticks_with_distinct_labels(last_s: float) -> None:
    frame = made([0.5], keep_frames=False).frames[0]
    frames = [frame, frame.model_copy(update={"timestamp_s": last_s})]
    ticks = draw_timeline(frames, None).ticks_s
    assert 1 <= len(ticks) <= 11
    assert len({format_time(tick) for tick in ticks}) == len(ticks)


@pytest.mark.parametrize(("time_s", "text"), [(0, "0\u00a0s"), (2.5, "2.5\u00a0s"), (65, "1:05"), (3605, "1:00:05")])
def test_times(time_s: float, text: str) -> None:
    assert format_time(time_s) == text
    assert format_period(time_s, time_s + 0.001) == f"at {text}"
    assert format_period(time_s, 7200) == f"{text} to 2:00:00"


def test_the_scale_marks_the_score_among_the_bands() -> None:
    axis = Axis(0.0, 1.0, 0.0, 100.0)
    assert axis.at(0.42) == 42.0
    assert [(b.result, b.start, b.length, b.name) for b in band_areas(made().verdict.bands, axis)] == [
        ("fake", 60.0, 40.0, "signs"), ("uncertain", 40.0, 20.0, "inconclusive"), ("real", 0.0, 40.0, "no sign")
    ]  # fmt: skip
    labels = re.findall(r'<text x="[0-9.]+" y="46" text-anchor="(?:start|end)">([^<]+)', evidence_html(made()))
    assert labels == ["40\u00a0%", "60\u00a0%"]
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


def test_several_models_have_a_section_and_a_single_one_has_none() -> None:
    text = Page(evidence_html(CASES["two models"])).text().replace(NO_BREAK, " ")
    assert (
        "Models In each picture the log-odds of the fused score are the sum of the models' log-odds, each times its "
        "weight, and a constant of -0.25. Model Weight Its score example/face sees the face crop; calibrated 0.75 "
        "91.2 % example/whole sees the whole picture; not calibrated 0.5 20.0 %" in text
    )
    of_video = Page(evidence_html(CASES["two models, video"])).text().replace(NO_BREAK, " ")
    assert "The scores here are made of the same frames as the verdict. Model Weight" in of_video
    assert re.search("example/face .* 0.75 85.0 % example/whole .* 0.5 20.0 %", of_video)
    mean = TWO_MODELS.model_copy(update={"fusion_intercept": 0.0})
    without_constant = evidence_html(made([0.7], is_video=False, model=mean, members=[(0.9, 0.2)]))
    assert "each times its weight.<" in without_constant
    assert '<section aria-labelledby="models">' not in evidence_html(CASES["image"])
    single, several = (json.loads(evidence_json(CASES[name])) for name in ("image", "two models"))
    assert "models" not in single
    assert "models" not in single["frames"][0]
    assert [model["fake_probability"] for model in several["models"]] == several["frames"][0]["models"] == [0.912, 0.2]
    assert [model["name"] for model in several["models"]] == [one["name"] for one in several["model"]["members"]]


def test_of_models_with_different_crops_no_crop_is_called_what_the_model_saw() -> None:
    two, one = (Page(evidence_html(CASES[name])).text() for name in ("two models", "image"))
    assert "The small pictures are what the model saw." in one
    assert "what the model saw" not in two
    assert "face detection on; each model has its own crop and input size Software" in two
    of_video = Page(evidence_html(CASES["two models, video"])).text()
    assert "People, as the model saw them" not in of_video


def test_models_names_cannot_become_markup() -> None:
    first, second = TWO_MODELS.members
    model = TWO_MODELS.model_copy(update={"members": (first.model_copy(update={"name": "<b>m</b>"}), second)})
    page = Page(evidence_html(made([0.7], is_video=False, model=model, members=[(0.9, 0.1)])))
    assert "b" not in {tag for tag, _ in page.tags}
    assert "<b>m</b>" in page.text()


def test_the_report_says_what_the_score_is_worth_where_it_can_be_judged() -> None:
    evidence = made([0.7], name="photo.jpg", model=DESCRIBED, is_video=False)
    ratio = evidence.verdict.likelihood_ratio
    assert ratio is not None
    assert ratio.explanation in Page(evidence_html(evidence)).text()
    of_faces = DESCRIBED.model_copy(update={"scope": Scope.FACE})
    unassessable = made([0.7], name="photo.jpg", model=of_faces, is_video=False, without_face=[0])
    assert (unassessable.verdict.assessable, unassessable.verdict.likelihood_ratio) == (False, None)
