"""Where a Triton listens, and how it is reached."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ServerAddresses:
    """Where a server listens.

    Attributes:
        host: Address of all three services.
        http_port: Of the inference protocol over HTTP.
        grpc_port: Of the inference protocol over gRPC.
        metrics_port: Of the Prometheus metrics.
    """

    host: str
    http_port: int
    grpc_port: int
    metrics_port: int

    @property
    def grpc_url(self) -> str:
        """host:port of the gRPC endpoint, from this machine: loopback where the server listens everywhere."""
        return f"{'127.0.0.1' if self.host == '0.0.0.0' else self.host}:{self.grpc_port}"
