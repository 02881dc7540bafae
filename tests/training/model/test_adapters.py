"""Adapters (LoRA) beside the weights of every family of classifiers that can be served."""

from pathlib import Path

import pytest
import torch

from tests.export.families import FAMILIES, Family
from training.errors import OptionError
from training.model.base import choose_trainable, find_base, without_adapters


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_every_family_learns_by_adapters_that_go_into_its_weights(family: Family, tmp_path: Path) -> None:
    base = find_base(str(family.save(tmp_path / "base")))
    network = base.load()
    before = {name: weight.clone() for name, weight in network.state_dict().items()}
    if family.name.startswith("MobileNet"):
        with pytest.raises(OptionError, match="lora does not fit"):
            choose_trainable(network, lora=2, freeze_layers=0)
        return
    adapted = choose_trainable(network, lora=2, freeze_layers=0)
    learning = {name for name, parameter in adapted.named_parameters() if parameter.requires_grad}
    assert all("lora_" in name or "classifier" in name for name in learning)
    assert any("classifier" in name for name in learning)
    torch.manual_seed(0)
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if "lora_B" in name:
                parameter.normal_(0, 0.5)
    pixels = torch.randn(2, 3, base.resize.size_px, base.resize.size_px)
    with torch.no_grad():
        expected = adapted.eval()(pixel_values=pixels).logits
        merged = without_adapters(adapted)
        found = merged(pixel_values=pixels).logits
    torch.testing.assert_close(found, expected, atol=1e-3, rtol=1e-3)
    after = merged.state_dict()
    assert after.keys() == before.keys()
    changed = {name for name in after if not torch.equal(after[name], before[name])}
    assert changed
    assert not any("classifier" in name for name in changed)


def test_frozen_layers_get_no_adapters(tmp_path: Path) -> None:
    family = next(one for one in FAMILIES if one.name.lower().startswith("swin"))
    network = find_base(str(family.save(tmp_path / "base"))).load()
    with pytest.raises(OptionError, match="lora finds no layers"):
        choose_trainable(network, lora=2, freeze_layers=len(network.config.depths))
