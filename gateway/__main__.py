"""`python -m gateway`: serves the gateway with gunicorn. `--help` lists the settings."""

import os
import sys

from pydantic import ValidationError
from pydantic_settings import CliApp

from gateway.access.api_keys import ApiKeys, KeyFileError
from gateway.routes.schemas import describe_violations
from gateway.settings import GatewaySettings
from gateway.transport import server_context


def main() -> None:
    """Reads the settings, then becomes gunicorn, whose workers read the same ones from the environment."""
    try:
        settings = CliApp.run(GatewaySettings, cli_args=sys.argv[1:])
    except ValidationError as error:
        sys.exit(f"gateway: wrong setting: {describe_violations(error)}")
    try:
        check_secrets(settings)
    except (KeyFileError, OSError) as error:  # a setting must fail here, in one line, not in every worker
        sys.exit(f"gateway: {error}")
    values = settings.model_dump()
    environment = {name.upper(): "" if value is None else str(value) for name, value in values.items()}
    # A fixed threshold: glibc's own grows with the largest block freed, and then the memory of frames is kept for ever.
    os.environ.setdefault("MALLOC_MMAP_THRESHOLD_", str(2**20))
    command = [sys.executable, "-P", "-m", "gateway.gunicorn_start", "-c", "python:gateway.gunicorn_conf"]
    os.execve(sys.executable, command, {**os.environ, **environment})


def check_secrets(settings: GatewaySettings) -> None:
    """Reads the API keys and the certificate once.

    Raises:
        KeyFileError: The file of keys cannot be used.
        OSError: The certificate or its key cannot be.
    """
    if settings.api_keys_file is not None:
        ApiKeys(settings.api_keys_file)
    if settings.tls_cert_file is not None and settings.tls_key_file is not None:
        server_context(settings.tls_cert_file, settings.tls_key_file)


if __name__ == "__main__":
    main()
