"""Prometheus's own programs for tests, one that watches a service, and what a /metrics page says."""

import os
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests
from prometheus_client.parser import text_string_to_metric_families

from deploy.process import Child
from runtime.free_ports import free_ports
from tests.service import ROOT

MONITORING = ROOT / "deploy" / "monitoring"
_UNPACKED = Path(sys.prefix) / "prometheus" / "usr" / "bin"
"""Where deploy/install.sh puts them."""


def program(name: str) -> str:
    """Path of `prometheus` or `promtool`.

    Raises:
        RuntimeError: It is not installed.
    """
    found = shutil.which(name) or shutil.which(name, path=str(_UNPACKED))
    if found is None:
        raise RuntimeError(f"this needs {name}; run: sudo apt-get install --no-install-recommends prometheus")
    return found


@contextmanager
def run_prometheus(folder: Path, gateway_port: int, triton_metrics_port: int) -> Iterator[str]:
    """A Prometheus with the real files, this run's ports, a look every second, and alerts that wait for two.

    Yields its base URL at once: it may not answer yet.
    """
    (port,) = free_ports(1)
    config = (MONITORING / "prometheus.yml").read_text("utf-8")
    config = config.replace("127.0.0.1:5000", f"127.0.0.1:{gateway_port}")
    config = config.replace("127.0.0.1:8002", f"127.0.0.1:{triton_metrics_port}")
    config = config.replace("_interval: 15s", "_interval: 1s").replace("_timeout: 10s", "_timeout: 1s")
    (folder / "prometheus.yml").write_text(config, "utf-8")
    alerts = (MONITORING / "alerts.yml").read_text("utf-8")
    (folder / "alerts.yml").write_text(re.sub(r"\bfor: \d+m", "for: 2s", alerts), "utf-8")
    command = [
        program("prometheus"), f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}", f"--web.listen-address=127.0.0.1:{port}",
    ]  # fmt: skip
    watching = Child("prometheus", command, dict(os.environ), folder / "prometheus.log")
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        watching.end(10)


@dataclass(frozen=True)
class Page:
    """A /metrics page.

    Attributes:
        samples: Value by name and labels.
        types: Type by name of the family.
    """

    samples: dict[tuple[str, frozenset[tuple[str, str]]], float]
    types: dict[str, str]

    @classmethod
    def parse(cls, text: str) -> "Page":
        samples, types = {}, {}
        for family in text_string_to_metric_families(text):
            types[family.name] = family.type
            for sample in family.samples:
                # The parser gives every counter the ending that Triton's do without.
                name = sample.name if f"\n{sample.name}" in text else sample.name.removesuffix("_total")
                samples[name, frozenset(sample.labels.items())] = sample.value
        return cls(samples, types)

    @classmethod
    def fetch(cls, url: str) -> "Page":
        response = requests.get(url, timeout=10)
        assert response.status_code == 200, response.text
        return cls.parse(response.text)

    def value(self, name: str, **labels: str) -> float:
        """One sample; 0 if there is none."""
        return self.samples.get((name, frozenset(labels.items())), 0.0)

    @property
    def names(self) -> set[str]:
        """Of all samples."""
        return {name for name, _ in self.samples}
