"""A few properties of an XMP packet, found by a bounded expression.

The XML is not parsed: nothing in it is expanded, fetched or nested, whatever the packet says.
"""

import html
import re
from collections.abc import Iterator

DIGITAL_SOURCE_TYPE = "DigitalSourceType"
REMOTE_MANIFEST = "provenance"
"""Where a C2PA manifest lies that is not in the file."""

_PROPERTY = re.compile(
    rf"(?<![/:\w-])(?:[\w-]{{1,40}}:)?({DIGITAL_SOURCE_TYPE}|CreatorTool|Credit|AISystemUsed|(?<=dcterms:){REMOTE_MANIFEST})"
    r"""(?:\s{0,9}=\s{0,9}["']|\s{1,9}rdf:resource\s{0,9}=\s{0,9}["']|>)([^<>"']{1,400})"""
)
_MOST_PROPERTIES = 20


def xmp_properties(packet: bytes) -> Iterator[tuple[str, str]]:
    """Names, without their prefix, and texts of the wanted properties."""
    for number, match in enumerate(_PROPERTY.finditer(packet.decode("utf-8", "replace"))):
        if number >= _MOST_PROPERTIES:
            return
        if text := html.unescape(match[2]).strip():
            yield match[1], text
