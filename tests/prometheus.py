"""Prometheus's own programs for tests, and what a /metrics page says."""

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import requests
from prometheus_client.parser import text_string_to_metric_families

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
