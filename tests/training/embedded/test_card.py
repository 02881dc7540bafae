from types import SimpleNamespace

import numpy as np

from deepfake_client.release import BandRecord, CalibrationRecord, Interval, LikelihoodRatios
from evaluation.statistics.bootstrap import Estimate
from export.checkpoint.load import Sidecar
from training.embedded.card import Figures, ScoredPicture, auc_of, card_text

FIGURES = Figures(
    test={"seen": Estimate(0.81, 0.75, 0.86), "swap": Estimate(0.7, 0.6, 0.8)},
    unseen={"seen": Estimate(0.82, 0.78, 0.85)},
    filtered=Estimate(0.52, 0.45, 0.58),
    verdicts={"untouched": (0.5, 0.46, 0.04), "seen": (0.04, 0.5, 0.46)},
)
BAND = BandRecord(
    unit="images", real=93, fake=186, persons=30, auc=0.8, ece_before=0.11, ece_after=0.05, fpr=0.043, fpr_upper=0.1,
    fnr=0.05, fnr_upper=0.09, tpr=Interval(value=0.41, low=0.3, high=0.5), uncertain=0.5,
    likelihood_ratio=LikelihoodRatios(slope=1.0, intercept=-0.3, low=-1.1, high=1.3, cllr=0.62, cllr_min=0.6),
)  # fmt: skip


def card(record: CalibrationRecord | None) -> str:
    return card_text(FIGURES, SimpleNamespace(sidecar=Sidecar(calibration=record)))  # type: ignore[arg-type]


def test_the_card_says_what_was_measured() -> None:
    record = CalibrationRecord(
        temperature=1.25, max_fpr=0.05, max_fnr=0.05, face_detection=True, dataset_sha256="0" * 64, image=BAND
    )
    text = card(record)
    for said in (
        "| self-blended, as in training | 0.810 (0.750 to 0.860) | 0.820 (0.780 to 0.850) |",
        "| swapped face, Poisson blend (never trained on) | 0.700 (0.600 to 0.800) | as the test |",
        "| real, untouched | 50% | 46% | 4% |",
        "0.520 (0.450 to 0.580) (0.5 is right",
        "Real below 0.3, fake above 0.7. Set on 93 real and 186 fake pictures\nof 30 other people",
        "4% were there, and 0.410 (0.300 to 0.500) of the fakes. Temperature\n1.250 and bias +0.000: ECE 0.110 before",
        "Likelihood ratios from 10^-1.1 to 10^1.3, Cllr\n0.620 bit.",
        "**It is a demonstration.**",
    ):
        assert said in text
    assert text.startswith("---\nlibrary_name: transformers\n")


def test_a_card_without_a_calibration_says_nothing_of_it() -> None:
    assert "Temperature" not in card(None)
    assert "Real below 0.3, fake above 0.7.\n" in card(None)


def test_auc_counts_people_and_its_interval_does_too() -> None:
    rng = np.random.default_rng(0)
    pictures = []
    for person in range(20):
        bias = rng.normal(0, 0.2)
        pictures += [ScoredPicture("untouched", str(person), 0.4 + bias + rng.normal(0, 0.05)) for _ in range(10)]
        pictures += [ScoredPicture("seen", str(person), 0.5 + bias + rng.normal(0, 0.05)) for _ in range(10)]
    by_people = auc_of(pictures, "seen")
    alone = [ScoredPicture(p.method, str(i), p.fake_probability) for i, p in enumerate(pictures)]
    by_pictures = auc_of(alone, "seen")
    assert by_people.value == by_pictures.value
    assert by_people.low is not None
    assert by_people.high is not None
    assert by_pictures.low is not None
    assert by_pictures.high is not None
    assert by_people.high - by_people.low != by_pictures.high - by_pictures.low


def test_auc_of_perfect_and_of_missing_scores() -> None:
    pictures = [
        ScoredPicture("untouched", "a", 0.1),
        ScoredPicture("filtered", "b", 0.2),
        ScoredPicture("swap", "a", 0.9),
    ]
    assert auc_of(pictures, "swap").value == 1.0
    assert auc_of(pictures, "seen").value is None
