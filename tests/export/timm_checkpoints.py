"""Tiny random checkpoints of timm, exported and compared with transformers' pipeline: `FOLDER`.

Prints a line for each: its name, and the largest difference of a fake probability. It runs in a process of its own,
which finds timm and torchvision in a folder: beside a PyTorch for CPUs the index's torchvision, which is built for
CUDA's, cannot load its operators, and so nothing else may see it. Its transforms are Python over Pillow.
"""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import torch

_OPERATORS = torch.library.Library("torchvision", "FRAGMENT")
for _name in ("nms", "qnms"):
    if not hasattr(torch.ops.torchvision, _name):
        _OPERATORS.define(f"{_name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

import timm  # noqa: E402
import transformers  # noqa: E402

from tests.export.families import spread  # noqa: E402
from tests.export.served import greatest_dp  # noqa: E402

KINDS: dict[str, dict[str, Any]] = {
    "test_resnet": {"input_size": [3, 160, 160], "crop_pct": 0.95, "interpolation": "bicubic"},
    "test_vit": {"input_size": [3, 160, 160], "crop_pct": 0.9, "interpolation": "bilinear", "crop_mode": "squash"},
    # 111 px, of which 100 are kept: the crop begins at 5.5, which is rounded to 6.
    "test_efficientnet": {"input_size": [3, 100, 100], "crop_pct": 0.9, "interpolation": "bicubic", "mean": [0.5] * 3},
}


def save(architecture: str, path: Path) -> None:
    """As `timm_wrapper`."""
    torch.manual_seed(1)
    prepared = {**timm.get_pretrained_cfg(architecture).to_dict(), **KINDS[architecture]}
    described = {"architecture": architecture, "num_classes": 2, "label_names": ["fake", "real"]}
    config = transformers.TimmWrapperConfig.from_dict({**described, "pretrained_cfg": prepared})
    model = transformers.TimmWrapperForImageClassification(config).eval()
    spread(model, transformers.TimmWrapperImageProcessor(prepared, architecture))
    model.save_pretrained(path)


def make_plain(path: Path, plain: Path) -> None:
    """The same as timm writes it."""
    shutil.copytree(path, plain)
    settings = json.loads((path / "config.json").read_text())
    kept = ("architecture", "num_classes", "label_names", "pretrained_cfg")
    (plain / "config.json").write_text(json.dumps({name: settings[name] for name in kept}))


def main(folder: Path) -> None:
    """Makes, exports and compares."""
    for architecture in KINDS:
        save(architecture, folder / architecture)
    make_plain(folder / "test_vit", folder / "test_vit-plain")
    for path in sorted(folder.iterdir()):
        print(path.name, greatest_dp(path, folder / "releases"), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
