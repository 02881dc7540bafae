"""What names an exported classifier: its checkpoint, its variant and the code that made it."""

import functools
import hashlib

from export.checkpoint import Checkpoint
from export.precision import Variant
from export.repository import TEMPLATES


def export_id(checkpoint: Checkpoint, variant: Variant) -> int:
    """A positive INT32 that names the classifier's graph: checkpoint, variant, fake classes and exporter."""
    parts = [checkpoint.sha256, variant.name, str(checkpoint.fake_indices), code_digest("export")]
    return int(hashlib.sha256("\0".join(parts).encode()).hexdigest()[:8], 16) % (2**31 - 1) + 1


@functools.cache
def code_digest(*folders: str) -> str:
    """SHA-256 over the source files that decide what a release holds, as they were when it was first asked for."""
    digest = hashlib.sha256()
    root = TEMPLATES.parent
    for folder in folders:
        for path in sorted(p for p in (root / folder).rglob("*") if p.suffix in (".py", ".pbtxt")):
            digest.update(f"{path.relative_to(root)}\0".encode() + path.read_bytes())
    return digest.hexdigest()
