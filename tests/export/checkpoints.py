"""Small real checkpoints of several architectures, saved as their authors would save them."""

from pathlib import Path

import torch
from transformers import (
    CLIPConfig,
    CLIPForImageClassification,
    CLIPImageProcessor,
    ResNetConfig,
    ResNetForImageClassification,
    SiglipConfig,
    SiglipForImageClassification,
    SiglipImageProcessor,
    ViTConfig,
    ViTForImageClassification,
    ViTImageProcessor,
)

FAKE_REAL = {0: "Fake", 1: "Real"}


def _ids(labels: dict[int, str]) -> dict[str, int]:
    return {label: index for index, label in labels.items()}


def save(model: torch.nn.Module, processor: object, path: Path) -> Path:
    """Saves a model whose head is widened so that its scores spread."""
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "classifier" in name and name.endswith("weight"):
                weight.mul_(30)
    model.eval().save_pretrained(path)
    processor.save_pretrained(path)  # type: ignore[attr-defined]
    return path


def siglip(
    path: Path, labels: dict[int, str], size: int = 64, mean: float = 0.5, std: float = 0.5, **settings: object
) -> Path:
    torch.manual_seed(1)
    vision = {
        "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2,
        "patch_size": 16, "image_size": size,
    }  # fmt: skip
    config = SiglipConfig(vision_config=vision, id2label=labels, label2id=_ids(labels), **settings)
    processor = SiglipImageProcessor(
        size={"height": size, "width": size}, resample=2, image_mean=[mean, 0.5, 0.4], image_std=[std, 0.3, 0.6]
    )
    return save(SiglipForImageClassification(config), processor, path)


def vit(path: Path) -> Path:
    torch.manual_seed(2)
    config = ViTConfig(
        hidden_size=32, intermediate_size=64, num_hidden_layers=1, num_attention_heads=2, patch_size=8, image_size=48,
        id2label=FAKE_REAL, label2id=_ids(FAKE_REAL),
    )  # fmt: skip
    return save(
        ViTForImageClassification(config), ViTImageProcessor(size={"height": 48, "width": 48}, resample=3), path
    )


def clip(path: Path) -> Path:
    """Resizes the shorter side and cuts the centre; its patch embedding has no bias."""
    torch.manual_seed(3)
    vision = {
        "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2,
        "patch_size": 16, "image_size": 64,
    }  # fmt: skip
    config = CLIPConfig(vision_config=vision, id2label=FAKE_REAL, label2id=_ids(FAKE_REAL))
    processor = CLIPImageProcessor(size={"shortest_edge": 72}, crop_size={"height": 64, "width": 64}, resample=3)
    return save(CLIPForImageClassification(config), processor, path)


def resnet(path: Path) -> Path:
    """Its first convolution is padded, so the normalisation cannot be folded into it."""
    torch.manual_seed(4)
    config = ResNetConfig(
        embedding_size=16, hidden_sizes=[16, 32], depths=[1, 1], layer_type="basic", id2label=FAKE_REAL,
        label2id=_ids(FAKE_REAL),
    )  # fmt: skip
    return save(ResNetForImageClassification(config), ViTImageProcessor(size={"height": 64, "width": 64}), path)
