"""What makes a result unreliable: rules over a detection, each with its threshold and the reason for it.

Only what the service's answers and the media's headers show is judged. A new finding is a `FindingCode`, a line in a
rule that yields it, and a row of the table in docs/page-and-report.md.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from statistics import fmean, median, pstdev

from deepfake_client.analysis.finding import Finding, FindingCode, Severity
from deepfake_client.analysis.judged import Judged
from deepfake_client.analysis.stability import Stability
from deepfake_client.plain_text import percent, threshold
from deepfake_client.scorer import OK
from deepfake_client.scores import BAND_NAMES, STRETCH_FRAMES

SMALL_FACE_PX = 64
"""Shorter side of the face box. Smaller faces are found and judged unreliably: with 1.3 x the face as its crop, a model
of 224 px gets a square one of this side enlarged 2.7 times."""

FEW_FACES_SHARE = 0.5
"""With a face in less than half of the frames, most of the mean is about whole scenes and not about a face."""

LOW_RESOLUTION_PX = 360
"""Shorter side of the frame. Smaller pictures have mostly been reduced and compressed again on their way, which removes
the fine traces that a detector looks for."""

OTHER_SHARE = 0.5
"""Mean probability of labels that mean neither fake nor real. Above it the model itself says that the picture is of
another kind, and the little that is left for fake and real decides nothing."""

FEW_FRAMES = 11
"""With fewer values their 90th percentile, `video_score`, lies above the second highest: a single frame moves it."""

SHORT_VIDEO_S = 2.0
"""Frames of a shorter video show nearly the same picture: they are hardly more than one observation."""

MISSING_SHARE = 1 / 30
"""Of the length that a file says. From it on one of the 30 sampled places lies in what is missing."""

MISSING_S = 1.0
"""Headers are off by less than this: they round, and count the end of the sound."""

DISAGREEING_SHARE = 0.1
"""Share of the frames that must lie in the fake band, and in the real band, to call the scores split: 3 of 30, so that
a single odd frame does not."""

DISAGREEING_DEVIATION = 0.2
"""Standard deviation of the frames' probabilities; from it on `temporal_consistency` is 60 or less."""

ISOLATED_PEAK_POINTS = 10.0
"""Points of 100 that the highest frame lies above `video_score` when the risk score begins to count it by itself."""

STRETCH_S = 0.5
"""Seconds that `STRETCH_FRAMES` or more frames in the fake band stand for at least. A blink or a blurred movement lasts
less, and frames within it count as one."""

NEAR_EDGE = 0.05
"""Distance to a band's edge, in fake probability: saving the same picture again with another decoder or resize moved
scores by 0.01 to 0.06."""


_NOT_ASSESSABLE = (FindingCode.NO_FACE, FindingCode.SMALL_FACE)
"""Critical where they are why a result is not assessable."""


def find(judged: Judged) -> tuple[Finding, ...]:
    """All findings, the worst first; within a severity in the order of `FindingCode`."""
    messages = {code: message for rule in _RULES for code, message in rule(judged)}
    critical = () if judged.assessable else _NOT_ASSESSABLE
    found = [
        Finding(code=c, severity=Severity.CRITICAL if c in critical else c.severity, message=messages[c])
        for c in FindingCode
        if c in messages
    ]
    return _worst_first(found)


def with_stability(findings: Iterable[Finding], stability: Stability) -> tuple[Finding, ...]:
    """The findings with what the stability adds to them."""
    flipping = [face for face in stability.faces if face.flips]
    if not flipping:
        return tuple(findings)
    face = max(flipping, key=lambda face: face.highest - face.lowest)
    what = f"frame {face.index}" if len(stability.faces) > 1 else "the picture"
    flips = [variant for variant in face.variants if variant.result is not face.result]
    changes = ", ".join(
        f"{percent(flip.fake_probability)} ({BAND_NAMES[flip.result]}) {flip.change.text}" for flip in flips
    )
    message = (
        f"Small changes that say nothing about its origin move {what} from {percent(face.fake_probability)} "
        f"({BAND_NAMES[face.result]}) into another band: {changes}. The verdict hangs on such details."
    )
    code = FindingCode.UNSTABLE
    return _worst_first([*findings, Finding(code=code, severity=code.severity, message=message)])


