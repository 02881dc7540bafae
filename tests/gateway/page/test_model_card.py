"""The page of the model's card: its text is shown, and does nothing."""

import re

import pytest

from tests.gateway.conftest import Gateway
from tests.gateway.page.test_pages import Markup, fetch, policy
from tests.gateway.routes.test_model_card import CARD, serve

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


def page(gateway: Gateway, text: str) -> str:
    """The card's page as a browser gets it."""
    serve(gateway, model_card={**CARD, "text": text})
    response = fetch(gateway, "/model-card", headers={"Accept": BROWSER})
    assert response.status_code == 200
    shown: str = response.text
    return shown


def article(gateway: Gateway, text: str) -> str:
    """What the page makes of the card's text."""
    return page(gateway, text).split("<article>")[1].split("</article>")[0].strip()


@pytest.mark.parametrize(
    ("accept", "is_page"),
    [
        (BROWSER, True),
        ("text/html", True),
        ("text/html;q=0.9, text/markdown;q=0.8", True),
        (None, False),
        ("*/*", False),
        ("text/*", False),
        ("text/markdown, text/html", False),
        ("text/html;q=0.8, text/markdown", False),
        ("application/json", False),
    ],
)
def test_who_prefers_html_gets_a_page(gateway: Gateway, accept: str | None, is_page: bool) -> None:
    serve(gateway, model_card=CARD)
    response = fetch(gateway, "/model-card", headers={"Accept": accept} if accept else {})
    assert response.mimetype == ("text/html" if is_page else "text/markdown")
    assert response.headers["Vary"] == "Accept"
    again = fetch(
        gateway, "/model-card", headers={"Accept": accept or "*/*", "If-None-Match": response.headers["ETag"]}
    )
    assert again.status_code == (304 if is_page else 200)
    assert again.headers["Vary"] == "Accept"


def test_the_page_comes_with_strict_headers_and_asks_for_nothing_elsewhere(gateway: Gateway) -> None:
    serve(gateway, model_card=CARD)
    response = fetch(gateway, "/model-card", headers={"Accept": BROWSER})
    assert policy(response.headers["Content-Security-Policy"]) == {
        "default-src": "'none'",
        "style-src": "'self'",
        "img-src": "'self'",
        "form-action": "'none'",
        "base-uri": "'none'",
        "frame-ancestors": "'none'",
    }
    markup = Markup(response.text)
    assert not {"script", "style"} & {tag for tag, _ in markup.tags}
    loaded = [address for address in markup.addresses() if "://" not in address]
    assert "static/theme.css" in loaded
    for address in loaded:
        assert fetch(gateway, "/" + address.removeprefix("./")).status_code == 200, address


def test_the_page_says_what_is_known_of_the_card(gateway: Gateway) -> None:
    shown = page(gateway, "# Other\n")
    for said in ("<h1>Example</h1>", "apache-2.0", "tests", "everything", CARD["sha256"]):
        assert said in shown
    assert '<a href="https://example.org/card" rel="noopener nofollow">' in shown


def test_markdown_becomes_html(gateway: Gateway) -> None:
    shown = article(gateway, "# A model\n\n**Bold** and `code`.\n\n| a | b |\n|---|--:|\n| 1 | 2 |\n")
    assert "<h2>A model</h2>" in shown  # the page has a main heading of its own
    assert "<strong>Bold</strong> and <code>code</code>" in shown
    assert '<th class="right">b</th>' in shown
    assert "style=" not in shown


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_front_matter_is_left_out(gateway: Gateway, newline: str) -> None:
    text = "---\nlicense: mit\ntags: [x]\n---\n# A model\n\nText.\n\n---\n\nMore.\n".replace("\n", newline)
    shown = article(gateway, text)
    assert "license" not in shown
    assert "tags" not in shown
    assert shown.startswith("<h2>A model</h2>")
    assert "More." in shown


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "a <b onclick='x'>b</b>",
        "<svg/onload=alert(1)>",
        "<style>*{display:none}</style>",
        "</article></main><script>alert(1)</script>",
        "<!-- comment -->",
        '```"><script>alert(1)</script>\ncode\n```',
        "| <script>alert(1)</script> |\n|---|\n| <img src=x onerror=y> |\n",
        '[text](https://example.org "><script>alert(1)</script>")',
        '[text](https://example.org/"onmouseover="alert(1))',
    ],
)
def test_html_in_it_is_text(gateway: Gateway, text: str) -> None:
    markup = Markup(article(gateway, text))
    allowed = {"p", "pre", "code", "table", "thead", "tbody", "tr", "th", "td", "a"}
    assert {tag for tag, _ in markup.tags} <= allowed
    assert {name for _, attributes in markup.tags for name in attributes} <= {"href", "rel", "class", "tabindex"}


@pytest.mark.parametrize(
    "address",
    [
        "javascript:alert(1)",
        "JaVaScRiPt:alert(1)",
        "java&#x73;cript:alert(1)",
        "<java\tscript:alert(1)>",
        "vbscript:x",
        "data:text/html,<script>x</script>",
        "file:///etc/passwd",
        "mailto:a@example.org",
        "//example.org/x",
        "/detect",
        "other.md",
        "#part",
        "ftp://example.org",
    ],
)
def test_other_addresses_are_no_links(gateway: Gateway, address: str) -> None:
    shown = article(gateway, f"Before [**name**]({address}) <{address}> after.\n\n[name][1]\n\n[1]: {address}\n")
    assert "href" not in shown
    assert "name" in shown
    assert shown.count("<span>") == shown.count("</span>")


def test_links_to_the_web_pass_nothing_on(gateway: Gateway) -> None:
    shown = article(gateway, "[one](https://example.org/a) <http://example.org/b> [x](y) [two](HTTPS://example.org/c)")
    assert re.findall(r"<a [^>]*>", shown) == [
        '<a href="https://example.org/a" rel="noopener nofollow">',
        '<a href="http://example.org/b" rel="noopener nofollow">',
        '<a href="HTTPS://example.org/c" rel="noopener nofollow">',
    ]
    assert shown.count("</a>") == 3


def test_pictures_are_not_loaded(gateway: Gateway) -> None:
    shown = article(
        gateway,
        "![A chart](https://example.org/a.png) [![Badge](https://b.example/x.svg)](https://b.example) ![](c.png)",
    )
    assert "<img" not in shown
    assert "a.png" not in shown
    assert "[picture: A chart]" in shown
    assert '<a href="https://b.example" rel="noopener nofollow">[picture: Badge]</a>' in shown


def test_a_huge_table_is_shown_whole(gateway: Gateway) -> None:
    """The longest text that an export puts into a release."""
    rows = (16 * 1024 - 12) // 6
    shown = article(gateway, "|a|b|\n|-|-|\n" + "|x|y|\n" * rows)
    assert shown.count("<tr>") == rows + 1
    wide = article(gateway, "|" + "a|" * 1000 + "\n|" + "-|" * 1000 + "\n" + "|x\n" * 1000)
    assert wide.count("<th>") == 1000
