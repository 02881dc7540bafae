"""`python -m deploy.bake`: makes the release that the single container serves, while its image is built.

Settings are those of `make serve`: CHECKPOINT, DEEPFAKE_PRECISION, DEEPFAKE_RELEASES_DIR and the others of an export.
"""

from deploy.console import exits_with_one_line, say
from deploy.model import ensure_release
from deploy.settings import DeploySettings
from runtime.process import show_crashes


def main() -> None:
    """Exit codes: 0 there is a release and `current` points to it, 1 not, 2 usage."""
    show_crashes()
    with exits_with_one_line("bake"):
        ensure_release(DeploySettings(), say)


if __name__ == "__main__":
    main()
