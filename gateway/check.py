"""`python -m gateway.check`: whether the gateway of this machine is healthy; what its container is checked with."""

import ssl
import sys
import urllib.request

from gateway.settings import GatewaySettings

_TIMEOUT_S = 6.0


def main() -> None:
    """Asks GET /health, with the gateway's own settings. Exit codes: 0 healthy, 1 not."""
    settings = GatewaySettings()
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)
    scheme = "http" if settings.tls_cert_file is None else "https"
    context = ssl.create_default_context()
    # The certificate is made out to the name that callers use; nothing secret is sent, and only a status is read.
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    handlers = (urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
    url = f"{scheme}://{f'[{host}]' if ':' in host else host}:{settings.port}/health"
    try:
        urllib.request.build_opener(*handlers).open(url, timeout=_TIMEOUT_S).close()
    except OSError as error:
        sys.exit(f"gateway: {error}")


if __name__ == "__main__":
    main()
