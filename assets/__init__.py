"""Third-party files fetched by checksum: face detection models, photos, a schema."""

from assets.catalog import (
    ALL_ASSETS,
    COMPOSE_SCHEMA,
    DRIFT_PHOTOS,
    FACE_MODELS,
    GATE_FACES,
    GATE_PHOTOS,
    SAMPLE_PHOTOS,
    Asset,
)
from assets.fetch import AssetError, default_cache_dir, fetch_assets

__all__ = [
    "ALL_ASSETS",
    "COMPOSE_SCHEMA",
    "DRIFT_PHOTOS",
    "FACE_MODELS",
    "GATE_FACES",
    "GATE_PHOTOS",
    "SAMPLE_PHOTOS",
    "Asset",
    "AssetError",
    "default_cache_dir",
    "fetch_assets",
]
