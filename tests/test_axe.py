"""axe-core finds what is wrong with a page, and nothing on a page that is right."""

from pathlib import Path

import pytest

from tests.axe import violations
from tests.browser import chromium

PAGE = """<!doctype html><html lang="en"><head><title>Test</title></head>
<body><main><h1>Test</h1>{content}</main></body></html>"""


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("<p>Nothing wrong</p>", []),
        ("<img src='data:,'>", ["image-alt (critical): img: Images must have alternate text"]),
        (
            "<p style='color: #aaa; background: #fff'>Faint</p><h3>No second level</h3>",
            [
                "color-contrast (serious): p: Elements must meet minimum color contrast ratio thresholds",
                "heading-order (moderate): h3: Heading levels should only increase by one",
            ],
        ),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, content: str, expected: list[str]) -> None:
    page = tmp_path / "page.html"
    page.write_text(PAGE.format(content=content))
    with chromium(tmp_path / "browser") as driver:
        driver.get(page.as_uri())
        assert violations(driver) == expected
