"""A few texts of the IPTC block that Photoshop's image resources hold."""

from collections.abc import Iterator

_IPTC_RESOURCE = 0x0404
_NAMES = {65: "Software", 110: "Credit"}  # Google's generators write "Made with Google AI" as the credit
_MOST_STEPS = 500


def iptc_texts(resources: bytes) -> Iterator[tuple[str, str]]:
    """Names and texts of the wanted datasets."""
    position = 0
    for _ in range(_MOST_STEPS):
        if resources[position : position + 4] != b"8BIM":
            return
        number = int.from_bytes(resources[position + 4 : position + 6], "big")
        name = resources[position + 6 : position + 7]
        start = position + 7 + (name[0] if name else 0)
        start += (start - position) % 2 + 4  # the name is padded to an even length; a size of four bytes follows
        size = int.from_bytes(resources[start - 4 : start], "big")
        if number == _IPTC_RESOURCE:
            yield from _datasets(resources[start : start + size])
        position = start + size + size % 2


def _datasets(block: bytes) -> Iterator[tuple[str, str]]:
    position = 0
    for _ in range(_MOST_STEPS):
        head = block[position : position + 5]
        if len(head) < 5 or head[0] != 0x1C:
            return
        size = int.from_bytes(head[3:], "big")
        if head[1] == 2 and (name := _NAMES.get(head[2])):
            yield name, block[position + 5 : position + 5 + size].decode("utf-8", "replace")
        position += 5 + size
