"""Which version of this project runs."""

from importlib.metadata import PackageNotFoundError, version


def project_version() -> str:
    """The installed version of this project."""
    try:
        return version("deepfake-serving")
    except PackageNotFoundError:
        return "unknown"
