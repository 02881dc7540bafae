"""Third-party files fetched by checksum: face detection models and photos."""

from assets.catalog import ALL_ASSETS, DRIFT_PHOTOS, FACE_MODELS, SAMPLE_PHOTOS, Asset
from assets.fetch import AssetError, default_cache_dir, fetch_assets

__all__ = [
    "ALL_ASSETS",
    "DRIFT_PHOTOS",
    "FACE_MODELS",
    "SAMPLE_PHOTOS",
    "Asset",
    "AssetError",
    "default_cache_dir",
    "fetch_assets",
]
