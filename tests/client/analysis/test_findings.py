"""The findings: each rule at both sides of its threshold, and nothing else found."""

import re
from math import nan
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deepfake_client.analysis import findings
from deepfake_client.analysis.faces import FaceChoice
from deepfake_client.analysis.finding import FindingCode, Severity
from deepfake_client.analysis.findings import SMALL_FACE_PX
from deepfake_client.analysis.stability import Change, FaceStability, Stability, Variant
from deepfake_client.media import MediaFormat, MediaType, VideoLength, VideoTrack
from deepfake_client.provenance.model import FileStatement, Provenance
from deepfake_client.release import ModelInfo, ReleaseBands, Scope, VerdictBands
from deepfake_client.scorer import MIN_FACE_PX
from deepfake_client.scores import STRETCH_FRAMES, verdict
from tests.client.evidence.cases import MODEL, SIZE_PX, TWO_MODELS, made_output
from tests.media import encode_image

DEFAULT_BANDS = ReleaseBands()
DOCS = Path(__file__).parents[3] / "docs" / "page-and-report.md"


def with_bands(image: VerdictBands, video: VerdictBands = DEFAULT_BANDS.video) -> ModelInfo:
    return MODEL.model_copy(update={"verdict_bands": ReleaseBands(image=image, video=video)})


OWN_BANDS = with_bands(VerdictBands(real_below=0.2, fake_above=0.8), VerdictBands(real_below=0.25, fake_above=0.75))
SOUND = [0.9 + 0.001 * i for i in range(30)]
"""A video about which there is nothing to say: with bands of its own no rule finds anything."""


def codes(scores: list[Any], **options: Any) -> set[str]:
    output = made_output(scores, **{"model": OWN_BANDS, **options})
    return {finding.code.value for finding in output.findings}


def sentence(code: str, scores: list[Any], **options: Any) -> str:
    findings = made_output(scores, **{"model": OWN_BANDS, **options}).findings
    return next(finding.message for finding in findings if finding.code == code)


def test_a_sound_result_has_no_findings() -> None:
    assert codes(SOUND) == set()
    assert codes([0.9], is_video=False) == set()


def test_untrained() -> None:
    assert codes(SOUND, model=OWN_BANDS.model_copy(update={"trained": False})) == {"UNTRAINED_MODEL"}


def test_default_bands_are_known_by_their_values() -> None:
    assert codes(SOUND, model=MODEL) == {"DEFAULT_BANDS"}
    changed = with_bands(VerdictBands(real_below=0.3, fake_above=0.8))
    assert codes(SOUND, model=changed) == {"DEFAULT_BANDS"}, "those of videos are still the defaults"
    assert codes([0.95], model=changed, is_video=False) == set()


def test_faces() -> None:
    assert codes(SOUND, without_face=range(15)) == set()
    assert codes(SOUND, without_face=range(16)) == {"FEW_FACES"}
    assert "14 of 30 scored frames" in sentence("FEW_FACES", SOUND, without_face=range(16))
    assert codes(SOUND, without_face=range(30)) == {"NO_FACE"}
    assert codes([0.9], is_video=False, without_face=[0]) == {"NO_FACE"}
    off = OWN_BANDS.model_copy(update={"preprocess": MODEL.preprocess.model_copy(update={"face_detection": False})})
    assert codes(SOUND, model=off, without_face=range(30)) == {"FACE_DETECTION_OFF"}
    assert codes(["DECODE_FAILED", *SOUND], without_face=range(17)) == {"FRAMES_FAILED", "FEW_FACES"}, (
        "a frame that was not scored has no face and counts in neither number"
    )


def test_several_people() -> None:
    real = [0.1] * 30
    assert codes(SOUND, others=[SOUND]) == {"MULTIPLE_PEOPLE"}
    several = sentence("MULTIPLE_PEOPLE", SOUND, others=[[0.95] * 30])
    assert several.startswith("2 people were judged (one may count twice")
    assert several.endswith("The verdict is that of person 2, the most suspicious one seen often enough.")
    unjudged = sentence("MULTIPLE_PEOPLE", [0.9], is_video=False, others=[[nan], [nan]])
    assert unjudged == "Not judged, too small or too many: 2 further faces."
    assert sentence("MULTIPLE_PEOPLE", [0.9], is_video=False, others=[[nan]], choice=FaceChoice.LARGEST) == (
        "The verdict is that of the largest face of each frame. Not judged, too small or too many: 1 further face."
    )
    assert codes(real, others=[real]) == {"MULTIPLE_PEOPLE"}


