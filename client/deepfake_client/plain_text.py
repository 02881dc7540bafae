"""Texts for people: those that others wrote, such as names and notices, which show and do nothing; and percentages."""

from decimal import ROUND_HALF_UP, Decimal

NO_BREAK = "\u00a0"


def shown(message: str) -> str:
    """A message for a terminal: control and direction characters and lone surrogates as in Python's strings.

    Line feeds and backslashes stay as they are.
    """
    return _escaped(message, "\n")


def escaped(text: str) -> str:
    """The text on one line, without control characters and lone surrogates; different texts stay different."""
    return _escaped(text.replace("\\", "\\\\"), "")


def csv_cell(text: str) -> str:
    """A text as a cell of a CSV file: an apostrophe comes before what spreadsheet programs would take for a formula.

    It also comes before an apostrophe, so that different texts stay different.
    """
    return f"'{text}" if len(text) > 1 and text.startswith(("=", "+", "-", "@", "'")) else text


def printable(text: str) -> str:
    """Without control and direction characters, which make a name look like another, and lone surrogates."""
    decoded = text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in decoded)


def excerpt(text: str, characters: int) -> str:
    """The beginning of a text, `printable` and on one line; an ellipsis says that there is more."""
    line = printable(" ".join(text[: 4 * characters].split()))
    return line if len(line) <= characters and len(text) <= 4 * characters else f"{line[: characters - 1]}…"


def percent(probability: float) -> str:
    """A probability 0-1 as the page shows it too: one decimal, and never certain."""
    if probability > 0.999:
        return "> 99.9 %"
    if probability < 0.001:
        return "< 0.1 %"
    return share(probability)


def share(value: float) -> str:
    """A measured share 0-1 as a percentage with one decimal."""
    return f"{one_decimal(100 * value)} %"


def one_decimal(value: float) -> str:
    """A score with one decimal; a half is rounded up, as JavaScript's toFixed does."""
    return str(Decimal(value).quantize(Decimal("0.1"), ROUND_HALF_UP))


def threshold(probability: float) -> str:
    """The edge of a band, 0-1, as a percentage without needless digits."""
    return share(probability).replace(".0", "")


def _escaped(text: str, kept: str) -> str:
    return "".join(c if c.isprintable() or c in kept else c.encode("unicode_escape").decode("ascii") for c in text)
