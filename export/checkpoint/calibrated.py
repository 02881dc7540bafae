"""A calibration holds for the inputs that it was made with. For others it is dropped, and the release says so."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from deepfake_client.release import CalibrationRecord, FakeWhen, ReleaseBands
from export.checkpoint.load import Checkpoint, Sidecar
from preprocessing import CALIBRATIONS_SINCE, PREPROCESSING_VERSION, PreprocessParams


def with_fitting_calibration(checkpoint: Checkpoint, params: PreprocessParams) -> Checkpoint:
    """The checkpoint; without its calibration and bands, and with a notice, where they were made with other inputs.

    Args:
        checkpoint: The loaded checkpoint.
        params: How the release prepares pictures.
    """
    head = checkpoint.head
    return replace(checkpoint, sidecar=fitting_sidecar(checkpoint.sidecar, head.fake_labels, head.fake_when, params))


def fitting_sidecar(
    sidecar: Sidecar, fake_labels: Sequence[str], fake_when: FakeWhen | None, params: PreprocessParams
) -> Sidecar:
    """The same of what a checkpoint says about itself.

    Args:
        sidecar: Of a checkpoint, or of several that are fused.
        fake_labels: Labels that count as fake.
        fake_when: Which end of a single output means fake.
        params: How the release prepares pictures.
    """
    record = sidecar.calibration
    if record is None or not (reasons := list(_differences(record, fake_labels, fake_when, params))):
        return sidecar
    dropped = (
        f"The verdict bands are the defaults: the checkpoint was calibrated with {' and '.join(reasons)}. Calibrate it "
        "again for what is served."
    )
    notice = f"{sidecar.notice} {dropped}".strip()
    return sidecar.model_copy(update={"calibration": None, "verdict_bands": ReleaseBands(), "notice": notice})


def _differences(
    record: CalibrationRecord, fake_labels: Sequence[str], fake_when: FakeWhen | None, params: PreprocessParams
) -> Iterator[str]:
    """What differs; what an older record does not say is taken to be what is served."""
    if record.face_detection != params.face_detection:
        yield f"face detection {'on' if record.face_detection else 'off'}"
    crops = record.face_detection and record.crop_factor is not None
    if crops and record.crop_factor != params.crop_factor:
        yield f"crops of {record.crop_factor:g} times the face"
    if record.fake_labels is not None and set(record.fake_labels) != set(fake_labels):
        yield f"{', '.join(record.fake_labels)} as fake labels"
    if record.fake_when not in (None, fake_when):
        yield f"a single output that is {record.fake_when} for fakes"
    version = record.preprocessing_version
    if version is not None and not CALIBRATIONS_SINCE <= version <= PREPROCESSING_VERSION:
        yield f"preprocessing of version {version}"
