"""Texts that others wrote, such as names and notices, for terminals and spreadsheets: they show, and do nothing."""


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


def _escaped(text: str, kept: str) -> str:
    return "".join(c if c.isprintable() or c in kept else c.encode("unicode_escape").decode("ascii") for c in text)
