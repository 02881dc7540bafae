"""`python -m gateway.check`: whether the gateway of this machine is healthy; what its container is checked with."""

import sys
import urllib.request

from gateway.settings import GatewaySettings

_TIMEOUT_S = 6.0


def main() -> None:
    """Asks GET /health, with the gateway's own settings. Exit codes: 0 healthy, 1 not."""
    settings = GatewaySettings()
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)
    url = f"http://{f'[{host}]' if ':' in host else host}:{settings.port}/health"
    try:
        urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=_TIMEOUT_S).close()
    except OSError as error:
        sys.exit(f"gateway: {error}")


if __name__ == "__main__":
    main()