def test_another_face_looks_fake() -> None:
    real, both = [0.1] * 30, {"MULTIPLE_PEOPLE", "OTHER_FACE_SUSPICIOUS"}
    assert codes([0.1], is_video=False, others=[[0.95]]) == both
    decides = sentence("OTHER_FACE_SUSPICIOUS", [0.1], is_video=False, others=[[0.95]])
    assert decides.startswith(
        "Person 2 looks fake (95.0 %) and decides the verdict: the largest faces alone say 10.0 %."
    )
    assert codes([0.1], is_video=False, others=[[0.8]]) == {"MULTIPLE_PEOPLE", "NEAR_BAND_EDGE"}, "the edge is inside"
    assert codes([0.9], is_video=False, others=[[0.95]]) == {"MULTIPLE_PEOPLE"}, "so does the largest"
    assert codes(real, others=[[0.95] * 30]) == both
    rare = sentence("OTHER_FACE_SUSPICIOUS", real, others=[[0.95] * 5])
    assert "is seen in 5 of 30 frames with a face, less than a fifth, and so does not decide" in rare
    assert "by the settings the largest faces do" in sentence(
        "OTHER_FACE_SUSPICIOUS", real, others=[[0.95] * 30], choice=FaceChoice.LARGEST
    )


def test_small_faces() -> None:
    assert codes(SOUND, face_side_px=64.0) == set()
    assert codes(SOUND, face_side_px=63.9) == {"SMALL_FACE"}
    assert sentence("SMALL_FACE", [0.9], is_video=False, face_side_px=40.0).startswith("The face is 40 px")


FOR_FACES = OWN_BANDS.model_copy(update={"scope": Scope.FACE})


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"without_face": [0]}, "NO_FACE"),
        ({"face_side_px": MIN_FACE_PX - 0.1}, "SMALL_FACE"),
        ({"face_side_px": MIN_FACE_PX}, None),
    ],
)
def test_a_model_for_faces_judges_nothing_else(options: dict[str, Any], expected: str | None) -> None:
    output = made_output([0.95], model=FOR_FACES, is_video=False, **options)
    assert output.details.assessable is (expected is None)
    assert output.result.value == ("fake" if expected is None else "uncertain")
    assert output.confidence_score == 0.95, "the number stays as the model gave it"
    critical = [finding.code for finding in output.findings if finding.severity is Severity.CRITICAL]
    assert critical == ([] if expected is None else [expected])
    of_any = made_output([0.95], model=OWN_BANDS, is_video=False, **options)
    assert (of_any.result.value, of_any.details.assessable) == ("fake", True)
    assert {finding.severity for finding in of_any.findings} == {Severity.WARNING}


def test_one_face_makes_a_video_assessable() -> None:
    assert made_output(SOUND, model=FOR_FACES, without_face=range(29)).details.assessable
    assert not made_output(SOUND, model=FOR_FACES, without_face=range(30)).details.assessable


def test_who_gives_faces_without_a_search_is_believed() -> None:
    off = FOR_FACES.model_copy(update={"preprocess": MODEL.preprocess.model_copy(update={"face_detection": False})})
    assert made_output([0.95], model=off, is_video=False, without_face=[0]).result.value == "fake"


def test_low_resolution(monkeypatch: pytest.MonkeyPatch) -> None:
    assert SIZE_PX[1] >= findings.LOW_RESOLUTION_PX
    monkeypatch.setattr(findings, "LOW_RESOLUTION_PX", SIZE_PX[1])
    assert codes(SOUND) == set()
    monkeypatch.setattr(findings, "LOW_RESOLUTION_PX", SIZE_PX[1] + 1)
    assert codes(SOUND) == {"LOW_RESOLUTION"}
    assert "480 x 384 px" in sentence("LOW_RESOLUTION", SOUND)
    assert codes(SOUND, keep_frames=False) == {"LOW_RESOLUTION"}


