"""Which version of this project runs."""

from importlib.metadata import PackageNotFoundError, version

DISTRIBUTION = "deepfake-serving"


def project_version() -> str:
    """The installed version of this project."""
    try:
        return version(DISTRIBUTION)
    except PackageNotFoundError:
        return "unknown"
