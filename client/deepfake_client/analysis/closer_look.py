"""Closer looks at the face that decided, for callers who ask for them. The answer is never lost for their sake."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import Any, Literal, TypeVar, get_args

from deepfake_client.analysis.crops import Skippable, Subject
from deepfake_client.analysis.findings import with_stability
from deepfake_client.analysis.sensitivity import Sensitivity, measure_sensitivity
from deepfake_client.analysis.stability import Stability, measure_stability
from deepfake_client.errors import ConfigurationError, DeadlineExceededError, InputError, ServiceError
from deepfake_client.media import Frame
from deepfake_client.release import ModelInfo
from deepfake_client.result import DetectionOutput, FacePrediction, FramePrediction
from deepfake_client.scorer import Deadline, FrameScorer

Look = Literal["stability", "sensitivity", "further_frames"]
"""What can be asked for. `DetectionDetails` has fields named after them; the detector sees to the further frames."""

LOOKS: tuple[Look, ...] = get_args(Look)

_Skippable = TypeVar("_Skippable", bound=Skippable)


def check_looks(include: Collection[str]) -> None:
    """Raises a ConfigurationError where something else is asked for."""
    if unknown := set(include) - set(LOOKS):
        raise ConfigurationError(f"include holds {', '.join(sorted(unknown))}, not {' or '.join(LOOKS)}")


def look_closer(
    output: DetectionOutput,
    frames: Sequence[Frame],
    scorer: FrameScorer,
    include: Collection[Look],
    deadline: Deadline,
    request_id: str = "",
) -> DetectionOutput:
    """The result with the closer looks in its details, and with the findings that follow from them.

    Args:
        output: The result without them.
        frames: As they were scored.
        scorer: That scored them.
        include: The looks.
        deadline: Of the whole detection. A look for which no time is left is skipped, and says so.
        request_id: See `FrameScorer.score`.

    Raises:
        DeadlineExceededError: The detection was cancelled.
    """
    subjects, model, details = deciding_faces(output, frames), output.model, output.details
    bands = model.verdict_bands.of(details.input_type)
    hindrance = _hindrance(output, subjects)
    added: dict[str, Any] = {}
    if "stability" in include:
        stability = _unless_hindered(
            Stability,
            lambda: measure_stability(scorer, subjects, model, bands, deadline, request_id),
            hindrance,
            deadline,
        )
        added |= {"stability": stability, "findings": with_stability(details.findings, stability)}
    if "sensitivity" in include:
        added["sensitivity"] = _unless_hindered(
            Sensitivity,
            lambda: measure_sensitivity(scorer, subjects[0], model, deadline, request_id),
            hindrance or _hindrance_of_map(model),
            deadline,
        )
    return replace(output, details=details.model_copy(update=added))


def deciding_faces(output: DetectionOutput, frames: Sequence[Frame]) -> list[Subject]:
    """Where the verdict comes from: an image's deciding face; of a video the deciding person's face in two frames.

    These are their most suspicious frame and their median one. Where no person decides it is the largest face of each
    frame, or all of it.
    """
    person = output.suspect.person if output.suspect else None
    subjects = []
    for predicted, frame in zip(output.details.frame_predictions, frames, strict=True):
        faces: list[FacePrediction | FramePrediction] = [face for face in predicted.faces if face.person == person]
        subjects += [
            Subject(predicted.index, predicted.timestamp_s, frame.encoded, person, face.face_box, face.fake_probability)
            for face in (faces if person else [predicted])
            if face.fake_probability is not None
        ]
    subjects.sort(key=lambda subject: -subject.fake_probability)
    return [subjects[0], subjects[len(subjects) // 2]][: len(subjects)]


def _hindrance(output: DetectionOutput, subjects: Sequence[Subject]) -> str | None:
    """Why no changed crop says anything; None where one does."""
    if not output.details.assessable:
        return "There is no face that the model can judge."
    if not output.model.preprocess.sees_one_crop and any(subject.face_box_px for subject in subjects):
        return "The models that are fused see different parts of the picture."
    return None


def _hindrance_of_map(model: ModelInfo) -> str | None:
    """Why no map of cells says anything: its pictures are made in the size of one model."""
    return None if model.preprocess.resizes_alike else "The models that are fused resize the picture in different ways."


def _unless_hindered(
    kind: type[_Skippable], look: Callable[[], _Skippable], hindrance: str | None, deadline: Deadline
) -> _Skippable:
    if hindrance is not None:
        return kind(skipped=hindrance)
    try:
        return look()
    except DeadlineExceededError:
        if deadline.cancelled:
            raise
        return kind(skipped="No time was left before the deadline.")
    except InputError as error:
        return kind(skipped=f"The frame cannot be decoded once more ({error.code}).")
    except ServiceError as error:
        return kind(skipped=f"The service did not score the changed pictures ({error.code}).")
