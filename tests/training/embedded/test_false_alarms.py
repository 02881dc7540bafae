"""How real pictures are counted; the model is a script, the face finder the real one."""

import math
from pathlib import Path
from types import SimpleNamespace

import pytest

from assets import FACE_MODELS, fetch_assets
from deepfake_client.release import VerdictBands
from deepfake_client.scorer import OK, Face, FrameScore
from preprocessing import FaceFinder
from tests.media import encode_image, photo_pixels
from training.data.faces import decode_frame
from training.embedded import false_alarms as module
from training.embedded.false_alarms import (
    Picture,
    Scored,
    montages,
    share_called_fake,
    share_decided,
    unseen_pictures,
)
from training.embedded.manifest import MANIFEST, Listed, Package

ASTRONAUT = encode_image(photo_pixels("astronaut.png"), "PNG")


def scored(person: str, *faces: tuple[float, float]) -> Scored:
    """Of the shorter side and the fake probability of each face."""
    boxes = tuple((10.0, 20.0, 10 + 1.5 * side_px, 20 + side_px) for side_px, _ in faces)
    return Scored(Picture(person, ASTRONAUT), boxes, tuple(p for _, p in faces))


def test_a_picture_is_called_fake_by_its_most_suspicious_face_that_counts() -> None:
    pictures = [
        scored("a", (100, 0.1), (60, 0.9), (30, 0.2)),
        scored("b", (30, 0.1), (24, 0.9)),
        scored("c", (20, 0.9)),
    ]
    shares = [share_called_fake(pictures, min_face_px, 0.8).value for min_face_px in (math.inf, 64, 60, 24)]
    assert shares == pytest.approx([1 / 3, 1 / 3, 2 / 3, 1.0])
    assert [one.kind for one in pictures] == ["several faces", "several faces", "one face"]
    bands = VerdictBands(real_below=0.15, fake_above=0.8)
    shares = [share_decided([*pictures, scored("d", (20, 0.5))], px, bands).value for px in (math.inf, 24)]
    assert shares == pytest.approx([0.75, 0.75])
    assert share_decided(pictures, math.inf, VerdictBands(real_below=0.05, fake_above=0.8)).value == pytest.approx(
        1 / 3
    )


def test_intervals_are_drawn_over_people() -> None:
    faces = [((50.0, 0.9),), ((50.0, 0.1),)]
    alone = [scored(f"{person}-{n}", *faces[person % 2]) for person in range(10) for n in range(20)]
    together = [scored(one.picture.person.partition("-")[0], *faces[i // 20 % 2]) for i, one in enumerate(alone)]
    by_picture, by_person = share_called_fake(alone, 40, 0.5), share_called_fake(together, 40, 0.5)
    assert by_picture.value == by_person.value == 0.5
    assert (by_person.high or 0) - (by_person.low or 0) > 3 * ((by_picture.high or 0) - (by_picture.low or 0))


def test_a_montage_shows_four_people_at_sizes_of_their_own() -> None:
    portraits = [Scored(Picture(str(n), ASTRONAUT), ((173.0, 67.0, 276.0, 170.0),), (0.1,)) for n in range(7)]
    (montage,) = montages(portraits)
    pixels = decode_frame(montage.encoded)
    finder = FaceFinder(next(iter(fetch_assets(FACE_MODELS).values())).parent)
    faces = finder.faces(pixels)
    finder.close()
    assert 2 <= len(faces) <= 4  # the finder misses some of the smallest
    quarters = {(face.box.x0 > pixels.shape[1] / 2, face.box.y0 > pixels.shape[0] / 2) for face in faces}
    assert len(quarters) == len(faces)
    assert faces[0].box.width > 1.5 * faces[-1].box.width
    assert [montage.encoded for montage in montages(portraits)] == [montage.encoded]


def test_the_table_is_over_people_that_nothing_was_trained_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def listed(name: str, split: str, person: str | None = "someone", **changes: object) -> Listed:
        values = {"path": f"package/{name}", "sha256": "", "kind": "face", "person": person, "split": split, **changes}
        return Listed.model_validate(values)

    files = (
        listed("seen.png", "train"), listed("alone.png", "test"), listed("scene.png", "test", None, kind="scene"),
        listed("cut.png", "val", "left", crop=(0, 0, 9, 9)), listed("cut.png", "val", "right", crop=(9, 0, 18, 9)),
        listed("group.png", "test", None, kind="group"),
    )  # fmt: skip
    package = Package(registry="npm", name="p", version="1", integrity="sha512-", licence="MIT", files=files)
    monkeypatch.setattr(module, "fetch_photos", lambda *_: [])
    monkeypatch.setattr(module, "load_manifest", lambda path: (package,) if path == MANIFEST else ())
    (tmp_path / "p-1").mkdir()
    for name in ("alone", "cut", "group"):
        (tmp_path / "p-1" / f"{name}.png").write_bytes(name.encode())
    assert [picture.person for picture in unseen_pictures(tmp_path)] == ["someone", "cut.png", "group.png"]

    faces = (Face((0, 0, 90, 90), 0.9, 0.2), Face((0, 0, 50, 50), 0.9, 0.9), Face((0, 0, 20, 20), 0.9, None))
    numbers = {b"alone": 1, b"cut": 3, b"group": 0}
    detector = SimpleNamespace(
        detect=lambda data: SimpleNamespace(
            frames=[SimpleNamespace(score=FrameScore(OK, faces=faces[: numbers[data]]))]
        ),
        info=lambda: SimpleNamespace(verdict_bands=SimpleNamespace(image=VerdictBands(real_below=0.3, fake_above=0.8))),
        close=lambda: None,
    )
    monkeypatch.setattr(module, "create_detector", lambda *_: detector)
    module.main(photographs=tmp_path, seed=0)
    rows = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert "one face 1 1 largest 0.000 [0.000, 0.000] 1.000 [1.000, 1.000]" in rows
    assert "several faces 1 1 largest 0.000 [0.000, 0.000] 1.000 [1.000, 1.000]" in rows
    assert "several faces 1 2 40 1.000 [1.000, 1.000] 1.000 [1.000, 1.000]" in rows
    assert "several faces 1 1 64 0.000 [0.000, 0.000] 1.000 [1.000, 1.000]" in rows
    assert len(rows) == 1 + 2 * 5