def test_several_video_tracks() -> None:
    message = sentence("MULTIPLE_VIDEO_TRACKS", SOUND, video_track=VideoTrack(2, 3))
    assert message.startswith("The file holds 3 video tracks. Number 2 was judged")
    assert codes(SOUND, video_track=VideoTrack(2, 3)) == {"MULTIPLE_VIDEO_TRACKS"}


@pytest.mark.parametrize(
    ("said_s", "decodable_s", "incomplete"),
    [
        (53.0, 21.0, True),
        (53.0, 51.3, False),
        (53.0, 51.2, True),
        (10.0, 9.1, False),
        (10.0, 8.9, True),
        (9.0, 9.5, False),
    ],
)
def test_an_incomplete_video(said_s: float, decodable_s: float, incomplete: bool) -> None:
    found = codes(SOUND, video_length=VideoLength(said_s, decodable_s))
    assert found == ({"VIDEO_INCOMPLETE"} if incomplete else set())
    if said_s == 53.0 and decodable_s == 21.0:
        assert "it lasts 53.0 s, but its video can be decoded only up to 21.0 s" in sentence(
            "VIDEO_INCOMPLETE", SOUND, video_length=VideoLength(said_s, decodable_s)
        )


@pytest.mark.parametrize("alpha", [0, 254, 255])
def test_a_background_that_shows_through(alpha: int) -> None:
    pixels = np.full((384, 480, 4), 255, np.uint8)
    pixels[100:200, 100:200, 3] = alpha
    found = codes([0.9], is_video=False, picture=encode_image(pixels, "PNG"))
    assert found == ({"TRANSPARENT"} if alpha < 255 else set())


def test_an_animated_picture() -> None:
    for name in ("png", "webp", "gif", "avif"):
        assert codes(SOUND, format_=MediaFormat(name, MediaType.VIDEO)) == {"ANIMATED_IMAGE"}


def test_pictures_that_were_not_looked_at() -> None:
    tiff = MediaFormat("tiff", MediaType.IMAGE, first_only=True)
    assert codes([0.9], is_video=False, format_=tiff) == {"FIRST_FRAME_ONLY"}


@pytest.mark.parametrize(
    ("provenance", "why"),
    [
        (Provenance(digital_source_types=("trainedAlgorithmicMedia",)), "digital source type trainedAlgorithmicMedia"),
        (
            Provenance(digital_source_types=("compositeWithTrainedAlgorithmicMedia",)),
            "digital source type compositeWithTrainedAlgorithmicMedia",
        ),
        (
            Provenance(statements=(FileStatement(source="PNG text", name="prompt", value="{}", of_generator=True),)),
            "PNG text prompt of a generator",
        ),
        (Provenance(digital_source_types=("digitalCapture",), has_location=True), None),
    ],
)
@pytest.mark.parametrize("score", [0.05, 0.95])
def test_a_file_that_says_that_a_model_made_it_changes_nothing_else(
    provenance: Provenance, why: str | None, score: float
) -> None:
    options: dict[str, Any] = {"is_video": False, "model": OWN_BANDS}
    with_it, without = made_output([score], provenance=provenance, **options), made_output([score], **options)
    assert with_it.result is without.result
    assert with_it.details.assessable
    assert with_it.scores == without.scores
    assert codes([score], provenance=provenance, **options) == ({"DECLARED_SYNTHETIC"} if why else set())
    if why:
        assert f"({why})" in sentence("DECLARED_SYNTHETIC", [score], provenance=provenance, **options)


def test_failed_frames_say_why() -> None:
    message = sentence("FRAMES_FAILED", [*SOUND, "DECODE_FAILED", "TOO_COMPLEX", "DECODE_FAILED"])
    assert message == (
        "The result leaves out 3 of 33 frames that could not be scored. DECODE_FAILED (2): Meaning of DECODE_FAILED.; "
        "TOO_COMPLEX (1): Meaning of TOO_COMPLEX."
    )


def test_few_frames() -> None:
    assert codes(SOUND[:11]) == set()
    assert codes(SOUND[:10]) == {"FEW_FRAMES"}
    assert codes([*SOUND[:10], "DECODE_FAILED"]) == {"FEW_FRAMES", "FRAMES_FAILED"}


