from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import torch
from torch.nn import functional

from export.checkpoint.hub import locate_checkpoint
from export.checkpoint.load import load_checkpoint
from training.embedded import backbone
from training.embedded.backbone import converted, lite0_config, write_backbone
from training.embedded.photos import Photo

_BLOCKS = (  # kernel, stride, expansion, channels, repeats: the table of the paper on EfficientNet
    (3, 1, 1, 16, 1), (3, 2, 6, 24, 2), (5, 2, 6, 40, 2), (3, 2, 6, 80, 3), (5, 1, 6, 112, 3), (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)  # fmt: skip

State = Mapping[str, torch.Tensor]


@pytest.fixture(scope="module")
def state() -> State:
    """Random weights by the names and shapes of the package, statistics of batch normalisation included."""
    generator = torch.Generator().manual_seed(0)

    def convolution(out: int, of: int, side: int) -> torch.Tensor:
        return torch.randn(out, of, side, side, generator=generator) * (2 / (of * side * side)) ** 0.5

    def norm(name: str, width: int) -> Iterator[tuple[str, torch.Tensor]]:
        for part in ("weight", "running_var"):
            yield f"{name}.{part}", 0.5 + torch.rand(width, generator=generator)
        for part in ("bias", "running_mean"):
            yield f"{name}.{part}", 0.2 * torch.randn(width, generator=generator)

    found = {"_conv_stem.weight": convolution(32, 3, 3), **dict(norm("_bn0", 32))}
    width, number = 32, 0
    for side, _, expansion, channels, repeats in _BLOCKS:
        for _ in range(repeats):
            name, inner = f"_blocks.{number}", width * expansion
            if expansion > 1:
                found |= {
                    f"{name}._expand_conv.weight": convolution(inner, width, 1),
                    **dict(norm(f"{name}._bn0", inner)),
                }
            found |= {
                f"{name}._depthwise_conv.weight": convolution(inner, 1, side),
                **dict(norm(f"{name}._bn1", inner)),
            }
            found |= {
                f"{name}._project_conv.weight": convolution(channels, inner, 1),
                **dict(norm(f"{name}._bn2", channels)),
            }
            width, number = channels, number + 1
    found |= {"_conv_head.weight": convolution(1280, width, 1), **dict(norm("_bn1", 1280))}
    return found | {"_fc.weight": torch.randn(7, 1280, generator=generator), "_fc.bias": torch.zeros(7)}


def lite0(state: State, pixels: torch.Tensor) -> torch.Tensor:
    """EfficientNet-Lite0 written down once more: no gates, ReLU6, TensorFlow's "SAME" padding; (N, labels) logits."""

    def convolve(x: torch.Tensor, name: str, stride: int = 1, groups: int = 1) -> torch.Tensor:
        weight = state[f"{name}.weight"]
        total = max((-(-x.shape[-1] // stride) - 1) * stride + weight.shape[-1] - x.shape[-1], 0)
        before, after = total // 2, total - total // 2
        return functional.conv2d(
            functional.pad(x, (before, after, before, after)), weight, stride=stride, groups=groups
        )

    def norm(x: torch.Tensor, name: str) -> torch.Tensor:
        mean, var, weight, bias = (state[f"{name}.{p}"] for p in ("running_mean", "running_var", "weight", "bias"))
        return functional.batch_norm(x, mean, var, weight, bias, eps=1e-3)

    x, number = functional.relu6(norm(convolve(pixels, "_conv_stem", 2), "_bn0")), 0
    for _, first_stride, expansion, _, repeats in _BLOCKS:
        for repeat in range(repeats):
            name, before = f"_blocks.{number}", x
            if expansion > 1:
                x = functional.relu6(norm(convolve(x, f"{name}._expand_conv"), f"{name}._bn0"))
            stride = 1 if repeat else first_stride
            x = convolve(x, f"{name}._depthwise_conv", stride, groups=x.shape[1])
            x = norm(convolve(functional.relu6(norm(x, f"{name}._bn1")), f"{name}._project_conv"), f"{name}._bn2")
            x = x + before if repeat else x
            number += 1
    x = functional.relu6(norm(convolve(x, "_conv_head"), "_bn1")).mean((2, 3))
    return functional.linear(x, state["_fc.weight"], state["_fc.bias"])


def test_logits_are_those_of_a_network_without_gates(state: State) -> None:
    pixels = torch.rand(2, 3, 224, 224, generator=torch.Generator().manual_seed(1)) * 2 - 1
    with torch.no_grad():
        expected = lite0(state, pixels)
        logits = converted(state, lite0_config(num_labels=7))(pixels).logits
    assert expected.std() > 0.1
    assert (logits - expected).abs().max() < 1e-4 * expected.abs().max()


def test_weights_of_another_network_are_refused(state: State) -> None:
    with pytest.raises(ValueError, match=r"not EfficientNet-Lite0's weights: .*blocks\.16"):
        converted({**state, "_blocks.16._bn2.bias": torch.zeros(3)}, lite0_config(num_labels=7))


def test_the_exporter_takes_what_is_written(state: State, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The head is a new one, and the same in every run."""
    torch.save(state, tmp_path / "weights.pth")
    photos = [Photo(tmp_path / "weights.pth", "weights", None, "train")]
    monkeypatch.setattr(backbone, "fetch_photos", lambda *_: photos)
    for name in ("one", "two"):
        write_backbone(tmp_path / name, tmp_path)
    one, two = (load_checkpoint(locate_checkpoint(str(tmp_path / name))) for name in ("one", "two"))
    assert one.head.labels == ("Fake", "Real")
    assert one.head.fake_indices == (0,)
    assert one.resize.size_px == 224
    assert torch.equal(one.model.classifier.weight, two.model.classifier.weight)
    assert torch.equal(one.model.efficientnet.encoder.top_conv.weight, state["_conv_head.weight"])
