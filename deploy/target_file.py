"""The file that tells a running gateway which Triton takes its requests."""

import os
from pathlib import Path


class TargetFile:
    """host:port of Triton's gRPC endpoint, replaced as a whole, so that a reader sees the old or the new one."""

    def __init__(self, path: Path, grpc_url: str) -> None:
        """Writes the first address.

        Raises:
            OSError: The file cannot be written.
        """
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self.write(grpc_url)

    def write(self, grpc_url: str) -> None:
        """Sends the gateway's next requests there."""
        temporary = self.path.with_name(f".{self.path.name}-{os.getpid()}")
        temporary.write_text(f"{grpc_url}\n", encoding="ascii")
        temporary.replace(self.path)