def test_the_number_of_frames_is_where_one_frame_moves_the_percentile() -> None:
    """The threshold's own reason: the highest of 10 frames moves video_score, the highest of 11 does not."""

    def video_score(count: int, highest: float) -> float:
        return made_output([0.5] * (count - 1) + [highest]).scores.video_score

    assert video_score(findings.FEW_FRAMES, 0.9) == pytest.approx(video_score(findings.FEW_FRAMES, 0.6))
    assert video_score(findings.FEW_FRAMES - 1, 0.9) > video_score(findings.FEW_FRAMES - 1, 0.6) + 1


def test_short_videos() -> None:
    assert codes(SOUND, interval_s=2 / 29) == set()
    assert codes(SOUND, interval_s=1.99 / 29) == {"SHORT_VIDEO"}


def test_frames_that_disagree() -> None:
    assert codes([0.95] * 27 + [0.2] * 3) == {"SCORES_DISAGREE"}
    assert codes([0.95] * 28 + [0.2] * 2) == set(), "two odd frames of thirty do not"
    assert codes([0.3, 0.72] * 15) == {"SCORES_DISAGREE"}, "a deviation of 0.21, all of it between the bands"
    assert codes([0.3, 0.68] * 15) == set(), "a deviation of 0.19"
    assert "3 lie in the fake band and 27 in the real band" in sentence("SCORES_DISAGREE", [0.1] * 27 + [0.8] * 3)


def test_an_isolated_peak_is_what_raises_the_risk_score() -> None:
    output = made_output([0.1] * 29 + [0.9], model=OWN_BANDS)
    assert output.scores.risk_score > output.scores.video_score
    assert codes([0.1] * 29 + [0.9]) == {"ISOLATED_PEAK"}
    output = made_output([0.1] * 29 + [0.19])
    assert output.scores.risk_score == output.scores.video_score
    assert codes([0.1] * 29 + [0.19]) == set()


def test_a_short_stretch_in_a_video_that_is_not_fake() -> None:
    stretch = "SHORT_SUSPICIOUS_STRETCH"
    assert codes([0.1] * 10 + [0.8] * 3 + [0.1] * 17) >= {stretch}
    assert stretch not in codes([0.1] * 10 + [0.8, 0.8, 0.1, 0.8, 0.8] + [0.1] * 15), "two and two are no three"
    assert stretch not in codes([0.1] * 10 + [0.75] * 3 + [0.1] * 17), "on the edge of the band"
    assert stretch not in codes([0.9] * 26 + [0.1] * 4), "the verdict is fake: the mean says it"
    half_a_second = {"interval_s": 0.5 / 3}
    assert stretch in codes([0.1] * 10 + [0.8] * 3 + [0.1] * 17, **half_a_second)
    assert stretch not in codes([0.8] * 3 + [0.1] * 27, **half_a_second), "the first frame begins at its own time"
    assert stretch not in codes([0.8], is_video=False)
    faceless = {"model": OWN_BANDS.model_copy(update={"scope": Scope.FACE}), "without_face": range(30)}
    assert stretch not in codes([0.1] * 10 + [0.8] * 3 + [0.1] * 17, **faceless), "not assessable at all"
    said = sentence(stretch, [0.1] * 3 + [0.8] * 3 + [0.1] * 3 + [0.9] * 4 + [0.1] * 17)
    assert "From 4.2 to 6.2 s, 4 sampled frames" in said
    assert "(90.0 % on average)" in said


def test_three_in_a_row_are_what_chance_gives_seldom() -> None:
    """The threshold's own reason."""
    above = np.random.default_rng(0).random((20_000, 30)) < 0.05

    def share(frames: int) -> float:
        runs = np.lib.stride_tricks.sliding_window_view(above, frames, axis=1).all(axis=2)
        return float(runs.any(axis=1).mean())

    assert share(STRETCH_FRAMES - 1) == pytest.approx(0.07, abs=0.01)
    assert share(STRETCH_FRAMES) == pytest.approx(0.003, abs=0.001)


