"""How much a SigLIP image classifier computes: its matrix products, from its config.json."""

import json
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Product:
    """A matrix product of one image, (rows, inner) x (inner, columns), done `count` times."""

    name: str
    rows: int
    inner: int
    columns: int
    count: int

    @property
    def flop(self) -> int:
        """Multiplications and additions of all of them."""
        return 2 * self.rows * self.inner * self.columns * self.count


@dataclass(frozen=True)
class VisionShape:
    """The sizes that decide the work; the defaults are SigLIP's own, which configs leave out."""

    hidden_size: int = 768
    intermediate_size: int = 3072
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    num_channels: int = 3
    image_size: int = 224
    patch_size: int = 16

    @classmethod
    def load(cls, checkpoint: Path) -> "VisionShape":
        """Reads the `vision_config` of a checkpoint."""
        config = json.loads((checkpoint / "config.json").read_text(encoding="utf-8"))
        vision = config.get("vision_config", config)
        return cls(**{name: int(vision[name]) for name in cls.__dataclass_fields__ if name in vision})

    @property
    def tokens(self) -> int:
        """Patches of an image."""
        return (self.image_size // self.patch_size) ** 2

    def weight_products(self) -> list[Product]:
        """The products with weights: what a GEMM ceiling is measured on."""
        tokens, hidden, layers = self.tokens, self.hidden_size, self.num_hidden_layers
        return [
            Product("patches", tokens, self.num_channels * self.patch_size**2, hidden, 1),
            Product("query, key, value", tokens, hidden, 3 * hidden, layers),
            Product("attention output", tokens, hidden, hidden, layers),
            Product("MLP in", tokens, hidden, self.intermediate_size, layers),
            Product("MLP out", tokens, self.intermediate_size, hidden, layers),
        ]

    def attention_products(self) -> list[Product]:
        """Queries with keys, and their weights with values, of every head."""
        heads = self.num_attention_heads * self.num_hidden_layers
        width = self.hidden_size // self.num_attention_heads
        return [
            Product("scores", self.tokens, width, self.tokens, heads),
            Product("values", self.tokens, self.tokens, width, heads),
        ]

    @property
    def flop_per_image(self) -> int:
        """Of all products; normalisations, softmax and the like are not counted."""
        return sum(product.flop for product in [*self.weight_products(), *self.attention_products()])
