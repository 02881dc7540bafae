"""What a checkpoint's author says about it beyond its identity: how it was calibrated, and its model card."""

from dataclasses import dataclass
from typing import Any

CARD_ROUTE = "/model-card"
"""Where a gateway serves the card's text."""


@dataclass(frozen=True)
class CalibratedOn:
    """What verdict bands were set on, and what they did there.

    Attributes:
        unit: `images`, `frames` of videos, or `videos`.
        real: Real files.
        fake: Fake files.
        persons: Persons among them; None where nothing says.
        fpr: Share (0-1) of the real ones called fake.
        fpr_upper: Its one-sided 95% upper bound.
        tpr: Share of the fakes called fake.
        tpr_low: Lower end of its 95% interval; None if not known.
        tpr_high: Upper end.
        ece: Expected calibration error.
    """

    unit: str
    real: int
    fake: int
    persons: int | None
    fpr: float
    fpr_upper: float
    tpr: float
    tpr_low: float | None
    tpr_high: float | None
    ece: float

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "CalibratedOn":
        """Reads a band's record in a release's description."""
        tpr, persons = values["tpr"], values.get("persons")
        return cls(
            unit=str(values["unit"]),
            real=int(values["real"]),
            fake=int(values["fake"]),
            persons=None if persons is None else int(persons),
            fpr=float(values["fpr"]),
            fpr_upper=float(values["fpr_upper"]),
            tpr=float(tpr["value"]),
            tpr_low=tpr.get("low"),
            tpr_high=tpr.get("high"),
            ece=float(values["ece_after"]),
        )


@dataclass(frozen=True)
class CalibrationInfo:
    """How a release's scores and bands were calibrated.

    Attributes:
        temperature: What logits were divided by, already part of the model.
        max_fpr: Budget of the fake bands: share (0-1) of real files that may be called fake.
        max_fnr: Budget of the real bands.
        image: What the bands of images were set on.
        video: The same of videos; None where they are the bands of images.
        notes: What to know when these figures are weighed.
    """

    temperature: float
    max_fpr: float
    max_fnr: float
    image: CalibratedOn
    video: CalibratedOn | None
    notes: tuple[str, ...] = ()

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "CalibrationInfo":
        """Reads the `calibration` block of a release's description."""
        video = values.get("video")
        return cls(
            temperature=float(values["temperature"]),
            max_fpr=float(values["max_fpr"]),
            max_fnr=float(values["max_fnr"]),
            image=CalibratedOn.from_dict(values["image"]),
            video=None if video is None else CalibratedOn.from_dict(video),
            notes=tuple(values.get("notes", ())),
        )

    def summary(self) -> dict[str, float]:
        """The figures that fit beside every result."""
        return {"temperature": self.temperature, "max_fpr": self.max_fpr, "max_fnr": self.max_fnr}


@dataclass(frozen=True)
class ModelCard:
    """The model card that came with the checkpoint.

    Attributes:
        name: Of the model.
        licence: Its licence, "" if not said.
        purpose: What it is for, "" if not said.
        limits: Where it fails, "" if not said.
        url: Where more stands, "" if nowhere.
        sha256: Of the card's text, "" without one.
        text: The text in Markdown; "" without one, or where it is too long to be served.
    """

    name: str
    licence: str = ""
    purpose: str = ""
    limits: str = ""
    url: str = ""
    sha256: str = ""
    text: str = ""

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "ModelCard":
        """Reads the `model_card` block of a release's description."""
        return cls(**{name: _encodable(str(values.get(name, ""))) for name in cls.__dataclass_fields__})

    def reference(self) -> dict[str, str]:
        """Which card it is and where to read it, for results: name, licence, digest, address and route."""
        said = {"name": self.name, "licence": self.licence, "sha256": self.sha256, "url": self.url}
        return {**{key: value for key, value in said.items() if value}, **({"route": CARD_ROUTE} if self.text else {})}


def _encodable(text: str) -> str:
    """Without lone surrogates, which JSON can hold and no answer can be made of."""
    return text.encode("utf-8", "replace").decode("utf-8")
