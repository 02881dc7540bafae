"""What was tried and how it went."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


class CheckError(Exception):
    """Something is not as promised; the message says what."""


def require(condition: bool, what: str) -> None:
    """Raises CheckError with `what` unless the condition holds."""
    if not condition:
        raise CheckError(what)


@dataclass
class Report:
    """Collects results and prints each as it comes.

    Attributes:
        failures: Names of the checks that failed.
        figures: Name -> value with its unit.
        not_tried: What could not be tried, and why.
    """

    failures: list[str] = field(default_factory=list)
    figures: dict[str, str] = field(default_factory=dict)
    not_tried: list[str] = field(default_factory=list)

    @contextmanager
    def check(self, name: str) -> Iterator[None]:
        """Runs one check; a failure is reported, and the checks go on."""
        started = time.monotonic()
        try:
            yield
        except Exception as error:  # whatever it is, the others are still worth knowing
            self.failures.append(name)
            print(f"FAIL  {name}: {type(error).__name__}: {error}", flush=True)
        else:
            print(f"ok    {name} ({time.monotonic() - started:.1f} s)", flush=True)

    def figure(self, name: str, value: str) -> None:
        """Notes a measured value."""
        self.figures[name] = value
        print(f"      {name}: {value}", flush=True)

    def skip(self, what: str, why: str) -> None:
        """Notes what was not tried."""
        self.not_tried.append(f"{what}: {why}")
        print(f"skip  {what}: {why}", flush=True)

    def print_summary(self) -> None:
        """The figures as a table, what was left out, and the verdict."""
        print("\n| figure | value |\n|---|---|")
        for name, value in self.figures.items():
            print(f"| {name} | {value} |")
        for line in self.not_tried:
            print(f"not tried: {line}")
        print(f"{len(self.failures)} checks failed" + (f": {', '.join(self.failures)}" if self.failures else ""))
