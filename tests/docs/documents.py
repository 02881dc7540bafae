"""The documents, and the fenced blocks in them.

The first word of a block's info string says what it is: `sh` and `python` are run by test_commands.py, `console` shows
commands with `$` before them, anything else holds no commands. `sh no-test: REASON` is not run; `sh long` only by
`make test-long`. The last command of `sh exit-1` ends with exit code 1.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.service import ROOT

DOCUMENTS = (
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").glob("*.md")),
)

_FENCE = re.compile(r"^```(.*)\n((?:(?!```).*\n)*)```$", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Attributes:
        document: The file.
        line: Of its first fence, from 1.
        info: The info string, whole.
        text: What is between the fences.
    """

    document: Path
    line: int
    info: str
    text: str

    @property
    def kind(self) -> str:
        """The first word of the info string."""
        return self.info.split(" ")[0]

    @property
    def not_run_because(self) -> str:
        """Why it is not run, "" if it is."""
        return self.info.partition("no-test:")[2].strip()

    @property
    def place(self) -> str:
        """document:line."""
        return f"{self.document.relative_to(ROOT)}:{self.line}"

    def commands(self) -> list[str]:
        """Its command lines, continued lines joined."""
        text = self.text.replace("\\\n", " ")
        if self.kind == "console":
            return [line[2:] for line in text.splitlines() if line.startswith("$ ")]
        return (
            [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
            if self.kind == "sh"
            else []
        )


def blocks() -> Iterator[Block]:
    """All blocks of all documents."""
    for document in DOCUMENTS:
        text = document.read_text("utf-8")
        for found in _FENCE.finditer(text):
            yield Block(document, text.count("\n", 0, found.start()) + 1, found.group(1).strip(), found.group(2))


def anchors(document: Path) -> set[str]:
    """What a link to a document may have behind its `#`, as GitHub makes it of the headings."""
    text = re.sub(r"^```.*?^```", "", document.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-") for heading in headings}