@pytest.mark.parametrize(("p", "near"), [(0.801, True), (0.849, True), (0.851, False), (0.751, True), (0.749, False)])
def test_near_the_fake_band(p: float, near: bool) -> None:
    assert (codes([p], is_video=False) == {"NEAR_BAND_EDGE"}) is near


def test_near_the_real_band() -> None:
    assert "from 20 %, the edge of the real band" in sentence("NEAR_BAND_EDGE", [0.21], is_video=False)


@pytest.mark.parametrize(("p", "result"), [(0.81, "fake"), (0.75, "uncertain"), (0.8, "uncertain")])
def test_unstable(p: float, result: str) -> None:
    """What a variant scores, against bands that end at 0.2 and 0.8; see test_stability.py for whole detections."""
    (face,) = _stability(p).faces
    assert face.variants[0].result == result
    found = findings.with_stability((), _stability(p))
    assert [finding.code.value for finding in found] == (["UNSTABLE"] if result == "fake" else [])


def test_unstable_has_its_place_among_the_others() -> None:
    others = made_output([0.79], model=MODEL, is_video=False, without_face=[0]).findings
    found = [finding.code.value for finding in findings.with_stability(others, _stability(0.9))]
    assert found == ["NO_FACE", "UNSTABLE", "DEFAULT_BANDS"]


def _stability(p: float) -> Stability:
    bands = OWN_BANDS.verdict_bands.image
    variant = Variant(change=Change.MIRROR, fake_probability=p, result=verdict(p, bands))
    face = FaceStability(
        index=0, timestamp_s=0.0, person=None, face_box=None, fake_probability=0.7, result=verdict(0.7, bands),
        variants=(variant,), lowest=0.7, highest=p,
    )  # fmt: skip
    return Stability(faces=(face,))


def test_labels_that_mean_neither() -> None:
    """With fake at p the rest is called no_face."""
    model = OWN_BANDS.model_copy(update={"labels": ("Fake", "no_face"), "other_labels": ("no_face",)})
    assert "OTHER_LABEL" not in codes([0.5] * 30, model=model)
    assert "OTHER_LABEL" in codes([0.49] * 30, model=model)
    assert "gives 90.0 % to labels that mean neither fake nor real (no_face)" in sentence(
        "OTHER_LABEL", [0.1] * 30, model=model
    )
    frames = made_output([0.1, "DECODE_FAILED"], model=model).details.frame_predictions
    assert frames[0].other_probability == pytest.approx(0.9)
    assert "other_probability" not in frames[1].model_dump()
    assert made_output([0.1]).details.frame_predictions[0].other_probability is None
    sigmoids = model.model_copy(
        update={
            "labels": ("fake", "cartoon", "no_face"),
            "other_labels": ("cartoon", "no_face"),
            "activation": "sigmoid",
        }
    )
    assert sigmoids.other_probability((0.9, 0.8, 0.3)) == 0.8


@pytest.mark.parametrize(
    ("members", "disagree"),
    [((0.81, 0.19), True), ((0.19, 0.81), True), ((0.8, 0.19), False), ((0.81, 0.2), False), ((0.9, 0.81), False)],
)
def test_models_disagree_where_one_lies_in_each_band(members: tuple[float, float], disagree: bool) -> None:
    model = TWO_MODELS.model_copy(update={"verdict_bands": OWN_BANDS.verdict_bands})
    options = {"model": model, "is_video": False, "members": [members]}
    assert codes([0.5], **options) == ({"MODELS_DISAGREE"} if disagree else set())
    if disagree:
        said = sentence("MODELS_DISAGREE", [0.5], **options)
        fake, real = ("face", "whole") if members[0] > members[1] else ("whole", "face")
        assert f"example/{fake} (81.0 %) in the fake band, example/{real} (19.0 %) in the real band" in said


def test_a_model_without_weight_contradicts_none() -> None:
    first, second = TWO_MODELS.members
    members = (first, second.model_copy(update={"weight": 0.0}))
    model = TWO_MODELS.model_copy(update={"verdict_bands": OWN_BANDS.verdict_bands, "members": members})
    assert codes([0.9], model=model, is_video=False, members=[(0.9, 0.1)]) == set()


