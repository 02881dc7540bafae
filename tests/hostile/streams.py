"""Files of the containers of broadcasting and streaming that are made to deceive, crash, stall or exhaust."""

import struct
from collections.abc import Callable
from functools import cache, partial

from tests.hostile.media_structure import crc32, repaired, split
from tests.hostile.videos import ALL_FRAMES, REFUSAL, HostileVideo, clip

_RATE = {"b": "4000000"}
_CLOCK_WRAP = 2**33
_VIDEO_PID = 256


@cache
def stream_clips() -> dict[str, bytes]:
    """An intact clip of each of these containers, by the name of its format."""
    packets = split(clip("mpegts"))
    return {
        "ts": clip("mpegts"),
        "m2ts": b"".join(struct.pack(">I", number << 8) + packet for number, packet in enumerate(packets)),
        "flv": clip("flv", "flv", **_RATE),
        "wmv": clip("asf", "wmv2", **_RATE),
        "mpg": clip("vob", "mpeg2video", **_RATE),
        "ogv": clip("ogg", "libvpx", deadline="realtime", **_RATE),
        "3gp": clip("3gp"),
    }


def hostile_streams(elsewhere: str) -> list[HostileVideo]:
    """The catalogue.

    Args:
        elsewhere: An address or path that some of the files point to, and nothing may read.
    """
    intact = [
        HostileVideo(f"{name}: intact", partial(bytes, content), ALL_FRAMES) for name, content in stream_clips().items()
    ]
    return [*intact, *_transport(), *_flash(), *_windows_media(elsewhere), *_program(), *_ogg(elsewhere)]


def _transport() -> list[HostileVideo]:
    packets = split(stream_clips()["ts"])
    nothing = _packet(0x1FFF, bytes(184))

    def edited(edit: Callable[[int, bytes], bytes]) -> Callable[[], bytes]:
        return lambda: b"".join(edit(number, packet) for number, packet in enumerate(packets))

    def timed(ticks_of: Callable[[int], int]) -> Callable[[], bytes]:
        return edited(lambda number, packet: _with_time(packet, ticks_of(number)))

    return [
        HostileVideo("ts: 20,000 packets of nothing", lambda: nothing * 20_000 + b"".join(packets), ALL_FRAMES),
        HostileVideo("ts: nothing alone", lambda: nothing * 20_000, REFUSAL),
        HostileVideo("ts: no tables", edited(lambda _, packet: packet if _pid(packet) >= _VIDEO_PID else b"")),
        HostileVideo("ts: a packet of every number", lambda: _of_every_number() + b"".join(packets)),
        HostileVideo("ts: 8,000 announced streams", lambda: _announced() + _of_every_number() + b"".join(packets)),
        HostileVideo("ts: 8,000 streams alone", lambda: _announced() + _of_every_number() * 40),
        HostileVideo("ts: a picture without an end", lambda: b"".join(packets[:4]) + _filling() * 40_000),
        HostileVideo("ts: nothing but fields", edited(lambda _, packet: packet[:3] + b"\x3f\xff" + packet[5:])),
        HostileVideo("ts: scrambled", edited(lambda _, packet: packet[:3] + bytes([packet[3] | 0x80]) + packet[4:])),
        HostileVideo(
            "ts: the clock jumps with each packet", timed(lambda number: number * 7_654_321_987 % _CLOCK_WRAP)
        ),
        HostileVideo("ts: the clock stands still", timed(lambda _: 9000)),
        HostileVideo("ts: the clock runs backwards", timed(lambda number: _CLOCK_WRAP - 1 - number * 900_000)),
        HostileVideo("ts: 500 times the same", lambda: b"".join(packets) * 500),
    ]


def _flash() -> list[HostileVideo]:
    whole = stream_clips()["flv"]
    header, rest = whole[:13], split(whole)[1:]

    def metadata(body: bytes) -> Callable[[], bytes]:
        return lambda: header + _tag(18, b"\x02\0\x0aonMetaData" + body) + b"".join(rest[1:])

    def array(entries: bytes) -> bytes:
        return b"\x08\0\0\0\1" + entries + b"\0\0\x09"

    many = b"\0\x09keyframes\x03\0\x05times\x0a\xff\xff\xff\xff"
    return [
        HostileVideo(
            "flv: a tag of 16 MiB", lambda: header + b"\x09\xff\xff\xff" + bytes(7) + b"\x12" + bytes(99), REFUSAL
        ),
        HostileVideo("flv: the longest duration", metadata(array(b"\0\x08duration\0\x7f\xef" + b"\xff" * 6))),
        HostileVideo("flv: no number for a duration", metadata(array(b"\0\x08duration\0\x7f\xf8" + bytes(6)))),
        HostileVideo("flv: 4 billion key frames", metadata(array(many + bytes(99)))),
        HostileVideo("flv: 100,000 nested objects", metadata(b"\x03\0\1a" * 100_000)),
        HostileVideo("flv: 100,000 tags of nothing", lambda: header + _tag(9, b"") * 100_000, REFUSAL),
        HostileVideo(
            "flv: tags of 49 days", lambda: header + b"".join(tag[:4] + b"\xff" * 4 + tag[8:] for tag in rest)
        ),
        HostileVideo("flv: sound alone said", lambda: b"FLV\1\4" + whole[5:]),
        HostileVideo("flv: the header alone", lambda: header, REFUSAL),
    ]


