"""Small real material for the training tests: a SigLIP classifier, faces made by code, a folder of photos."""

from pathlib import Path

import numpy as np
from PIL import Image

from preprocessing import Box
from tests.media import photo_pixels
from training.data.faces import FaceImage, Forgery


def tiny_base(path: Path, labels: tuple[str, ...] = ("Fake", "Real"), size: int = 48) -> Path:
    """A SigLIP classifier of two narrow layers with seeded weights."""
    import torch
    from transformers import SiglipConfig, SiglipForImageClassification, SiglipImageProcessor

    vision = {
        "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2,
        "patch_size": 16, "image_size": size,
    }  # fmt: skip
    text = {
        "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 1, "vocab_size": 64,
    }  # fmt: skip
    torch.manual_seed(5)
    config = SiglipConfig(
        vision_config=vision, text_config=text, id2label=dict(enumerate(labels)),
        label2id={label: index for index, label in enumerate(labels)},
    )  # fmt: skip
    SiglipForImageClassification(config).save_pretrained(path)
    SiglipImageProcessor(
        size={"height": size, "width": size}, resample=2, image_mean=[0.5] * 3, image_std=[0.5] * 3
    ).save_pretrained(path)
    return path


def made_faces(count: int, first: int = 0, side_px: int = 96) -> list[FaceImage]:
    """Smooth pictures of different colours, one person each."""
    faces = []
    for number in range(first, first + count):
        rng = np.random.default_rng(number)
        cells = rng.uniform(60, 200, (6, 6, 3))
        pixels = np.array(Image.fromarray(cells.astype(np.uint8)).resize((side_px, side_px), Image.Resampling.BICUBIC))
        quarter = side_px / 4
        box = Box(quarter, quarter, side_px - quarter, side_px - quarter)
        faces.append(FaceImage(pixels, box, f"person-{number}", f"face-{number}.png"))
    return faces


def paint_patch(face: FaceImage, rng: np.random.Generator) -> Forgery:
    """A crude forgery: a checkered ellipse inside the face."""
    height, width = face.pixels.shape[:2]
    y, x = np.mgrid[:height, :width]
    cx, cy = ((face.box.x0 + face.box.x1) / 2 + rng.uniform(-4, 4), (face.box.y0 + face.box.y1) / 2)
    mask = (((x - cx) / (face.box.width / 3)) ** 2 + ((y - cy) / (face.box.height / 3)) ** 2 < 1).astype(np.float32)
    checkers = np.where((x // 3 + y // 3) % 2, 60, -60)[:, :, None] * mask[:, :, None]
    return Forgery(np.clip(face.pixels + checkers, 0, 255).astype(np.uint8), mask, "checkers")


def astronaut(number: int) -> np.ndarray:
    """The astronaut (a face), each number another cut-out and colour: (400, 400, 3) uint8 RGB."""
    rng = np.random.default_rng(number)
    x, y = rng.integers(0, 100), rng.integers(0, 40)
    tinted = photo_pixels("astronaut.png")[y : y + 400, x : x + 400] * rng.uniform(0.6, 1.0, 3)
    return tinted.astype(np.uint8)


def write_folder(root: Path, people: int = 4, part: str = "train", first: int = 0) -> Path:
    """A data directory: each person has a real picture and a fake one."""
    for number in range(first, first + people):
        pixels = astronaut(number)
        forged = pixels.copy()
        forged[40:140, 120:240] = forged[40:140, 120:240] // 2 + 90
        for label, picture in (("real", pixels), ("fake", forged)):
            folder = root / part / label / f"person-{number}"
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture).save(folder / "0.png", compress_level=1)
    return root
