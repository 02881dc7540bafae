"""The likelihood ratio of a verdict's score in words."""

from pydantic import BaseModel, ConfigDict

from deepfake_client.media import MediaType
from deepfake_client.release import ModelInfo


class Likelihood(BaseModel):
    """How much likelier the deciding score is for a fake than for a real file, whatever the share of fakes."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    log10_lr: float
    """Above 0 the score speaks for a fake, below 0 for a real file."""
    low: float
    """Lowest log10 ratio that the number of files in the calibration supports."""
    high: float
    """Highest one."""
    explanation: str
    """The same in a sentence."""


def likelihood_of(model: ModelInfo, media_type: MediaType, fake_probability: float) -> Likelihood | None:
    """The likelihood ratio of the probability (0-1) that decides; None where the calibration has none."""
    calibration = model.calibration if model.trained else None
    ratios = calibration.ratios_of(media_type) if calibration else None
    if calibration is None or ratios is None:
        return None
    record = calibration.of(media_type)
    log10_lr = round(ratios.log10_of(fake_probability), 2)
    times, kinds = 10 ** abs(log10_lr), ("a fake", "a real file")
    one, other = kinds if log10_lr >= 0 else kinds[::-1]
    cut = ", the limit of what its calibration supports" if log10_lr in (ratios.low, ratios.high) else ""
    of_persons = f" of {record.persons} persons" if record.persons else ""
    return Likelihood(
        log10_lr=log10_lr,
        low=ratios.low,
        high=ratios.high,
        explanation=f"Such a score is {f'{times:.2g} times likelier' if log10_lr else 'as likely'} for {one} "
        f"{'than' if log10_lr else 'as'} for {other} (log10 likelihood ratio "
        f"{log10_lr:+.2f}{cut}), as measured on {record.real} real and {record.fake} fake {record.unit}{of_persons}.",
    )