def _windows_media(elsewhere: str) -> list[HostileVideo]:
    whole = stream_clips()["wmv"]
    pieces = split(whole)
    objects = next(number for number, piece in enumerate(pieces) if piece[:4] == b"\x36\x26\xb2\x75")
    header, data = pieces[1:objects], pieces[objects:]
    script = bytes.fromhex("301afb1e620bd011a39b00a0c90348f6")
    index = bytes.fromhex("90080033b1e5cf1189f400a0c90349cb")
    url = elsewhere.encode("utf-16-le")

    def built(*added: bytes) -> bytes:
        body = b"".join([*header, *added])
        count = len(header) + len(added)
        return pieces[0][:16] + struct.pack("<QIH", 30 + len(body), count, 0x201) + body + b"".join(data)

    def properties(place: int, value: bytes) -> Callable[[], bytes]:
        at = whole.index(bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")) + 24 + place
        return lambda: whole[:at] + value + whole[at + len(value) :]

    commands = bytes(16) + struct.pack("<HHH", 1, 1, 3) + "URL".encode("utf-16-le")
    commands += struct.pack("<IHH", 0, 0, len(url) // 2) + url
    return [
        HostileVideo("wmv: a script that opens an address", lambda: built(_object(script, commands))),
        HostileVideo("wmv: 50,000 objects of nothing", lambda: built(*[_object(bytes(16), b"")] * 50_000)),
        HostileVideo("wmv: an object of 8 exabytes", lambda: built(bytes(16) + b"\xff" * 7 + b"\x7f")),
        HostileVideo("wmv: an index of 4 billion", lambda: whole + _object(index, bytes(24) + b"\xff" * 12)),
        HostileVideo("wmv: packets of nothing", properties(68, bytes(8))),
        HostileVideo("wmv: packets of 4 GB", properties(68, b"\xff" * 8)),
        HostileVideo("wmv: plays for ever", properties(40, b"\xff" * 8)),
        HostileVideo("wmv: 2,000 packets of nothing behind", lambda: whole + bytes(3200) * 2000),
        HostileVideo("wmv: the header alone", lambda: pieces[0], REFUSAL),
    ]


def _program() -> list[HostileVideo]:
    whole = stream_clips()["mpg"]
    pack, rest = split(whole)[0], whole[len(split(whole)[0]) :]

    def edited(mark: bytes, edit: Callable[[bytes], bytes]) -> Callable[[], bytes]:
        return lambda: b"".join(edit(piece) if piece.startswith(mark) else piece for piece in split(whole))

    streams = b"".join(b"\0\0\1" + bytes([number]) + b"\0\x0a\x80\0\0" + bytes(7) for number in range(0xBC, 0x100))
    return [
        HostileVideo("mpg: 100,000 packs of nothing", lambda: pack * 100_000 + rest),
        HostileVideo("mpg: packs of nothing alone", lambda: pack * 100_000, REFUSAL),
        HostileVideo("mpg: every kind of stream", lambda: pack + streams * 500 + rest),
        HostileVideo("mpg: packets of nothing", edited(b"\0\0\1\xe0", lambda piece: piece[:4] + bytes(2) + piece[6:])),
        HostileVideo("mpg: packets of 64 KiB", edited(b"\0\0\1\xe0", lambda p: p[:4] + b"\xff\xff" + p[6:])),
        HostileVideo("mpg: the longest headers", edited(b"\0\0\1\xe0", lambda p: p[:8] + b"\xff" + p[9:])),
        HostileVideo("mpg: 8 MiB of zeros", lambda: pack + bytes(2**23) + rest),
        HostileVideo("mpg: the header alone", lambda: pack, REFUSAL),
    ]


def _ogg(elsewhere: str) -> list[HostileVideo]:
    pages = split(stream_clips()["ogv"])

    def changed(place: int, value: bytes) -> Callable[[], bytes]:
        return lambda: repaired(b"".join(page[:place] + value + page[place + len(value) :] for page in pages))

    skeleton = b"fishead\0\4\0\0\0" + bytes(52)
    bone = b"fisbone\0" + bytes(44) + b"Content-Location: " + elsewhere.encode() + b"\r\n"
    video = pages[0][28:]
    return [
        HostileVideo(
            "ogv: a skeleton with an address",
            lambda: repaired(_page(skeleton, 2, 7) + pages[0] + _page(bone, 0, 7) + b"".join(pages[1:])),
        ),
        HostileVideo("ogv: wrong check sums", lambda: b"".join(page[:22] + bytes(4) + page[26:] for page in pages)),
        HostileVideo("ogv: the end of time", changed(6, b"\xff" * 7 + b"\x7f")),
        HostileVideo("ogv: no time", changed(6, b"\xff" * 8)),
        HostileVideo("ogv: time backwards", changed(6, b"\0" * 7 + b"\x80")),
        HostileVideo(
            "ogv: 20,000 streams",
            lambda: b"".join(_page(video, 2, number) for number in range(1, 20_000)) + b"".join(pages),
        ),
        HostileVideo("ogv: a stream again and again", lambda: b"".join(pages) * 300),
        HostileVideo("ogv: no rate", lambda: repaired(b"".join(pages).replace(video, video[:16] + bytes(8)))),
        HostileVideo(
            "ogv: 65,535 px a side",
            lambda: repaired(b"".join(pages).replace(video, video[:8] + b"\xff" * 4 + video[12:])),
        ),
        HostileVideo(
            "ogv: a Theora of 16 megapixels a side",
            lambda: _page(b"\x80theora\3\2\1" + b"\xff" * 32, 2, 1) + b"".join(pages[1:]),
            REFUSAL,
        ),
        HostileVideo("ogv: the header alone", lambda: pages[0], REFUSAL),
    ]


def _packet(pid: int, payload: bytes, *, starts: bool = False) -> bytes:
    return b"G" + struct.pack(">HB", pid | starts << 14, 0x10) + payload[:184].ljust(184, b"\xff")


def _pid(packet: bytes) -> int:
    return int.from_bytes(packet[1:3], "big") & 0x1FFF


def _of_every_number() -> bytes:
    picture = b"\0\0\1\xe0\0\0\x80\0\0\0\0\1\xb3" + bytes(170)
    return b"".join(_packet(pid, picture, starts=True) for pid in range(_VIDEO_PID, 0x1FFF))


def _filling() -> bytes:
    return _packet(_VIDEO_PID, b"\x55" * 184)


def _announced() -> bytes:
    """40 programs of 200 streams each."""
    programs = [(number, 0x20 + number) for number in range(1, 41)]
    tables = _section(0, 0, 1, b"".join(struct.pack(">HH", number, 0xE000 | pid) for number, pid in programs))
    for number, pid in programs:
        streams = range(_VIDEO_PID + 200 * (number - 1), _VIDEO_PID + 200 * number)
        body = struct.pack(">HH", 0xFFFF, 0xF000)
        body += b"".join(struct.pack(">BHH", 2, 0xE000 | min(stream, 0x1FFE), 0xF000) for stream in streams)
        tables += _section(pid, 2, number, body)
    return tables


def _section(pid: int, table: int, number: int, body: bytes) -> bytes:
    content = struct.pack(">BHHBBB", table, 0xB000 | len(body) + 9, number, 0xC1, 0, 0) + body
    content = b"\0" + content + crc32(content, 0xFFFFFFFF).to_bytes(4, "big")
    starts = range(0, len(content), 184)
    return b"".join(_packet(pid, content[at : at + 184], starts=at == 0) for at in starts)


def _with_time(packet: bytes, ticks: int) -> bytes:
    """The packet with other times, if a picture begins in it."""
    at = packet.find(b"\0\0\1\xe0")
    if at < 0 or not packet[at + 7] & 0x80:
        return packet
    length = 10 if packet[at + 7] & 0x40 else 5
    bits = bytes(
        [0x31 | ticks >> 29 & 14, ticks >> 22 & 255, ticks >> 14 & 254 | 1, ticks >> 7 & 255, ticks << 1 & 254 | 1]
    )
    return packet[: at + 9] + (bits * 2)[:length] + packet[at + 9 + length :]


def _tag(kind: int, body: bytes) -> bytes:
    size = len(body).to_bytes(3, "big")
    return bytes([kind]) + size + bytes(7) + body + (11 + len(body)).to_bytes(4, "big")


def _object(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("<Q", 24 + len(body)) + body


def _page(body: bytes, flags: int, stream: int) -> bytes:
    lengths = bytes([*[255] * (len(body) // 255), len(body) % 255])
    head = b"OggS\0" + bytes([flags]) + bytes(8) + struct.pack("<III", stream, 0, 0) + bytes([len(lengths)]) + lengths
    return repaired(head + body)
