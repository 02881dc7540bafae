"""`python -m deploy.bake`: makes the release that the single container serves, while its image is built.

Settings are those of `make serve`: CHECKPOINT, PRECISION, INSTANCES, RELEASES_DIR and the others of an export.
"""

import sys

from pydantic import ValidationError

from assets import AssetError
from deploy.errors import DeployError
from deploy.model import ensure_release
from deploy.settings import LocalSettings
from export.errors import ExportError


def main() -> None:
    """Exit codes: 0 there is a release and `current` points to it, 1 not, 2 usage."""
    try:
        settings = LocalSettings()
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(str(p) for p in e['loc']).upper()}: {e['msg']}" for e in error.errors())
        print(f"bake: {problems}", file=sys.stderr)
        sys.exit(2)
    try:
        ensure_release(settings, make_current=True, say=_say)
    except (DeployError, ExportError, AssetError) as error:
        sys.exit(f"bake: {error}")


def _say(line: str) -> None:
    print(f"bake: {line}", flush=True)


if __name__ == "__main__":
    main()
