"""The result of a detection, and how it is made from the scores of the frames."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from deepfake_client.analysis.faces import FaceChoice, FaceRules
from deepfake_client.analysis.finding import Finding
from deepfake_client.analysis.findings import find
from deepfake_client.analysis.judged import Judged
from deepfake_client.analysis.media_facts import MediaFacts, facts_of_picture, places_of_frames
from deepfake_client.analysis.members import ModelScore, score_members
from deepfake_client.analysis.people import People, Person, Series, find_people, number_further
from deepfake_client.analysis.segments import Segment, find_segments
from deepfake_client.analysis.sensitivity import Sensitivity
from deepfake_client.analysis.stability import Stability
from deepfake_client.errors import NothingScoredError
from deepfake_client.media import Frame, MediaFormat, MediaType, VideoTrack
from deepfake_client.presentation.statement import Statement, state
from deepfake_client.provenance.model import Provenance
from deepfake_client.release import ModelIdentity, ModelInfo
from deepfake_client.scorer import OK, Face, FrameScore, Scoring
from deepfake_client.scores import DetectionResult, MediaScores, deciding_probability, media_scores, verdict


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True, protected_namespaces=())


class FacePrediction(_Part):
    """One face of a frame."""

    face_box: tuple[float, float, float, float]
    """x0, y0, x1, y1 in pixels."""
    face_score: float
    """The face detector's score, 0-1."""
    fake_probability: float | None
    """0-1, not rounded; null for a face that was not scored: too small, or one too many."""
    person: int | None
    """Whose face, by its number in `people`; null for a face that was not scored."""
    models: tuple[float, ...] = Field(default=(), exclude_if=lambda models: not models)
    """Fake probability by each of the result's `models`, 0-1; left out of a single one, and unless scored."""


class FramePrediction(_Part):
    """One sampled frame. What is not in `faces` speaks of its largest face."""

    index: int
    """Position among the sampled frames, from 0."""
    timestamp_s: float
    """Seconds from the video's first frame; 0 for an image."""
    status: str
    """OK, or why the frame was not scored."""
    fake_probability: float | None
    """0-1, not rounded; null unless scored."""
    face_box: tuple[float, float, float, float] | None
    """x0, y0, x1, y1 of the largest face in pixels; null without a face."""
    face_score: float
    """The face detector's score, 0-1; 0 without a face."""
    faces: tuple[FacePrediction, ...]
    """The largest first, eight at most."""
    other_probability: float | None = Field(default=None, exclude_if=lambda p: p is None)
    """0-1, of labels that mean neither fake nor real, such as no_face; left out where the model has none, and unless
    scored."""
    models: tuple[float, ...] = Field(default=(), exclude_if=lambda models: not models)
    """Fake probability by each of the result's `models`, 0-1; left out of a single one, and unless scored."""


class DetectionDetails(_Part):
    """What stands behind a verdict."""

    input_type: MediaType
    format: str
    """Such as jpeg or mp4, found from the content."""
    frames_analyzed: int
    """Frames that were scored."""
    frames_failed: int
    """Frames that were not; each has its status."""
    frame_predictions: tuple[FramePrediction, ...]
    faces_detected: int
    """Faces in all frames together."""
    people_found: int
    """How many `people` there are; one may count twice, after a cut or a long absence."""
    people: tuple[Person, ...]
    """Whose faces were scored, each followed through the sampled frames."""
    deciding_person: int | None
    """Who of them decides the verdict; null where the largest faces do, or whole pictures."""
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    """Of the file."""
    model: ModelIdentity
    video_track: VideoTrack | None = Field(default=None, exclude_if=lambda track: track is None)
    """Which track was judged, in a video file with several: the one that players show. Left out otherwise."""
    further_frame_predictions: tuple[FramePrediction, ...] = Field(default=(), exclude_if=lambda frames: not frames)
    """Frames sampled around what stood out, numbered on, in the order of time. They sharpen `segments`; no score and no
    count counts them. Left out where there are none."""
    segments: tuple[Segment, ...] | None = Field(default=None, exclude_if=lambda segments: segments is None)
    """Stretches of a video in which one sampled frame after another lies above the fake band. Left out of an image."""
    assessable: bool
    """False where the model is for faces only and found none that is large enough: the result is then uncertain."""
    statement: Statement
    """The verdict in words for people."""
    findings: tuple[Finding, ...]
    """What makes the result unreliable, the worst first."""
    provenance: Provenance | None = Field(default=None, exclude_if=lambda found: found is None)
    """What the file says of itself; never part of the scores. Left out where it says nothing."""
    stability: Stability | None = Field(default=None, exclude_if=lambda value: value is None)
    """Whether the verdict stands when the picture changes a little. Left out unless it was asked for."""
    sensitivity: Sensitivity | None = Field(default=None, exclude_if=lambda value: value is None)
    """Where in the picture the score comes from. Left out unless it was asked for."""
    models: tuple[ModelScore, ...] = Field(default=(), exclude_if=lambda models: not models)
    """The models that are fused, each with its own score of what decides. Left out of a single model."""


