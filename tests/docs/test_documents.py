"""The documents: few and short, their links lead somewhere, and their tables say what the code says."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from gateway.errors import CODES
from preprocessing import STATUS_TABLE
from tests.docs.documents import DOCUMENTS, anchors
from tests.service import ROOT

PACKAGE_READMES = ("training/embedded/README.md",)
MOST_DOCUMENTS, MOST_WORDS, MOST_README_LINES = 13, 19_500, 170


def test_they_are_few_and_short() -> None:
    docs = sorted((ROOT / "docs").glob("*.md"))
    counted = [ROOT / "README.md", *docs, *(ROOT / name for name in PACKAGE_READMES)]
    assert len(docs) <= MOST_DOCUMENTS
    assert sum(len(path.read_text("utf-8").split()) for path in counted) <= MOST_WORDS
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) <= MOST_README_LINES


def test_no_other_readme_has_appeared() -> None:
    listed = subprocess.run(["git", "ls-files", "*README.md"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert set(listed.stdout.split()) - {"README.md", "deploy/embedded_checkpoint/README.md"} == set(PACKAGE_READMES)


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


def test_one_version_everywhere() -> None:
    versions = {
        tomllib.loads((ROOT / folder / "pyproject.toml").read_text("utf-8"))["project"]["version"]
        for folder in (".", "client")
    }
    (version,) = versions
    newest = re.search(r"^## (\S+) - \d{4}-\d\d-\d\d$", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    assert newest is not None
    assert newest.group(1) == version
    listed = subprocess.run(
        ["git", "ls-files", "docker-compose*.yml", "deploy/**.yaml"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    tags = {
        tag
        for name in listed.stdout.split()
        for tag in re.findall(r"deepfake-serving/[a-z-]+:(\S+)", (ROOT / name).read_text("utf-8"))
    }
    assert tags == {version}
