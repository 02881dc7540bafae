"""A checkpoint: where it lies, what it says about itself, and the model loaded with transformers."""

from export.checkpoint.load import (
    SIDECAR,
    Bands,
    Checkpoint,
    Normalisation,
    Sidecar,
    VerdictBands,
    checkpoint_digest,
    companions_digest,
    load_checkpoint,
    read_processor,
    read_sidecar,
)

__all__ = [
    "SIDECAR",
    "Bands",
    "Checkpoint",
    "Normalisation",
    "Sidecar",
    "VerdictBands",
    "checkpoint_digest",
    "companions_digest",
    "load_checkpoint",
    "read_processor",
    "read_sidecar",
]