@dataclass(frozen=True)
class ScoredFrame:
    """A frame's place in the media and its score.

    Attributes:
        index: Position among the sampled frames, from 0.
        timestamp_s: Presentation time in seconds from the first frame; 0.0 for an image.
        score: What the service answered.
        encoded: The frame as it was sent, an image file; None unless `detect` was asked to keep it.
    """

    index: int
    timestamp_s: float
    score: FrameScore
    encoded: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True)
class DetectionOutput:
    """The result of one detection.

    Attributes:
        result: real, fake or uncertain, by the model's verdict bands; uncertain where it is not assessable.
        confidence_score: The fake probability 0-1 that decided: of the most suspicious person, or of the whole pictures
            where there is no face.
        processing_time_seconds: Wall time of the detection.
        details: What stands behind the verdict.
        model_version: Name, precision and release of the model.
        scores: Risk scores, 0-100.
        frames: Every frame of those spread over the media with its score, in order.
        model: The release that answered.
        media_bytes: Size of the input file.
        facts: Of the media, that the findings are made of.
        suspect: Who of `details.people` decides; None where the largest faces do, or whole pictures.
        further_frames: Frames around what stood out, in order; they have no part in scores and verdict.
    """

    result: DetectionResult
    confidence_score: float
    processing_time_seconds: float
    details: DetectionDetails = field(repr=False)
    model_version: str
    scores: MediaScores
    frames: tuple[ScoredFrame, ...] = field(repr=False)
    model: ModelInfo = field(repr=False)
    media_bytes: int
    facts: MediaFacts = field(repr=False)
    suspect: Person | None = None
    further_frames: tuple[ScoredFrame, ...] = field(default=(), repr=False)

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What makes the result unreliable, the worst first."""
        return self.details.findings

    @property
    def deciding_probabilities(self) -> tuple[float | None, ...]:
        """Fake probability of each of `frames`, 0-1: of the deciding person's face, None where they are not seen.

        Where no person decides it is that of the frame's largest face, or of the whole frame.
        """
        person, predictions = self.details.deciding_person, self.details.frame_predictions
        if person is None:
            return tuple(frame.fake_probability for frame in predictions)
        of_faces = ({face.person: face.fake_probability for face in frame.faces} for frame in predictions)
        return tuple(faces.get(person) for faces in of_faces)

    @cached_property
    def metadata(self) -> dict[str, Any]:
        """The details as JSON-ready values."""
        return self.details.model_dump(mode="json")


@dataclass(frozen=True)
class Aggregate:
    """What the frames of one image or video say together.

    Attributes:
        fake_probability: 0-1: of the most suspicious person who is seen often enough. Without one, or where the largest
            faces decide: the image's, or what `deciding_probability` says of a video's scored frames.
        result: By the model's bands for this kind of media; uncertain where it is not assessable.
        scores: The scores of the HTTP contract, 0-100.
        frames_scored: Frames with a score.
        frames_failed: Frames without one.
        people: Whose faces were scored.
        suspect: Who of them decides; None where the largest faces do, or whole pictures.
        further_numbers: For each further frame, the person of each of its faces.
        segments: Stretches of a video above the fake band; none where the frames' times are not known.
        assessable: Whether the model can judge what was found.
        statement: The verdict in words for people.
        findings: What makes the result unreliable, the worst first.
        models: What each of several models says in place of `fake_probability`.
        models_of_scores: The same in place of `scores.mean_risk`, as a probability.
    """

    fake_probability: float
    result: DetectionResult
    scores: MediaScores
    frames_scored: int
    frames_failed: int
    people: People
    suspect: Person | None
    further_numbers: Sequence[Sequence[int | None]]
    segments: Sequence[Segment]
    assessable: bool
    statement: Statement
    findings: tuple[Finding, ...]
    models: tuple[ModelScore, ...] = ()
    models_of_scores: tuple[ModelScore, ...] = ()


def aggregate(
    scores: Sequence[FrameScore],
    media_type: MediaType,
    model: ModelInfo,
    name: str,
    facts: MediaFacts = MediaFacts(),  # noqa: B008 - frozen
    rules: FaceRules = FaceRules(),  # noqa: B008 - frozen
    further: tuple[Sequence[FrameScore], MediaFacts] = ((), MediaFacts()),
) -> Aggregate:
    """Combines the scores of all frames into one answer.

    Args:
        scores: Of each frame, in order.
        media_type: What the frames were taken from.
        model: The release that gave them.
        name: What to call the media in messages.
        facts: Of the media: where its frames stand, and for the findings.
        rules: Which faces were scored, and decide.
        further: Scores of frames around what stood out, and where these stand.

    Raises:
        NothingScoredError: No frame was scored. The message gives the reason of the first frame.
        ModelFaultError: The release fuses several models, and the scores do not say what each says.
    """
    p = [score.fake_probability for score in scores if score.fake_probability is not None]  # of the largest faces
    if not p:
        statuses = [score.status for score in scores]
        first = statuses[0] if statuses else "NO_FRAMES"
        raise NothingScoredError(f"{name}: no frame could be scored: {first}. {model.status_meaning(first)}", statuses)
    people = find_people(scores, facts, model.verdict_bands.of(media_type), model.video_rule)
    further_numbers = number_further(people, scores, facts, *further)
    suspect = None if rules.choice is FaceChoice.LARGEST else people.most_suspicious
    p_largest = deciding_probability(p, model.video_rule)
    scored = [score for score in scores if score.status == OK]
    counted = list(map(_highest, scored)) if rules.choice is FaceChoice.MOST_SUSPICIOUS else scored
    p_scores = [one.fake_probability for one in counted if one.fake_probability is not None]
    deciding = [face for face in people.faces(suspect, scores) if face] if suspect else scored
    segments: list[Segment] = []
    if media_type is MediaType.VIDEO and facts.times_s:
        everyone = replace(people, numbers=(*people.numbers, *further_numbers))
        series = everyone.series((*scores, *further[0]))
        segments = _segments((*facts.times_s, *further[1].times_s), series, model)
    judged = Judged(
        model,
        media_type,
        scores,
        suspect.fake_probability if suspect else p_largest,
        media_scores(p_scores, media_type),
        facts,
        people,
        suspect,
        p_largest,
        segments=segments,
        min_face_px=rules.min_face_px,
        models=score_members(model, deciding, model.video_rule),
    )
    result = verdict(judged.fake_probability, judged.bands) if judged.assessable else DetectionResult.UNCERTAIN
    return Aggregate(
        fake_probability=judged.fake_probability,
        result=result,
        scores=judged.scores,
        frames_scored=len(p),
        frames_failed=len(scores) - len(p),
        people=people,
        suspect=suspect,
        further_numbers=further_numbers,
        segments=segments,
        assessable=judged.assessable,
        statement=state(judged),
        findings=find(judged),
        models=tuple(judged.models),
        models_of_scores=score_members(model, counted),
    )


def detection_output(
    frames: Sequence[Frame],
    scoring: Scoring,
    format_: MediaFormat,
    *,
    name: str,
    sha256: str,
    size_bytes: int,
    elapsed_s: float,
    provenance: Provenance | None = None,
    keep_frames: bool = False,
    rules: FaceRules = FaceRules(),  # noqa: B008 - frozen
    further: tuple[Sequence[Frame], Sequence[FrameScore]] | None = None,
) -> DetectionOutput:
    """The result for one media file from the scores of its frames.

    Args:
        frames: As they were sent.
        scoring: What came back, one score a frame.
        format_: Of the file.
        name: What to call the file in messages.
        sha256: Of the file.
        size_bytes: Of the file.
        elapsed_s: Wall time of the detection.
        provenance: What the file says of itself; None if that is nothing.
        keep_frames: Whether the result holds the encoded frames.
        rules: Which faces were scored, and decide.
        further: Frames around what stood out, with their scores.

    Raises:
        NothingScoredError: No frame was scored.
    """
    model = scoring.info
    facts = replace(_facts(frames, scoring, format_), provenance=provenance)
    more, more_scores = further or ((), ())
    whole = aggregate(
        scoring.scores, format_.media_type, model, name, facts, rules, (more_scores, places_of_frames(more))
    )
    predicted = partial(_prediction, model)
    scored, around = _scored(frames, scoring.scores, keep_frames), _scored(more, more_scores, keep_frames)
    return DetectionOutput(
        result=whole.result,
        confidence_score=whole.fake_probability,
        processing_time_seconds=elapsed_s,
        details=DetectionDetails(
            input_type=format_.media_type,
            format=format_.name,
            frames_analyzed=whole.frames_scored,
            frames_failed=whole.frames_failed,
            frame_predictions=tuple(map(predicted, scored, whole.people.numbers)),
            further_frame_predictions=tuple(map(predicted, around, whole.further_numbers)),
            faces_detected=sum(len(score.faces) for score in scoring.scores),
            people_found=len(whole.people.persons),
            people=whole.people.persons,
            deciding_person=whole.suspect.person if whole.suspect else None,
            sha256=sha256,
            model=model.identity(),
            video_track=facts.video_track,
            segments=tuple(whole.segments) if format_.media_type is MediaType.VIDEO else None,
            assessable=whole.assessable,
            statement=whole.statement,
            findings=whole.findings,
            provenance=provenance,
            models=whole.models,
        ),
        model_version=model.version,
        scores=whole.scores,
        frames=scored,
        further_frames=around,
        model=model,
        media_bytes=size_bytes,
        facts=facts,
        suspect=whole.suspect,
    )


def face_predictions(score: FrameScore, numbers: Sequence[int | None]) -> tuple[FacePrediction, ...]:
    """The faces of a frame, with whose they are."""
    return tuple(
        FacePrediction(
            face_box=face.box_px,
            face_score=face.score,
            fake_probability=face.fake_probability,
            person=number,
            models=face.members,
        )
        for face, number in zip(score.faces, numbers, strict=True)
    )


def _highest(score: FrameScore) -> FrameScore | Face:
    """A scored frame's most suspicious face; the frame itself stands for its largest face."""
    judged: list[FrameScore | Face] = [score, *score.faces]
    return max(judged, key=lambda one: -1.0 if one.fake_probability is None else one.fake_probability)


