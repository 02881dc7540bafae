"""Which checkpoints are served, tried one by one: `python -m tests.docs.checkpoints_page > docs/checkpoints.md`.

Each kind is made with random weights, exported, and compared with transformers' own pipeline. It takes a minute.
"""

import os
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")

from export.errors import ExportError
from tests.export.families import FAMILIES, REFUSED, Family, Refused
from tests.export.served import greatest_dp

_PAGE = """# Checkpoints

Any image classifier of transformers whose pictures become squares of one size can be served. The export compares every
checkpoint with PyTorch, on what its own image processor makes of the pictures, and refuses what differs. The table says
what was tried; other families may work, too. `python -m tests.docs.checkpoints_page` makes it: it exports a tiny
checkpoint of each kind with random weights and compares it with transformers' pipeline.

| checkpoint | picture | largest difference of p |
|---|---|---|
{served}

| refused | message |
|---|---|
{refused}

- **Labels**: classes whose names say fake ("deepfake", "AI", "synthetic") count as fake; `--fake-labels` names others.
  Classes that say neither fake nor real are no part of the fake probability; answers give their share.
- **Several labels an image** (`problem_type` multi_label_classification): each label has a sigmoid; the highest fake
  one counts.
- **A single output**: `--fake-when high` or `low` says which end means fake. It is served as the labels fake and real.
- **timm**: checkpoints of timm, as `timm_wrapper` or as timm itself writes them, with the extra `timm`
  (`tests/export/test_timm.py` tries a ResNet, a ViT and an EfficientNet: below 1e-5).
- **Several models** (`CHECKPOINT=a,b`, 8 at most): one preprocessing, a classifier for each, and the model `fusion`, in
  one ensemble. Each has its own crop and size; those in `DEEPFAKE_WHOLE_IMAGE` get whole images. The fused log-odds are
  the mean of the members' (of probabilities cut to 1e-7 from 0 and 1), or what `deepfake-calibrate` fits. The notice
  names members that are not calibrated. One for faces only makes the release so. One that fails refuses the release.
  `deepfake-bench members` tells their cost.
- **Weights**: safetensors, or `pytorch_model.bin` where there are none. Missing, unexpected and mismatched ones are
  refused. Of a repository of the hub only the checkpoint itself is fetched, no folders such as `checkpoint-500/`.
"""


def served_row(family: Family, result: str) -> str:
    """A row of the first table."""
    return f"| {family.name} | {family.resize} | {result} |"


def refused_row(kind: Refused, message: str) -> str:
    """A row of the second table."""
    return f"| {kind.name} | {message} |"


def main() -> None:
    """Prints the page."""
    served, refused = [], []
    for kind in (*FAMILIES, *REFUSED):
        print(kind.name, file=sys.stderr)
        with tempfile.TemporaryDirectory() as scratch:
            path = kind.save(Path(scratch) / "model")
            try:
                result = f"{greatest_dp(path, Path(scratch) / 'releases'):.0e}"
            except ExportError as error:
                result = str(error).replace(str(path), "model").replace("|", "\\|")
        if isinstance(kind, Family):
            served.append(served_row(kind, result))
        else:
            refused.append(refused_row(kind, result))
    print(_PAGE.format(served="\n".join(served), refused="\n".join(refused)), end="")


if __name__ == "__main__":
    main()
