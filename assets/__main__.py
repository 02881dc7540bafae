"""`python -m assets`: fetches every file of the catalogue and prints where it lies."""

import sys

from assets import ALL_ASSETS, AssetError, fetch_assets

try:
    for name, path in fetch_assets(ALL_ASSETS).items():
        print(f"{name}\t{path}")
except AssetError as error:
    sys.exit(f"assets: {error}")
