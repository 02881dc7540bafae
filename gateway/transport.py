"""TLS of the gateway's own port."""

import ssl
from pathlib import Path


def server_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """TLS 1.2 or newer with a certificate; made anew for each connection, so that a renewed one is taken at once.

    Args:
        certificate: PEM file of the certificate and those that vouch for it.
        key: PEM file of its private key, without a passphrase.

    Raises:
        OSError: The files cannot be read, or do not belong together.
    """
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # A body whose reading is ended from here (body_readers.py) is still answered. HTTP itself tells a cut body.
    context.options |= ssl.OP_IGNORE_UNEXPECTED_EOF
    try:
        # A passphrase would be asked for on the terminal, of which a service has none.
        context.load_cert_chain(certificate, key, password="")
    except ssl.SSLError as error:
        raise OSError(f"TLS_CERT_FILE {certificate} and TLS_KEY_FILE {key} are no pair: {error.reason}") from error
    except OSError as error:
        raise OSError(f"TLS_CERT_FILE {certificate} or TLS_KEY_FILE {key}: {error.strerror}") from error
    return context
