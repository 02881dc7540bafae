"""The model's card as a page. Its text came with the checkpoint: it is shown, and can do nothing."""

import re
from collections.abc import Sequence
from functools import lru_cache

from flask import Response, render_template
from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup

from deepfake_client.release import ModelCard
from gateway.page.pages import html_page

_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)
_MARKDOWN = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])
_FRONT_MATTER = re.compile(r"\A\ufeff?---\s*\n.*?^---\s*$", re.DOTALL | re.MULTILINE)
_WEB_ADDRESS = re.compile(r"https?://", re.IGNORECASE)


def model_card_page(card: ModelCard) -> Response:
    """The page of a card that has a text."""
    return html_page(render_template("card.html", card=card, text=_rendered(card.text)), _POLICY)


@lru_cache(maxsize=4)
def _rendered(markdown: str) -> Markup:
    """A card's Markdown as HTML without its front matter, which is for programs.

    HTML in it is text. Pictures are their alternative texts. Only links to the web are links.
    """
    tokens = _MARKDOWN.parse(_FRONT_MATTER.sub("", markdown))
    _tame(tokens)
    return Markup(_MARKDOWN.renderer.render(tokens, _MARKDOWN.options, {}))


def _tame(tokens: Sequence[Token]) -> None:
    """Changes tokens, so that the page needs no inline style, loads nothing, and has one main heading of its own."""
    link_tag = "a"  # of the link that is open; links hold no links
    for token in tokens:
        if token.type == "image":
            token.type, token.content = "text", f"[picture: {token.content or 'no text'}]"
            token.children = None
        elif token.type == "link_open":
            is_web = _WEB_ADDRESS.match(str(token.attrGet("href")))
            link_tag = token.tag = "a" if is_web else "span"
            token.attrs = {"href": token.attrs["href"], "rel": "noopener nofollow"} if is_web else {}
        elif token.type == "link_close":
            token.tag = link_tag
        elif token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(int(token.tag[1]) + 1, 6)}"
        elif token.type == "table_open":
            token.attrSet("tabindex", "0")  # it scrolls where it is wide
        elif align := token.attrs.pop("style", None):  # of a table's cell
            token.attrSet("class", str(align).removeprefix("text-align:"))
        _tame(token.children or ())
