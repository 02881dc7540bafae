"""The documents: few and short, their links lead somewhere, and their tables say what the code says."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.errors import CODES
from preprocessing import STATUS_TABLE
from tests.docs.documents import DOCUMENTS
from tests.service import ROOT


def anchors(document: Path) -> set[str]:
    text = re.sub(r"^```.*?^```", "", document.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", [*DOCUMENTS, ROOT / "SECURITY.md"], ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", document.read_text("utf-8")):
        if target.startswith(("http:", "https:", "mailto:")):
            continue
        name, _, anchor = target.partition("#")
        linked = document.parent / name if name else document
        assert linked.exists(), target
        assert not anchor or anchor in anchors(linked), target


def test_the_table_of_frame_statuses() -> None:
    rows = [f"| {code} | {row.name} | {row.meaning} |" for code, row in STATUS_TABLE.items()]
    assert "\n".join(rows) in (ROOT / "docs" / "api.md").read_text("utf-8")


def test_the_table_of_error_codes() -> None:
    text = (ROOT / "docs" / "api.md").read_text("utf-8")
    table = text[text.index("### Errors") : text.index("## Triton")]
    rows = re.findall(r"^\| ([\d, ]+) \| (.*) \|$", table, re.MULTILINE)
    documented = {code: statuses for statuses, codes in rows for code in re.findall(r"`([A-Z_]+)`", codes)}
    by_proxy = {"RATE_LIMITED"}
    for code, statuses in documented.items():
        assert code in by_proxy or str(CODES[code].status) in statuses.split(", "), code
    assert documented.keys() - by_proxy == {code for code, row in CODES.items() if row.status not in (499, 500)}


def test_the_settings_page_is_what_the_code_says() -> None:
    """Make it again with: python -m tests.docs.settings_page > docs/settings.md."""
    made = subprocess.run([sys.executable, "-m", "tests.docs.settings_page"], cwd=ROOT, capture_output=True, check=True)
    assert (ROOT / "docs" / "settings.md").read_bytes() == made.stdout
