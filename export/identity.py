"""What names an export: the classifier's EXPORT_ID, and the key under which the same export finds its release again."""

import functools
import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict

from deepfake_client.release import Description
from export.checkpoint.fusion import Sources
from export.checkpoint.load import Checkpoint, checkpoint_digest, companions_digest
from export.repository import TEMPLATES
from export.settings import ExportSettings
from export.target import Target, Variant
from preprocessing import PREPROCESSING_VERSION, PreprocessParams
from runtime import usable_cores
from runtime.openvino_classifier import processor

_INDECISIVE = frozenset({"releases_dir", "cache_dir", "parity_images"})
"""Settings that do not change the release. A gate of more images makes no other classifier."""


def export_id(checkpoint: Checkpoint, params: PreprocessParams, variant: Variant) -> int:
    """A positive INT32 that names what decides a score: checkpoint, fake classes, preprocessing, variant, exporter."""
    preprocess = json.dumps([PREPROCESSING_VERSION, params.to_dict()], sort_keys=True)
    parts = [checkpoint.sha256, variant.name, str(checkpoint.head.fake_indices), preprocess, code_digest("export")]
    return int(hashlib.sha256("\0".join(parts).encode()).hexdigest()[:8], 16) % (2**31 - 1) + 1


def source_key(digests: Sequence[str], sources: Sources, settings: ExportSettings, target: Target) -> str:
    """Equal for exports that would give the same release: same checkpoints, settings, processor and code.

    Args:
        digests: Of each checkpoint; see `checkpoint_digest`.
        sources: The checkpoints.
        settings: What is exported, with instances that fit (`fitted`).
        target: Who will run the classifier.
    """
    folder = sources.folder
    decisive = {name: value for name, value in asdict(settings).items() if name not in _INDECISIVE}
    chosen = {
        **decisive,
        "checkpoints": digests,
        "companions": [companions_digest(member.located.path) for member in sources.members],
        "names": [member.located.name for member in sources.members],
        "whole_image": [member.whole_image for member in sources.members],
        "fusion": asdict(sources.fusion) if sources.fusion else None,
        "fused": [folder.name, checkpoint_digest(folder), companions_digest(folder)] if folder else None,
        "target": asdict(target),
        "cores": usable_cores(),
        # What is fastest, and what can be run at all, is the processor's business.
        "processor": "" if settings.precision == "fp32" else processor(),
        "description": Description.model_json_schema(),
        "code": code_digest("export", "preprocessing", "model_repository", "runtime"),
    }
    return hashlib.sha256(json.dumps(chosen, sort_keys=True, default=str).encode()).hexdigest()


@functools.cache
def code_digest(*folders: str) -> str:
    """SHA-256 over the source files that decide what a release holds, as they were when it was first asked for."""
    digest = hashlib.sha256()
    root = TEMPLATES.parent
    for folder in folders:
        for path in sorted(p for p in (root / folder).rglob("*") if p.suffix in (".py", ".pbtxt")):
            digest.update(f"{path.relative_to(root)}\0".encode() + path.read_bytes())
    return digest.hexdigest()
