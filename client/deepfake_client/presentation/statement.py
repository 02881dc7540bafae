"""The verdict in words for people: the same on the page, in the report and on the command line."""

from pydantic import BaseModel, ConfigDict

from deepfake_client.analysis.judged import Judged
from deepfake_client.media import TextEnum
from deepfake_client.plain_text import share, threshold
from deepfake_client.release import BandRecord
from deepfake_client.scores import STRETCH_FRAMES, DetectionResult, verdict


class Outcome(TextEnum):
    """What the evidence amounts to."""

    SIGNS = "signs"
    """The fake probability lies in the fake band."""
    NO_SIGNS = "no_signs"
    """It lies in the real band. That proves nothing."""
    INCONCLUSIVE = "inconclusive"
    """It lies between the bands."""
    NOT_ASSESSABLE = "not_assessable"
    """The model cannot judge what was found."""
    NO_VERDICT = "no_verdict"
    """The model was never trained."""


class Statement(BaseModel):
    """The verdict in words. Its texts may change between versions; programs read `outcome`."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    outcome: Outcome
    headline: str
    explanation: str
    """One sentence: what decided, and where it lies between the thresholds."""
    calibration: str
    """How often the model errs at these thresholds, as far as that was measured; "" where there is no verdict."""


_OUTCOMES = {
    DetectionResult.FAKE: (Outcome.SIGNS, "Signs of manipulation"),
    DetectionResult.REAL: (Outcome.NO_SIGNS, "No sign of manipulation found"),
    DetectionResult.UNCERTAIN: (Outcome.INCONCLUSIVE, "Inconclusive"),
}


def state(judged: Judged) -> Statement:
    """Puts a verdict into words."""
    if not judged.model.trained:
        return Statement(
            outcome=Outcome.NO_VERDICT,
            headline="No verdict: the model is untrained",
            explanation="The model was never trained. Its number means nothing.",
            calibration="",
        )
    if not judged.assessable:
        found = "no face large enough" if judged.face_sides_px else "no face found"
        return Statement(
            outcome=Outcome.NOT_ASSESSABLE,
            headline=f"Not assessable: {found}",
            explanation="The model judges faces only. Its number means nothing here.",
            calibration="",
        )
    result = verdict(judged.fake_probability, judged.bands)
    outcome, headline = _OUTCOMES[result]
    return Statement(
        outcome=outcome,
        headline=headline,
        explanation=f"{_what_decides(judged)} lies {_place(judged, result)}.",
        calibration=_calibration(judged, result),
    )


def _what_decides(judged: Judged) -> str:
    several = judged.suspect is not None and len(judged.people.persons) > 1
    whose = f" of person {judged.suspect.person}" if judged.suspect and several else ""
    if not judged.is_video:
        return f"The fake probability{whose}"
    frames = judged.suspect.frames if judged.suspect else len(judged.scored)
    if judged.model.video_rule == "stretch" and frames > STRETCH_FRAMES:
        return f"The highest mean fake probability of {STRETCH_FRAMES} sampled frames in a row{whose}"
    return f"The mean fake probability of {frames} sampled frame{'' if frames == 1 else 's'}{whose}"


def _place(judged: Judged, result: DetectionResult) -> str:
    real_below, fake_above = threshold(judged.bands.real_below), threshold(judged.bands.fake_above)
    if result is DetectionResult.FAKE:
        return f"above the threshold of {fake_above}"
    if result is DetectionResult.REAL:
        return f"below the threshold of {real_below}"
    return f"between the thresholds of {real_below} and {fake_above}"


def _calibration(judged: Judged, result: DetectionResult) -> str:
    if judged.model.calibration is None:
        if judged.model.has_own_bands(judged.media_type):
            return "The thresholds came with the model. How often it errs at them is not recorded."
        return "The thresholds are defaults. Nobody has measured how often this model errs at them."
    record = judged.model.calibration.of(judged.media_type)
    if result is DetectionResult.FAKE:
        return (
            f"At this threshold {share(record.fpr)} of {_tested(record, record.real, 'real')} were called fake "
            f"(at most {share(record.fpr_upper)} at 95 % confidence); {share(record.tpr.value)} of the fakes "
            "were caught."
        )
    if result is DetectionResult.REAL:
        return (
            f"At this threshold {share(record.fnr)} of {_tested(record, record.fake, 'fake')} showed no sign either "
            f"(at most {share(record.fnr_upper)} at 95 % confidence)."
        )
    return f"Between these thresholds lay {share(record.uncertain)} of the model's test {record.unit}."


def _tested(record: BandRecord, count: int, kind: str) -> str:
    return f"{count} {kind} test {record.unit}"
