"""Containers of broadcasting, streaming and older systems, told by their first bytes."""

import uuid

_PACKETS = {"ts": ((0, 188), (0, 204)), "m2ts": ((4, 192),)}
"""Of transport streams: where the first sync byte stands, and the length of a packet. 204 has check sums, 192 times."""

_SYNC = 0x47
_LEAST_PACKETS = 3

ASF_HEADER = uuid.UUID("75b22630-668e-11cf-a6d9-00aa0062ce6c").bytes_le
_ASF_VIDEO = uuid.UUID("bc19efc0-5b4d-11cf-a8fd-00805f5c442b").bytes_le

_OGG_FIRST, _OGG_PAGE_BYTES = 2, 27
_OGG_VIDEO = (b"\x80theora", b"OVP80", b"BBCD\0", b"\x01video")


def container(head: bytes) -> str | None:
    """ts, m2ts, flv, wmv, mpg or ogv; None for all else, and where the first bytes tell of sound alone."""
    for name, layouts in _PACKETS.items():
        if any(_has_packets(head, *layout) for layout in layouts):
            return name
    if head.startswith(b"FLV\x01"):
        return "flv"
    if head.startswith(b"\0\0\x01\xba"):
        return "mpg"
    if head.startswith(ASF_HEADER):
        unseen = int.from_bytes(head[16:24], "little") > len(head)
        return "wmv" if unseen or _ASF_VIDEO in head else None
    if head.startswith(b"OggS"):
        return "ogv" if any(first.startswith(_OGG_VIDEO) for first in _ogg_streams(head)) else None
    return None


def _has_packets(head: bytes, start: int, length: int) -> bool:
    syncs = head[start::length]
    return len(syncs) >= _LEAST_PACKETS and set(syncs) == {_SYNC}


def _ogg_streams(head: bytes) -> list[bytes]:
    """The first packet of each stream; all of them stand before anything else."""
    found, position = [], 0
    while head.startswith(b"OggS", position) and len(head) >= position + _OGG_PAGE_BYTES:
        if not head[position + 5] & _OGG_FIRST:
            break
        lengths = head[position + _OGG_PAGE_BYTES :][: head[position + _OGG_PAGE_BYTES - 1]]
        start = position + _OGG_PAGE_BYTES + len(lengths)
        position = start + sum(lengths)
        found.append(head[start:position])
    return found
