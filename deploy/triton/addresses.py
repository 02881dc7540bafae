"""Where a Triton listens, and how it is reached."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class GrpcTls:
    """PEM files with which the gRPC port is encrypted.

    Attributes:
        certificate: The server's certificate and those that vouch for it.
        key: Its private key.
        client_ca: Authority whose certificates clients must show; None: they need none.
    """

    certificate: Path
    key: Path
    client_ca: Path | None

    @classmethod
    def from_files(cls, certificate: Path | None, key: Path | None, client_ca: Path | None) -> "GrpcTls | None":
        """None where no file is given.

        Raises:
            ValueError: Files are missing.
        """
        if certificate is None and key is None and client_ca is None:
            return None
        if certificate is None or key is None:
            raise ValueError("DEEPFAKE_TRITON_TLS_CERT_FILE and DEEPFAKE_TRITON_TLS_KEY_FILE must be set together")
        return cls(certificate.resolve(), key.resolve(), client_ca and client_ca.resolve())


@dataclass(frozen=True)
class ServerAddresses:
    """Where a server listens.

    Attributes:
        host: Address of all three services.
        http_port: Of the inference protocol over HTTP; 0 for none.
        grpc_port: Of the inference protocol over gRPC.
        metrics_port: Of the Prometheus metrics.
        grpc_tls: Encrypts the gRPC port. HTTP, which Triton cannot encrypt, is then on loopback only.
    """

    host: str
    http_port: int
    grpc_port: int
    metrics_port: int
    grpc_tls: GrpcTls | None = None

    @property
    def http_host(self) -> str:
        """Address of the inference protocol over HTTP."""
        return "127.0.0.1" if self.grpc_tls else self.host

    @property
    def grpc_url(self) -> str:
        """host:port of the gRPC endpoint, from this machine: loopback where the server listens everywhere."""
        return f"{'127.0.0.1' if self.host == '0.0.0.0' else self.host}:{self.grpc_port}"