def _facts(frames: Sequence[Frame], scoring: Scoring, format_: MediaFormat) -> MediaFacts:
    """Of a media file whose frames were scored."""
    scored = (frame.encoded for frame, score in zip(frames, scoring.scores, strict=True) if score.status == OK)
    of_picture = facts_of_picture(next(scored, None), format_.media_type, scoring.info.preprocess.max_pixels)
    is_video = format_.media_type is MediaType.VIDEO
    return replace(
        places_of_frames(frames),
        frame_size_px=of_picture.frame_size_px,
        is_transparent=of_picture.is_transparent,
        is_animation=format_.is_animation,
        first_only=format_.first_only,
        duration_s=max((frame.timestamp_s for frame in frames), default=0.0) if is_video else None,
        video_track=next((frame.video_track for frame in frames), None),
        video_length=next((frame.video_length for frame in frames), None),
    )


def _scored(frames: Sequence[Frame], scores: Sequence[FrameScore], keep_frames: bool) -> tuple[ScoredFrame, ...]:
    return tuple(
        ScoredFrame(frame.index, frame.timestamp_s, score, frame.encoded if keep_frames else None)
        for frame, score in zip(frames, scores, strict=True)
    )


def _prediction(model: ModelInfo, frame: ScoredFrame, numbers: Sequence[int | None]) -> FramePrediction:
    return FramePrediction(
        index=frame.index,
        timestamp_s=round(frame.timestamp_s, 6),
        status=frame.score.status,
        fake_probability=frame.score.fake_probability,
        face_box=frame.score.face_box_px,
        face_score=frame.score.face_score,
        faces=face_predictions(frame.score, numbers),
        other_probability=model.other_probability(frame.score.probabilities) if frame.score.probabilities else None,
        models=frame.score.members,
    )


def _segments(times_s: Sequence[float], series: Series, model: ModelInfo) -> list[Segment]:
    """Of each person; of the whole pictures where there is nobody."""
    order = sorted(range(len(times_s)), key=times_s.__getitem__)
    ordered_s = [times_s[i] for i in order]
    return [
        segment
        for person, p in series.items()
        for segment in find_segments(ordered_s, [p[i] for i in order], model.verdict_bands.video.fake_above, person)
    ]
