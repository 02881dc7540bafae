"""`python -m bulk` is `deepfake-bulk`."""

import importlib.util
import sys

PACKAGES = ("pyarrow", "fsspec", "ray")
EXIT_USAGE = 2


def main() -> None:
    """Entry point of the console script."""
    if missing := [name for name in PACKAGES if importlib.util.find_spec(name) is None]:
        print(
            f"deepfake-bulk: {', '.join(missing)} is not installed: pip install 'deepfake-serving[bulk]', also on "
            "every machine of the cluster",
            file=sys.stderr,
        )
        sys.exit(EXIT_USAGE)
    from bulk.cli import app

    app(prog_name="deepfake-bulk")


if __name__ == "__main__":
    main()
