"""The embedded checkpoint: what the local deployment serves where the hub cannot be reached.

A small trained model that lies beside this file, made by `make embedded`. It exercises every part of the service, and
its card says what it reaches: it is a demonstration, no detector to rely on.
"""

from pathlib import Path

from deploy.errors import StartError

EMBEDDED_CHECKPOINT = Path(__file__).resolve().parent / "embedded_checkpoint"


def embedded_checkpoint() -> Path:
    """The checkpoint's directory.

    Raises:
        StartError: This installation has none.
    """
    if not (EMBEDDED_CHECKPOINT / "model.safetensors").is_file():
        raise StartError(f"the embedded checkpoint is not in {EMBEDDED_CHECKPOINT}; install again, or set CHECKPOINT")
    return EMBEDDED_CHECKPOINT
