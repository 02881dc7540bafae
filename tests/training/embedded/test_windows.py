import numpy as np
import pytest
import torch
from transformers import SiglipConfig, SiglipForImageClassification, ViTConfig, ViTForImageClassification

from export.checkpoint.processor import Normalisation
from training.embedded.stages import WindowedModel
from training.errors import OptionError

SIZE = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2}
PLAIN = Normalisation((2 / 255,) * 3, (-1.0,) * 3)


@pytest.fixture
def network() -> SiglipForImageClassification:
    torch.manual_seed(0)
    vision = {**SIZE, "image_size": 64, "patch_size": 16, "vision_use_head": False}
    return SiglipForImageClassification(SiglipConfig(vision_config=vision)).eval()


@pytest.fixture
def model(network: SiglipForImageClassification) -> WindowedModel:
    return WindowedModel(network, PLAIN, [1.0, 1.0], 1.0, 4, 32)


def numbered(batch: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Pictures whose patches have the number of the patch as their only value, and the same numbers as targets."""
    numbers = torch.arange(16.0).view(4, 4)
    pixels = numbers.repeat_interleave(16, 0).repeat_interleave(16, 1).expand(batch, 3, 64, 64)
    return pixels, numbers.flatten().expand(batch, 16)


def test_pixels_targets_and_positions_of_a_window_belong_together(model: WindowedModel) -> None:
    pixels, patches = numbered(3)
    seen = set()
    for _ in range(12):
        cut, targets, positions = model.draw(pixels, patches)
        assert cut.shape == (12, 3, 32, 32)
        assert torch.equal(cut[:, 0, ::16, ::16].flatten(1), targets)
        assert torch.equal(positions, targets.long())
        seen |= {int(row[0]) for row in targets}
    assert seen == {0, 1, 2, 4, 5, 6, 8, 9, 10}


def test_a_window_gets_the_tokens_that_its_patches_have_in_the_whole(
    model: WindowedModel, network: SiglipForImageClassification
) -> None:
    pixels, patches = numbered(1)
    embeddings = network.vision_model.embeddings
    cut, targets, positions = model.draw(pixels, patches)
    with torch.no_grad():
        whole = embeddings(pixels)[0]
        embeddings.position_ids = positions
        part = embeddings(cut)
    for tokens, places in zip(part, targets, strict=True):
        assert torch.allclose(tokens, whole[places.long()], atol=1e-6)


def test_after_a_step_the_network_takes_whole_pictures_again(
    model: WindowedModel, network: SiglipForImageClassification
) -> None:
    pixels, patches = numbered(2)
    with torch.no_grad():
        before = network(pixel_values=pixels).logits
        model.train()(pixels.permute(0, 2, 3, 1).byte(), torch.zeros(2, dtype=torch.long), patches / 16)
        assert torch.equal(network.eval()(pixel_values=pixels).logits, before)


def test_the_model_learns_from_windows_with_the_patch_loss_alone(
    model: WindowedModel, network: SiglipForImageClassification
) -> None:
    model.train()
    optimizer, rng, losses = torch.optim.AdamW(model.parameters(), 3e-3), np.random.default_rng(0), []
    for _ in range(150):
        foreign = torch.from_numpy(rng.integers(0, 2, (8, 4, 4)).astype(np.float32))
        pixels = (
            (foreign.repeat_interleave(16, 1).repeat_interleave(16, 2) * 200).byte()[..., None].expand(-1, -1, -1, 3)
        )
        loss = model(pixels, torch.zeros(8, dtype=torch.long), foreign.flatten(1))["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert np.mean(losses[-20:]) < 0.3 * np.mean(losses[:20])
    assert float(network.classifier.weight.grad.abs().max()) == 0


def test_other_networks_are_refused() -> None:
    other = ViTForImageClassification(ViTConfig(**SIZE, image_size=64, patch_size=16))
    with pytest.raises(OptionError, match="SigLIP classifiers only"):
        WindowedModel(other, PLAIN, [1.0, 1.0], 1.0, 4, 32)
