"""Detections with made-up scores that fill every part of a report: what a printed page must have room for."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from deepfake_client.analysis.findings import with_stability
from deepfake_client.analysis.sensitivity import GRID, Sensitivity, SensitivityMap
from deepfake_client.analysis.stability import Change, FaceStability, Stability, Variant
from deepfake_client.evidence.document import Case
from deepfake_client.media import Frame
from deepfake_client.pictures import Box
from deepfake_client.provenance.model import Credentials, FileStatement, Provenance
from deepfake_client.release import (
    BandRecord,
    CalibrationRecord,
    Interval,
    ModelCard,
    ReleaseBands,
    Status,
    VerdictBands,
)
from deepfake_client.result import DetectionOutput, detection_output
from deepfake_client.scorer import OK, Face, FrameScore, Scoring
from deepfake_client.scores import verdict
from preprocessing import STATUS_TABLE
from tests.client.evidence.cases import FACE_PX, MODEL, SHA256, VIDEO, made_output
from tests.inference_server import EXPORT_ID
from tests.media import encode_image, photo_pixels

CASE = Case(
    number="2026-17",
    note="Received from the newsroom on 12 March with the request to say whether the speaker was replaced. The file is "
    "the one that was uploaded to the platform, not a screen recording. Second opinion on file 2026-09.",
)

_MEASURED = BandRecord(
    unit="images", real=300, fake=280, persons=40, auc=0.97, ece_before=0.1, ece_after=0.02, fpr=0.01, fpr_upper=0.0256,
    fnr=0.02, fnr_upper=0.04, tpr=Interval(value=0.913, low=0.88, high=0.94), uncertain=0.05,
)  # fmt: skip
_MODEL = MODEL.model_copy(
    update={
        "statuses": {int(code): Status(name=row.name, meaning=row.meaning) for code, row in STATUS_TABLE.items()},
        "notice": "Made-up scores, for the documentation and the tests.",
        "checkpoint_sha256": "ab" * 32,
        "verdict_bands": ReleaseBands(
            image=VerdictBands(real_below=0.35, fake_above=0.65), video=VerdictBands(real_below=0.35, fake_above=0.65)
        ),
        "calibration": CalibrationRecord(
            temperature=1.7, max_fpr=0.01, max_fnr=0.05, face_detection=True, dataset_sha256="cd" * 32, image=_MEASURED
        ),
        "model_card": ModelCard(
            name="example-detector", licence="Apache-2.0", purpose="A demonstration of a service.", sha256="ef" * 32,
            limits="Trained on photographs of 49 people and forgeries made by code. No evidence about any real-world "
            "deepfake.", url="https://example.org/model-card", text="# Card",
        ),
    }
)  # fmt: skip
_PROVENANCE = Provenance(
    content_credentials=Credentials(
        state="Valid", not_read=None, signer="Example Camera", issuer="Example Corporation",
        signed_at="2026-03-12T09:14:03+00:00", claim_generator="Example Editor 5.1",
        actions=("c2pa.opened", "c2pa.color_adjustments", "c2pa.published"),
        digital_source_types=("digitalCapture",),
    ),
    statements=(
        FileStatement(source="EXIF", name="Make", value="Example"),
        FileStatement(source="EXIF", name="Model", value="Example One"),
        FileStatement(source="EXIF", name="DateTimeOriginal", value="2026:03:11 17:22:40"),
        FileStatement(source="EXIF", name="Software", value="Example Editor 5.1 (Linux)"),
        FileStatement(source="XMP", name="CreatorTool", value="Example Editor 5.1"),
        FileStatement(source="IPTC", name="Credit", value="Example Agency"),
    ),
    has_location=True,
    digital_source_types=("digitalCapture",),
)  # fmt: skip


_LEFT, _RIGHT = (109.0, 67.0, 212.0, 170.0), (440.0, 92.0, 517.0, 169.0)
"""Where the faces of the picture of two people are."""

_OF_LEFT = [
    0.14, 0.15, 0.12, 0.17, 0.11, 0.14, 0.16, 0.19, 0.22, 0.20, 0.18, 0.17, 0.21, 0.24, 0.22, 0.19, 0.18, 0.14,
    0.15, 0.17, 0.14, 0.16, 0.13, 0.15, 0.14, 0.17, 0.16,
]  # fmt: skip
_OF_RIGHT = [
    0.24, 0.28, 0.25, 0.34, 0.31, 0.28, 0.37, 0.35, 0.39, 0.44, 0.52, 0.76, 0.86, 0.91, 0.80, 0.58, 0.46, 0.44,
    0.41, 0.36, 0.42, 0.47, 0.68, 0.72, 0.50, 0.41, 0.38,
]  # fmt: skip
_FAILED, _SMALL, _WITHOUT_FACE = (16, 17), 24, (27, 28, 29)
_FURTHER_S = [5.04 + i / 12 for i in range(30)]


def full_image() -> DetectionOutput:
    """One face, whose verdict one variant changes."""
    output = made_output([0.711], model=_MODEL, is_video=False, provenance=_PROVENANCE)
    return _looked_at(output, [(0, FACE_PX)])


def full_video() -> DetectionOutput:
    """Two people in 30 frames, of which two failed and three show nobody, and 30 further frames around the highest."""
    left, right = photo_pixels("astronaut.png")[:320, 64:384], photo_pixels("camera.png")[30:350, 80:400]
    picture = encode_image(np.hstack([left, right]), "JPEG", quality=90)
    frames = [Frame(i, i / 2, picture) for i in range(30)]
    scores = [_score([(_LEFT, p), (_RIGHT, q)]) for p, q in zip(_OF_LEFT, _OF_RIGHT, strict=True)]
    scores += [FrameScore(OK, 0.37, probabilities=(0.37, 0.63), export_id=EXPORT_ID) for _ in _WITHOUT_FACE]
    for at in _FAILED:
        scores[at] = FrameScore("DECODE_FAILED")
    scores[_SMALL] = _score([((129.0, 87.0, 191.0, 149.0), 0.14)])
    further = [Frame(30 + i, time_s, picture) for i, time_s in enumerate(_FURTHER_S)]
    between = np.interp(_FURTHER_S, [i / 2 for i in range(27)], _OF_RIGHT).tolist()
    further_scores = [_score([(_LEFT, 0.2), (_RIGHT, q)]) for q in between]
    output = detection_output(
        frames, Scoring(_MODEL, scores), VIDEO, name="made", sha256=SHA256, size_bytes=1_234_567, elapsed_s=1.25,
        provenance=_PROVENANCE, keep_frames=True, further=(further, further_scores),
    )  # fmt: skip
    return _looked_at(output, [(13, _RIGHT), (18, _RIGHT)])


def _score(faces: Sequence[tuple[Box, float]]) -> FrameScore:
    p = faces[0][1]
    found = tuple(Face(box, 0.9, p) for box, p in faces)
    return FrameScore(OK, p, probabilities=(p, 1 - p), faces=found, export_id=EXPORT_ID)


def _looked_at(output: DetectionOutput, places: Sequence[tuple[int, Box]]) -> DetectionOutput:
    """With the stability of faces in some frames, and the sensitivity of the first; made up."""
    details, bands = output.details, output.model.verdict_bands.of(output.details.input_type)
    person = details.deciding_person
    faces = []
    for at, box in places:
        p = output.deciding_probabilities[at] or 0.0
        scores = dict(zip(Change, (p - 0.01, p - 0.03, p + 0.02, p - 0.1, p - 0.02), strict=True))
        variants = [Variant(change=c, fake_probability=q, result=verdict(q, bands)) for c, q in scores.items()]
        faces.append(
            FaceStability(
                index=at, timestamp_s=output.frames[at].timestamp_s, person=person, face_box=box, fake_probability=p,
                result=verdict(p, bands), variants=tuple(variants), lowest=p - 0.1, highest=p + 0.02,
            )
        )  # fmt: skip
    at, (x0, y0, x1, y1) = places[0]
    margin = 0.15 * (x1 - x0)
    changes = tuple(tuple(0.16 - 0.03 * abs(x - 2) - 0.05 * abs(y - 4) for x in range(GRID)) for y in range(GRID))
    found = SensitivityMap(
        index=at, timestamp_s=faces[0].timestamp_s, person=person, face_box=places[0][1],
        grid_px=(x0 - margin, y0 - margin, x1 + margin, y1 + margin), fake_probability=faces[0].fake_probability,
        changes=changes,
    )  # fmt: skip
    stability = Stability(faces=tuple(faces))
    added = {
        "stability": stability,
        "sensitivity": Sensitivity(map=found),
        "findings": with_stability(details.findings, stability),
    }
    return replace(output, details=details.model_copy(update=added))
