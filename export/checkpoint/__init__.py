"""A checkpoint: where it lies, what it says about itself, and the model loaded with transformers."""

from export.checkpoint.load import (
    SIDECAR,
    Checkpoint,
    Normalisation,
    Sidecar,
    checkpoint_digest,
    companions_digest,
    load_checkpoint,
    read_processor,
    read_sidecar,
)

__all__ = [
    "SIDECAR",
    "Checkpoint",
    "Normalisation",
    "Sidecar",
    "checkpoint_digest",
    "companions_digest",
    "load_checkpoint",
    "read_processor",
    "read_sidecar",
]
