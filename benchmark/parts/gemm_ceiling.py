"""The machine's own limit: how fast oneDNN multiplies matrices of the model's shapes, apart from everything else.

`python -m benchmark.parts.gemm_ceiling CHECKPOINT` prints JSON: precision -> GFLOP/s.
"""

import json
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmark.parts.flops import Product, VisionShape
from runtime import usable_cores

_BATCHES = (2, 8)
_SPELL_S = 0.06
_SPELLS = 3


def ceilings(products: Sequence[Product]) -> dict[str, float]:
    """GFLOP/s of the products in their proportions, each at the quickest batch and division among cores."""
    total = sum(product.flop for product in products)
    found = {}
    for precision in ("fp32", "bf16", "int8"):
        time_s = sum(product.flop / max(_rates(product, precision)) for product in products)
        found[precision] = total / time_s / 1e9
    return found


def _rates(product: Product, precision: str) -> list[float]:
    """FLOP/s for every batch, with all cores on one product and with one product on every core."""
    import torch

    cores = usable_cores()
    rates = []
    for batch in _BATCHES:
        rows = batch * product.rows
        flop = 2 * rows * product.inner * product.columns
        torch.set_num_threads(cores)
        rates += [flop * _calls_per_s([call]) for call in _calls(rows, product, precision)]
        if cores > 1:
            torch.set_num_threads(1)
            own = zip(*[_calls(rows, product, precision) for _ in range(cores)], strict=True)
            rates += [flop * _calls_per_s(calls) for calls in own]
    return rates


def _calls(rows: int, product: Product, precision: str) -> list[Callable[[], Any]]:
    """Ways to compute it; for int8, whose result may be int8 or bfloat16, oneDNN's two."""
    import torch

    if precision == "int8":
        weights = torch.randint(-127, 127, (product.columns, product.inner), dtype=torch.int8)
        packed = torch.ops.onednn.qlinear_prepack(weights, [rows, product.inner])
        values = torch.randint(0, 255, (rows, product.inner), dtype=torch.uint8)
        scales, zeros = torch.full((product.columns,), 0.01), torch.zeros(product.columns, dtype=torch.int64)

        def quantised(output: torch.dtype) -> Callable[[], Any]:
            return lambda: torch.ops.onednn.qlinear_pointwise(
                values, 0.02, 128, packed, scales, zeros, None, 1.0, 0, output, "none", [], ""
            )

        return [quantised(torch.bfloat16), quantised(torch.uint8)]
    dtype = torch.float32 if precision == "fp32" else torch.bfloat16
    layer = torch.nn.Linear(product.inner, product.columns).to(dtype)
    data = torch.randn(rows, product.inner).to(dtype)
    return [lambda: layer(data)]


def _calls_per_s(calls: Sequence[Callable[[], Any]]) -> float:
    """The best spell of all threads together, one thread for each call; threads of a spell start as one."""
    import torch

    start = threading.Barrier(len(calls))

    def spell(call: Callable[[], Any]) -> tuple[int, float, float]:
        with torch.inference_mode():
            call()
            start.wait()
            done, began = 0, time.perf_counter()
            while time.perf_counter() - began < _SPELL_S:
                call()
                done += 1
        return done, began, time.perf_counter()

    best = 0.0
    with ThreadPoolExecutor(len(calls)) as pool:
        for _ in range(_SPELLS):
            done, began, ended = zip(*pool.map(spell, calls), strict=True)
            best = max(best, sum(done) / (max(ended) - min(began)))
    return best


if __name__ == "__main__":
    print(json.dumps(ceilings(VisionShape.load(Path(sys.argv[1])).weight_products())))