def test_models_disagree_about_the_file_not_about_single_frames() -> None:
    model = TWO_MODELS.model_copy(update={"verdict_bands": OWN_BANDS.verdict_bands})
    assert codes(SOUND, model=model, members=[(0.9, 0.1), (0.1, 0.9)] * 15) == set()
    assert codes(SOUND, model=model, members=[(0.76, 0.24)] * 30) == {"MODELS_DISAGREE"}


def test_reduced_precision() -> None:
    assert codes(SOUND, model=OWN_BANDS.model_copy(update={"precision": "bf16"})) == {"REDUCED_PRECISION"}


def test_the_worst_comes_first() -> None:
    model = MODEL.model_copy(update={"trained": False, "precision": "bf16"})
    output = made_output([0.61], model=model, without_face=[0])
    severities = [finding.severity for finding in output.findings]
    assert severities == sorted(severities, key=list(Severity).index)
    assert severities[0] is Severity.CRITICAL
    assert len(severities) == 7


def test_every_code_can_be_found() -> None:
    off = MODEL.model_copy(
        update={"trained": False, "precision": "bf16", "preprocess": MODEL.preprocess.model_copy(
            update={"face_detection": False})}
    )  # fmt: skip
    found = codes([0.1, "DECODE_FAILED", 0.9], model=off, face_side_px=20.0)
    found |= codes([0.1] * 29 + [0.9]) | codes(SOUND, without_face=range(16)) | codes(SOUND, without_face=range(30))
    found |= codes([0.1] * 10 + [0.8] * 3 + [0.1] * 17)
    found |= codes(SOUND, video_track=VideoTrack(1, 2)) | codes([0.1] * 9, others=[[0.9]])
    found |= codes(SOUND, video_track=VideoTrack(1, 2), video_length=VideoLength(9.0, 3.0))
    found |= codes([0.81], is_video=False) | {"LOW_RESOLUTION", "TRANSPARENT", "ANIMATED_IMAGE", "FIRST_FRAME_ONLY"}
    found |= {"UNSTABLE", "OTHER_LABEL", "MODELS_DISAGREE"}  # see their own tests
    found |= codes(SOUND, provenance=Provenance(digital_source_types=("trainedAlgorithmicMedia",)))
    found |= codes([0.81], is_video=False) | {"LOW_RESOLUTION", "TRANSPARENT", "ANIMATED_IMAGE"}
    assert found == set(FindingCode)


def test_the_documentation_lists_each_finding_with_its_severity_and_threshold() -> None:
    rows = re.findall(r"^\| `([A-Z_]+)` \| (\w+) \| (.+?) \|", DOCS.read_text("utf-8"), re.MULTILINE)
    rows = [row for row in rows if row[0] in list(FindingCode)]
    assert [(code, severity) for code, severity, _ in rows] == [
        (code.value, code.severity.value) for code in FindingCode
    ]
    conditions = {code: condition for code, _, condition in rows}
    for code, threshold in {
        "FEW_FACES": "half",
        "OTHER_FACE_SUSPICIOUS": "largest",
        "SMALL_FACE": f"under {SMALL_FACE_PX} px",
        "LOW_RESOLUTION": f"under {findings.LOW_RESOLUTION_PX} px",
        "FEW_FRAMES": f"fewer than {findings.FEW_FRAMES}",
        "VIDEO_INCOMPLETE": f"over {findings.MISSING_S:g} s and 1/{1 / findings.MISSING_SHARE:.0f} of",
        "SHORT_VIDEO": f"under {findings.SHORT_VIDEO_S:g} s",
        "SCORES_DISAGREE": f"{findings.DISAGREEING_SHARE:.0%}",
        "SHORT_SUSPICIOUS_STRETCH": f"{STRETCH_FRAMES} or more",
        "ISOLATED_PEAK": f"more than {findings.ISOLATED_PEAK_POINTS:g} points",
        "NEAR_BAND_EDGE": f"less than {findings.NEAR_EDGE:g}",
    }.items():
        assert threshold in conditions[code], code
    assert f"for {findings.STRETCH_S:g} s or more" in conditions["SHORT_SUSPICIOUS_STRETCH"]
    assert f"{findings.DISAGREEING_DEVIATION:g} or more" in conditions["SCORES_DISAGREE"]