def _worst_first(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Within a severity in the order of `FindingCode`."""
    codes, severities = list(FindingCode), list(Severity)
    return tuple(sorted(findings, key=lambda found: (severities.index(found.severity), codes.index(found.code))))


_Found = Iterator[tuple[FindingCode, str]]
"""Findings with their messages."""


def _of_model(judged: Judged) -> _Found:
    model = judged.model
    if not model.trained:
        yield (
            FindingCode.UNTRAINED_MODEL,
            "The model's weights were never trained: its scores are arbitrary and mean nothing.",
        )
    if not model.preprocess.face_detection:
        yield (
            FindingCode.FACE_DETECTION_OFF,
            "This release does not look for faces: the model judged the whole picture.",
        )
    if not model.has_own_bands(judged.media_type):
        yield (
            FindingCode.DEFAULT_BANDS,
            "The verdict bands are this project's defaults, the same for every model.",
        )
    if model.precision != "fp32":
        yield (
            FindingCode.REDUCED_PRECISION,
            f"The model runs in {model.precision}: its scores may differ slightly from those of the checkpoint in "
            "fp32.",
        )


def _of_faces(judged: Judged) -> _Found:
    sides, scored = judged.face_sides_px, judged.scored
    if sides and median(sides) < SMALL_FACE_PX:
        what = "The face is" if len(sides) == 1 else "Half of the faces found, or more, are at most"
        below = SMALL_FACE_PX if judged.assessable else judged.min_face_px
        follows = "scores are unreliable" if judged.assessable else "this model cannot judge a face"
        yield (
            FindingCode.SMALL_FACE,
            f"{what} {median(sides):.0f} px on its shorter side; below {below:g} px {follows}.",
        )
    if not judged.model.preprocess.face_detection:
        return
    if not sides:
        where = "any of the scored frames" if judged.is_video else "the image"
        meant = "for which it may not be meant" if judged.assessable else "and it is meant for faces only"
        yield (
            FindingCode.NO_FACE,
            f"No face was found in {where}: the model judged the whole picture, {meant}.",
        )
    elif len(sides) < FEW_FACES_SHARE * len(scored):
        yield (
            FindingCode.FEW_FACES,
            f"A face was found in only {len(sides)} of {len(scored)} scored frames, less than half: "
            + ("the verdict rests on these." if judged.suspect else "of the others the whole picture was judged."),
        )


def _of_people(judged: Judged) -> _Found:
    people, fake_above = judged.people, judged.bands.fake_above
    if people.is_several:
        yield FindingCode.MULTIPLE_PEOPLE, " ".join(_on_several(judged))
    worst = max(people.persons, key=lambda person: person.fake_probability, default=None)
    if worst is None or worst.fake_probability <= fake_above or judged.p_largest > fake_above:
        return
    if judged.fake_probability > fake_above:
        follows = f"decides the verdict: the largest faces alone say {percent(judged.p_largest)}"
    elif people.is_seen_enough(worst):
        follows = "does not decide the verdict: by the settings the largest faces do"
    else:
        of_all = f"{worst.frames} of {people.frames_with_face} frames with a face"
        follows = f"is seen in {of_all}, less than a fifth, and so does not decide the verdict"
    yield (
        FindingCode.OTHER_FACE_SUSPICIOUS,
        f"Person {worst.person} looks fake ({percent(worst.fake_probability)}) and {follows}. Look at that face.",
    )


def _on_several(judged: Judged) -> Iterator[str]:
    people, suspect = judged.people, judged.suspect
    again = " (one may count twice, after a cut or a long absence)" if judged.is_video else ""
    if (count := len(people.persons)) > 1:
        yield f"{count} people were judged{again}."
    if suspect is not None and count > 1:
        yield f"The verdict is that of person {suspect.person}, the most suspicious one seen often enough."
    elif suspect is None:
        yield "The verdict is that of the largest face of each frame."
    if unscored := sum(number is None for numbers in people.numbers for number in numbers):
        yield f"Not judged, too small or too many: {unscored} further face{'s' if unscored > 1 else ''}."


def _of_frames(judged: Judged) -> _Found:
    frames, scored, facts = judged.frames, len(judged.scored), judged.facts
    if facts.frame_size_px is not None and min(facts.frame_size_px) < LOW_RESOLUTION_PX:
        width, height = facts.frame_size_px
        yield (
            FindingCode.LOW_RESOLUTION,
            f"The picture is {width} x {height} px, its shorter side under {LOW_RESOLUTION_PX} px: fine traces of a "
            "manipulation may be lost.",
        )
    if (track := facts.video_track) is not None:
        yield (
            FindingCode.MULTIPLE_VIDEO_TRACKS,
            f"The file holds {track.of} video tracks. Number {track.number} was judged, which players show; another "
            "one may show something else.",
        )
    if (length := facts.video_length) is not None:
        missing_s = length.said_s - length.decodable_s
        if missing_s > max(MISSING_S, MISSING_SHARE * length.said_s):
            yield (
                FindingCode.VIDEO_INCOMPLETE,
                f"The file says that it lasts {length.said_s:.1f} s, but its video can be decoded only up to "
                f"{length.decodable_s:.1f} s: it is cut or damaged, or has sound without a picture. What is missing "
                "was not judged.",
            )
    if failed := Counter(frame.status for frame in frames if frame.status != OK):
        reasons = "; ".join(
            f"{status} ({count}): {judged.model.status_meaning(status)}".removesuffix(": ")
            for status, count in sorted(failed.items())
        )
        yield (
            FindingCode.FRAMES_FAILED,
            f"The result leaves out {sum(failed.values())} of {len(frames)} frames that could not be scored. {reasons}",
        )
    if judged.is_video and scored < FEW_FRAMES:
        were = "1 frame was" if scored == 1 else f"{scored} frames were"
        yield (
            FindingCode.FEW_FRAMES,
            f"Only {were} scored, fewer than {FEW_FRAMES}: a single frame moves the scores.",
        )
    if facts.duration_s is not None and facts.duration_s < SHORT_VIDEO_S:
        yield (
            FindingCode.SHORT_VIDEO,
            f"The video lasts {facts.duration_s:.2f} s, under {SHORT_VIDEO_S:g} s: its frames show nearly the same "
            "picture and confirm each other little.",
        )


def _of_provenance(judged: Judged) -> _Found:
    provenance = judged.facts.provenance
    if provenance is not None and (declared := provenance.declared_synthetic):
        yield (
            FindingCode.DECLARED_SYNTHETIC,
            f"The file says of itself that a model made it, or a part of it ({'; '.join(declared)}). The scores leave "
            "that out. Anyone can write or remove such a statement.",
        )


def _of_picture(judged: Judged) -> _Found:
    if judged.facts.is_transparent:
        yield (
            FindingCode.TRANSPARENT,
            "The image is transparent in places: it was judged on white, as most programs show it. On another "
            "background it looks different.",
        )
    if judged.facts.is_animation:
        yield (
            FindingCode.ANIMATED_IMAGE,
            "The file is an animated picture: it was judged as a video, by what it shows at moments spread over its "
            "duration. Its last picture may stay on the screen, and programs that know no animations show another.",
        )
    if judged.facts.first_only:
        yield (
            FindingCode.FIRST_FRAME_ONLY,
            "The file holds several pictures, such as the pages of a TIFF or a sequence, and only the first one was "
            "judged. Save the others as files of their own and check them too.",
        )


def _of_labels(judged: Judged) -> _Found:
    shares = [judged.model.other_probability(frame.probabilities) for frame in judged.scored if frame.probabilities]
    known = [share for share in shares if share is not None]
    if known and (share := fmean(known)) > OTHER_SHARE:
        yield (
            FindingCode.OTHER_LABEL,
            f"The model gives {percent(share)} to labels that mean neither fake nor real "
            f"({', '.join(judged.model.other_labels)}): its fake probability says little about this picture.",
        )


def _of_scores(judged: Judged) -> _Found:
    scores, bands = judged.scores, judged.bands
    p = [frame.fake_probability for frame in judged.frames if frame.fake_probability is not None]
    fake, real = sum(v > bands.fake_above for v in p), sum(v < bands.real_below for v in p)
    if min(fake, real) >= max(DISAGREEING_SHARE * len(p), 1):
        yield (
            FindingCode.SCORES_DISAGREE,
            f"The frames contradict each other: {fake} lie in the fake band and {real} in the real band.",
        )
    elif pstdev(p) >= DISAGREEING_DEVIATION:
        yield (
            FindingCode.SCORES_DISAGREE,
            f"The frames' scores vary widely, with a standard deviation of {pstdev(p):.2f} "
            f"({DISAGREEING_DEVIATION} or more): their mean describes few of them.",
        )
    if scores.peak_risk > scores.video_score + ISOLATED_PEAK_POINTS:
        yield (
            FindingCode.ISOLATED_PEAK,
            f"The highest frame ({scores.peak_risk:.1f}) lies more than {ISOLATED_PEAK_POINTS:g} points above the 90th "
            f"percentile ({scores.video_score:.1f}): a single frame raises the risk score. Look at that frame.",
        )
    mean, edges = judged.fake_probability, (("fake", bands.fake_above), ("real", bands.real_below))
    name, edge = min(edges, key=lambda named: abs(mean - named[1]))
    if abs(mean - edge) < NEAR_EDGE:
        yield (
            FindingCode.NEAR_BAND_EDGE,
            f"The fake probability, {percent(mean)}, is less than {100 * NEAR_EDGE:g} points from {threshold(edge)}, "
            f"the edge of the {name} band: saving the picture again could change the verdict.",
        )


def _of_members(judged: Judged) -> _Found:
    """Each model has the bands of the fused score: it knows no others. One without weight has no say."""
    bands, counted = judged.bands, [model for model in judged.models if model.weight > 0]
    fake = [model for model in counted if model.fake_probability > bands.fake_above]
    real = [model for model in counted if model.fake_probability < bands.real_below]
    if fake and real:
        fake_names, real_names = (
            ", ".join(f"{model.name} ({percent(model.fake_probability)})" for model in models)
            for models in (fake, real)
        )
        yield (
            FindingCode.MODELS_DISAGREE,
            f"The models contradict each other: {fake_names} in the fake band, {real_names} in the real band. The "
            "verdict depends on how much weight each has.",
        )


def _of_time(judged: Judged) -> _Found:
    long = [s for s in judged.segments if s.frames >= STRETCH_FRAMES and s.end_s - s.start_s >= STRETCH_S]
    if not long or not judged.assessable or judged.fake_probability > judged.bands.fake_above:
        return
    worst = max(long, key=lambda segment: segment.end_s - segment.start_s)
    yield (
        FindingCode.SHORT_SUSPICIOUS_STRETCH,
        f"From {worst.start_s:.1f} to {worst.end_s:.1f} s, {worst.frames} sampled frames one after another lie in the "
        f"fake band ({percent(worst.mean_probability)} on average), and the video as a whole does not: a manipulation "
        "of that part alone would look like this. Look at it.",
    )


_RULES: tuple[Callable[[Judged], _Found], ...] = (
    _of_model,
    _of_provenance,
    _of_faces,
    _of_people,
    _of_frames,
    _of_picture,
    _of_labels,
    _of_scores,
    _of_members,
    _of_time,
)
