"""`python -m gateway`: serves the gateway with gunicorn. `--help` lists the settings."""

import os
import sys

from pydantic import ValidationError
from pydantic_settings import CliApp

from gateway.schemas import describe_violations
from gateway.settings import GatewaySettings


def main() -> None:
    """Reads the settings, then becomes gunicorn, whose workers read the same ones from the environment."""
    try:
        settings = CliApp.run(GatewaySettings, cli_args=sys.argv[1:])
    except ValidationError as error:
        sys.exit(f"gateway: wrong setting: {describe_violations(error)}")
    environment = {name.upper(): str(value) for name, value in settings.model_dump().items()}
    # A fixed threshold: glibc's own grows with the largest block freed, and then the memory of frames is kept for ever.
    os.environ.setdefault("MALLOC_MMAP_THRESHOLD_", str(2**20))
    command = [sys.executable, "-P", "-m", "gateway.gunicorn_start", "-c", "python:gateway.gunicorn_conf"]
    os.execve(sys.executable, command, {**os.environ, **environment})


if __name__ == "__main__":
    main()
