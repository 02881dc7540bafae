"""A tiny random checkpoint of each family of image classifiers, with the family's own image processor.

They are saved as their authors would save them. Their scores spread over the gate's pictures.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers as t
from torch import nn

from export.gate.images import varied_images

FAKE_REAL = {0: "Fake", 1: "Real"}
LOG_ODDS_STD = 1.0
_IMAGES = 12


@dataclass(frozen=True)
class Family:
    """A kind of checkpoint.

    Attributes:
        name: For the table and the tests.
        resize: What its processor does, in words.
        make: Gives the model and its processor.
        settings: To change in the saved preprocessor_config.json.
    """

    name: str
    resize: str
    make: Callable[[], tuple[Any, Any]]
    settings: dict[str, Any] | None = None

    def save(self, path: Path) -> Path:
        """Writes the checkpoint."""
        torch.manual_seed(1)
        model, processor = self.make()
        spread(model, processor)
        model.save_pretrained(path)
        processor.save_pretrained(path)
        if self.settings:
            file = path / "preprocessor_config.json"
            file.write_text(json.dumps({**json.loads(file.read_text()), **self.settings}))
        return path


def spread(model: Any, processor: Any) -> None:
    """Has statistics of batches, and the head, follow pictures: untrained ones give every picture the same score."""
    pixels = torch.cat([processor(image, return_tensors="pt")["pixel_values"] for image in varied_images(_IMAGES, 3)])
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if any(part in name for part in ("layer_scale", "lambda_", "lambda1")):
                weight.fill_(1.0)
        norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
        for norm in norms:
            norm.train()
            norm.momentum = 1.0
        model.eval()
        for norm in norms:
            norm.train()
        model(pixel_values=pixels)
        model.eval()
        head = [m for m in model.modules() if isinstance(m, nn.Linear) and m.out_features == model.config.num_labels][
            -1
        ]
        logits = model(pixel_values=pixels).logits
        scale = LOG_ODDS_STD / logits.std(0).mean()
        head.weight.mul_(scale)
        head.bias.copy_((head.bias - logits.mean(0)) * scale)


def _labels(**settings: Any) -> dict[str, Any]:
    return {"id2label": FAKE_REAL, "label2id": {label: index for index, label in FAKE_REAL.items()}, **settings}


def _transformer(**settings: Any) -> dict[str, Any]:
    small = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    return _labels(**{**small, "intermediate_size": 64, "patch_size": 16, "image_size": 64, **settings})


def _vision(**settings: Any) -> dict[str, Any]:
    whole = _transformer(**settings)
    labels = {name: whole.pop(name) for name in ("id2label", "label2id")}
    return {"vision_config": whole, **labels}


def _square(side: int) -> dict[str, int]:
    return {"height": side, "width": side}


def _vit(**settings: Any) -> tuple[Any, Any]:
    return t.ViTForImageClassification(t.ViTConfig(**_transformer())), t.ViTImageProcessor(size=_square(64), **settings)


def _single_output() -> tuple[Any, Any]:
    config = t.ViTConfig(**{**_transformer(), "id2label": {0: "LABEL_0"}, "label2id": {"LABEL_0": 0}})
    return t.ViTForImageClassification(config), t.ViTImageProcessor(size=_square(64))


def _siglip() -> tuple[Any, Any]:
    processor = t.SiglipImageProcessor(size=_square(64))
    return t.SiglipForImageClassification(t.SiglipConfig(**_vision())), processor


def _clip() -> tuple[Any, Any]:
    processor = t.CLIPImageProcessor(size={"shortest_edge": 72}, crop_size=_square(64))
    return t.CLIPForImageClassification(t.CLIPConfig(**_vision())), processor


def _deit() -> tuple[Any, Any]:
    processor = t.DeiTImageProcessor(size=_square(72), crop_size=_square(64))
    return t.DeiTForImageClassificationWithTeacher(t.DeiTConfig(**_transformer())), processor


def _beit() -> tuple[Any, Any]:
    config = t.BeitConfig(**_transformer(use_relative_position_bias=True))
    return t.BeitForImageClassification(config), t.BeitImageProcessor(size=_square(73), crop_size=_square(64))


def _bit() -> Any:
    return t.BitImageProcessor(size={"shortest_edge": 64}, crop_size=_square(56))


def _dinov2() -> tuple[Any, Any]:
    config = t.Dinov2Config(**_transformer(patch_size=14, image_size=126))
    return t.Dinov2ForImageClassification(config), _bit()


def _dinov2_registers() -> tuple[Any, Any]:
    config = t.Dinov2WithRegistersConfig(**_transformer(patch_size=14, image_size=126))
    return t.Dinov2WithRegistersForImageClassification(config), _bit()


def _swin() -> tuple[Any, Any]:
    config = t.SwinConfig(**_labels(image_size=64, embed_dim=16, depths=[1, 1], num_heads=[2, 2], window_size=4))
    return t.SwinForImageClassification(config), t.ViTImageProcessor(size=_square(64), resample=3)


def _swinv2() -> tuple[Any, Any]:
    config = t.Swinv2Config(**_labels(image_size=64, embed_dim=16, depths=[1, 1], num_heads=[2, 2], window_size=4))
    return t.Swinv2ForImageClassification(config), t.ViTImageProcessor(size=_square(64), resample=3)


def _convnext() -> tuple[Any, Any]:
    config = t.ConvNextConfig(**_labels(hidden_sizes=[8, 16, 24, 32], depths=[1, 1, 1, 1], image_size=224))
    return t.ConvNextForImageClassification(config), t.ConvNextImageProcessor(size={"shortest_edge": 64})


def _convnextv2() -> tuple[Any, Any]:
    config = t.ConvNextV2Config(**_labels(hidden_sizes=[8, 16, 24, 32], depths=[1, 1, 1, 1], image_size=384))
    return t.ConvNextV2ForImageClassification(config), t.ConvNextImageProcessor(size={"shortest_edge": 384})


def _resnet() -> tuple[Any, Any]:
    small = {"embedding_size": 16, "hidden_sizes": [16, 32], "depths": [1, 1], "layer_type": "basic"}
    processor = t.ConvNextImageProcessor(size={"shortest_edge": 64})
    return t.ResNetForImageClassification(t.ResNetConfig(**_labels(**small))), processor


def _efficientnet() -> tuple[Any, Any]:
    small = {"image_size": 64, "width_coefficient": 0.25, "depth_coefficient": 0.3, "hidden_dim": 320}
    processor = t.EfficientNetImageProcessor(size=_square(64))
    return t.EfficientNetForImageClassification(t.EfficientNetConfig(**_labels(**small))), processor


def _mobilenetv2() -> tuple[Any, Any]:
    config = t.MobileNetV2Config(**_labels(depth_multiplier=0.35, image_size=96))
    processor = t.MobileNetV2ImageProcessor(size={"shortest_edge": 110}, crop_size=_square(96))
    return t.MobileNetV2ForImageClassification(config), processor


def _mobilevit() -> tuple[Any, Any]:
    small = {"hidden_sizes": [16, 24, 32], "neck_hidden_sizes": [8, 8, 16, 16, 24, 24, 48], "num_attention_heads": 2}
    processor = t.MobileViTImageProcessor(size={"shortest_edge": 72}, crop_size=_square(64))
    return t.MobileViTForImageClassification(t.MobileViTConfig(**_labels(image_size=64, **small))), processor


FAMILIES = (
    Family("SigLIP, SigLIP2", "both sides", _siglip),
    Family("ViT", "both sides", _vit),
    Family("ViT, one mean and deviation for all channels", "both sides", _vit, {"image_mean": 0.4, "image_std": 0.6}),
    Family("CLIP", "shorter side, centre crop", _clip),
    Family("DeiT, with its teacher's head", "both sides, centre crop", _deit),
    Family("BEiT", "both sides, centre crop", _beit),
    Family("DINOv2, trained at another size", "shorter side, centre crop", _dinov2),
    Family("DINOv2 with registers", "shorter side, centre crop", _dinov2_registers),
    Family("Swin", "both sides", _swin),
    Family("Swin V2", "both sides", _swinv2),
    Family("ConvNeXt", "shorter side by `crop_pct`, centre crop", _convnext),
    Family("ConvNeXt V2, 384 px", "both sides", _convnextv2),
    Family("ResNet", "shorter side by `crop_pct`, centre crop", _resnet),
    Family("EfficientNet", "both sides; normalised twice", _efficientnet),
    Family("MobileNet V2", "shorter side, centre crop", _mobilenetv2),
    Family("MobileViT", "shorter side, centre crop; BGR", _mobilevit),
)


@dataclass(frozen=True)
class Refused:
    """A kind of checkpoint that is refused.

    Attributes:
        name: What it is.
        why: A part of the message.
        settings: Changes to its preprocessor_config.json.
        config: Changes to its config.json.
        make: Gives the model and its processor; a ViT by default.
    """

    name: str
    why: str
    settings: dict[str, Any] | None = None
    config: dict[str, Any] | None = None
    make: Callable[[], tuple[Any, Any]] = _vit

    def save(self, path: Path) -> Path:
        """Writes the checkpoint."""
        Family("", "", self.make, self.settings).save(path)
        if self.config:
            file = path / "config.json"
            file.write_text(json.dumps({**json.loads(file.read_text()), **self.config}))
        return path


REFUSED = (
    Refused("no class says fake", "--fake-labels", config={"id2label": {"0": "LABEL_0", "1": "LABEL_1"}}),
    Refused("a single output", "--fake-when", make=_single_output),
    Refused("trained for regression", "trained for regression", config={"problem_type": "regression"}),
    Refused("SigLIP2 NaFlex", "varies with the image", config={"model_type": "siglip2"}),
    Refused("code of its own (`auto_map`)", "never run", config={"auto_map": {"AutoConfig": "own.Config"}}),
    Refused("no classifier", "not a ...ForImageClassification", config={"architectures": ["ViTModel"]}),
    Refused("not RGB", "only RGB", config={"num_channels": 1}),
    Refused("an oblong picture", "no fixed square", {"size": {"height": 64, "width": 96}}),
    Refused("another size than the model's", "96 px squares, the model takes 64", {"size": _square(96)}),
    Refused("no resize", "does not resize", {"do_resize": False}),
)
