"""The model card of a checkpoint: who made it, for what, and where it fails.

The card is the `model_card` block of `deepfake.json`, and the checkpoint's `README.md` as its text.
"""

import hashlib
from pathlib import Path
from typing import Any

from deepfake_client.release import CardFields, ModelCard
from export.errors import CheckpointError
from export.release import own_file

README = "README.md"
"""The card's text in a checkpoint."""

MAX_SERVED_BYTES = 16 * 1024
"""A longer text is not sent through Triton's config, which every client reads; its digest is."""


def read_card(checkpoint: Path, fields: CardFields | None, name: str) -> ModelCard | None:
    """The card of a checkpoint; None where it has neither the block nor a README.md.

    Args:
        checkpoint: Its directory.
        fields: The block, if there is one.
        name: What the model is called where the block does not say.

    Raises:
        CheckpointError: README.md cannot be read, or is a link that leaves the directory.
    """
    readme = own_file(checkpoint, README)
    if fields is None and readme is None:
        return None
    said = (fields or CardFields()).model_dump()
    try:
        content = readme.read_bytes() if readme else b""
    except OSError as error:
        raise CheckpointError(f"{readme} cannot be read: {error.strerror}") from error
    said["licence"] = said["licence"] or (_licence_of(readme) if readme else "")
    return ModelCard.model_validate(
        {
            **said,
            "name": said["name"] or name[:200],
            "sha256": hashlib.sha256(content).hexdigest() if readme else "",
            "text": content.decode("utf-8", "replace") if len(content) <= MAX_SERVED_BYTES else "",
        }
    )


def _licence_of(readme: Path) -> str:
    """The licence that the hub's front matter names, "" where it names none or cannot be read."""
    from huggingface_hub import metadata_load

    try:
        metadata: Any = metadata_load(readme)
    except Exception:  # whatever its YAML parser raises: the front matter is a courtesy, the text is the card
        return ""
    licence = metadata.get("license", "") if isinstance(metadata, dict) else ""
    return licence[:200] if isinstance(licence, str) else ""
