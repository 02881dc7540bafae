"""One finding: its code, how grave it is, and what it says."""

from pydantic import BaseModel, ConfigDict

from deepfake_client.media import TextEnum


class Severity(TextEnum):
    """How much a finding weakens the result."""

    CRITICAL = "critical"
    """The result means nothing."""
    WARNING = "warning"
    """The result may well be wrong for this reason."""
    INFO = "info"
    """The result may be right, but this should be known."""


class FindingCode(TextEnum):
    """The findings; a code is never renamed or given another meaning."""

    UNTRAINED_MODEL = "UNTRAINED_MODEL"
    DECLARED_SYNTHETIC = "DECLARED_SYNTHETIC"
    NO_FACE = "NO_FACE"
    FEW_FACES = "FEW_FACES"
    SMALL_FACE = "SMALL_FACE"
    OTHER_FACE_SUSPICIOUS = "OTHER_FACE_SUSPICIOUS"
    MULTIPLE_PEOPLE = "MULTIPLE_PEOPLE"
    OTHER_LABEL = "OTHER_LABEL"
    FACE_DETECTION_OFF = "FACE_DETECTION_OFF"
    LOW_RESOLUTION = "LOW_RESOLUTION"
    MULTIPLE_VIDEO_TRACKS = "MULTIPLE_VIDEO_TRACKS"
    VIDEO_INCOMPLETE = "VIDEO_INCOMPLETE"
    TRANSPARENT = "TRANSPARENT"
    ANIMATED_IMAGE = "ANIMATED_IMAGE"
    FIRST_FRAME_ONLY = "FIRST_FRAME_ONLY"
    FRAMES_FAILED = "FRAMES_FAILED"
    FEW_FRAMES = "FEW_FRAMES"
    SHORT_VIDEO = "SHORT_VIDEO"
    SCORES_DISAGREE = "SCORES_DISAGREE"
    MODELS_DISAGREE = "MODELS_DISAGREE"
    SHORT_SUSPICIOUS_STRETCH = "SHORT_SUSPICIOUS_STRETCH"
    ISOLATED_PEAK = "ISOLATED_PEAK"
    NEAR_BAND_EDGE = "NEAR_BAND_EDGE"
    UNSTABLE = "UNSTABLE"
    DEFAULT_BANDS = "DEFAULT_BANDS"
    REDUCED_PRECISION = "REDUCED_PRECISION"

    @property
    def severity(self) -> Severity:
        """How much it weakens a result: most are warnings."""
        return _SEVERITIES.get(self, Severity.WARNING)


_SEVERITIES = {
    FindingCode.UNTRAINED_MODEL: Severity.CRITICAL,
    FindingCode.MULTIPLE_PEOPLE: Severity.INFO,
    FindingCode.FACE_DETECTION_OFF: Severity.INFO,
    FindingCode.ISOLATED_PEAK: Severity.INFO,
    FindingCode.DEFAULT_BANDS: Severity.INFO,
    FindingCode.REDUCED_PRECISION: Severity.INFO,
}


class Finding(BaseModel):
    """One thing that makes the result unreliable."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    code: FindingCode
    severity: Severity
    message: str
    """What was found, and what follows from it."""
