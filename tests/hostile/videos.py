"""Video files made to deceive, crash, stall or exhaust a demuxer or decoder, or to make it read something else.

The frames of the intact clips are known, so what is decoded from a damaged one can be told from what was made up.
"""

import io
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import cache, partial

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tests.hostile.media_structure import ASF, box, edit_boxes, png, riff_chunk, split

ELSEWHERE = "http://127.0.0.1:9/canary"
FRAMES = 16
SIZE = (96, 64)

FRAMES_OR_REFUSAL = "frames, all of them real ones, or a refusal"
ALL_FRAMES = "all frames"
REFUSAL = "a refusal"

_Edits = dict[bytes, Callable[[bytes], bytes]]


@dataclass(frozen=True)
class HostileVideo:
    """One file.

    Attributes:
        name: What it is.
        make: Makes it.
        expected: `ALL_FRAMES` of the intact clip, a `REFUSAL` as the caller's fault, or `FRAMES_OR_REFUSAL`.
    """

    name: str
    make: Callable[[], bytes]
    expected: str = FRAMES_OR_REFUSAL


def hostile_videos(elsewhere: str = ELSEWHERE) -> list[HostileVideo]:
    """The catalogue.

    Args:
        elsewhere: An address or path that some of the files point to, and nothing may read.
    """
    return [
        *_playlists(elsewhere), *_references(elsewhere), *_sample_tables(), *_clocks(), *_structures(), *_fragments(),
        *_matroska(elsewhere), *_interleaved(),
    ]  # fmt: skip


@cache
def clip(container: str = "mp4", codec: str = "libx264", **options: str) -> bytes:
    """An intact clip of `FRAMES` frames of `SIZE` px, a key frame every fourth, its index behind the media data."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container) as output:
        stream = output.add_stream(codec, rate=10, options={"g": "4", "bf": "0", "crf": "10", **options})
        stream.width, stream.height = SIZE
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.codec_context.time_base = Fraction(1, 10)
        for number in range(FRAMES):
            frame = av.VideoFrame.from_ndarray(frame_pixels(number), format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 10)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return buffer.getvalue()


def frame_pixels(number: int) -> NDArray[np.uint8]:
    """(64, 96, 3) uint8 RGB of a frame before encoding: a gradient, and its number as a level of grey."""
    pixels = np.zeros((SIZE[1], SIZE[0], 3), np.uint8)
    pixels[..., 1] = np.linspace(0, 255, SIZE[0]).astype(np.uint8)
    pixels[:32] = number * 16
    return pixels


def number_shown(encoded: bytes) -> int | None:
    """The number that a decoded frame shows, None where it shows no frame of the clip.

    A header that lies about the size may stretch a frame: players show it so.
    """
    with Image.open(io.BytesIO(encoded)) as image:
        pixels = np.asarray(image.convert("RGB").resize(SIZE)).astype(int)
    top = pixels[4:28]
    number = round(float(top.mean()) / 16)
    right = 0 <= number < FRAMES and np.abs(pixels - frame_pixels(number)).mean() < 12
    return number if right else None


def seeds() -> list[bytes]:
    """Small intact clips of every accepted container, for mutation."""
    return [
        clip(),
        clip("mov"),
        clip("matroska"),
        clip("webm", "libvpx", deadline="realtime"),
        clip("avi", "mjpeg"),
        clip("avi", "mpeg4"),
        clip("mp4", "libx264", bf="2"),
        _fragmented(),
    ]


def _playlists(elsewhere: str) -> list[HostileVideo]:
    url = elsewhere.encode()
    texts = {
        "HLS playlist": b"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n" + url + b"\n#EXT-X-ENDLIST\n",
        "concatenation": b"ffconcat version 1.0\nfile '" + url + b"'\n",
        "session description": b"v=0\no=- 0 0 IN IP4 127.0.0.1\nc=IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\n",
        "DASH manifest": b'<?xml version="1.0"?><MPD><BaseURL>' + url + b"</BaseURL></MPD>",
        "SVG": b'<svg xmlns="http://www.w3.org/2000/svg"><image href="' + url + b'"/></svg>',
        "XSPF": b"<playlist><trackList><track><location>" + url + b"</location></track></trackList></playlist>",
        "ASX": b'<asx><entry><ref href="' + url + b'"/></entry></asx>',
        "image sequence": url + b"/%03d.png\n",
    }
    disguises = {
        "alone": b"",
        "behind an MP4 header": b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom",
        "behind an AVI header": b"RIFF\xff\xff\0\0AVI ",
        "behind a Matroska header": b"\x1a\x45\xdf\xa3\x8f\x42\x82\x88matroska",
        "behind a Flash header": b"FLV\x01\x05\0\0\0\x09\0\0\0\0",
        "behind a Windows Media header": ASF + b"\xff\xff" + bytes(12),
        "behind packets of nothing": (b"G\x1f\xff\x10" + bytes(184)) * 50,
        "behind an MPEG header": b"\0\0\1\xba\x44\0\4\0\4\1\0\1\xff\xf8",
        "behind an Ogg header": b"OggS\0\2" + bytes(20) + b"\1\x07\x80theora",
    }
    return [
        HostileVideo(f"playlist: {name}, {how}", partial(bytes, header + text), REFUSAL)
        for name, text in texts.items()
        for how, header in disguises.items()
        if name in ("HLS playlist", "ASX") or len(header) < 30
    ]


def _references(elsewhere: str) -> list[HostileVideo]:
    """Movies whose samples lie elsewhere."""
    url = elsewhere.encode()

    def refer(kind: bytes, body: bytes) -> Callable[[], bytes]:
        entry = box(kind, b"\0\0\0\0" + body)
        return lambda: edit_boxes(clip("mov"), {b"dref": lambda _: b"\0\0\0\0\0\0\0\1" + entry})

    reference = box(b"rdrf", b"\0\0\0\0url " + struct.pack(">I", len(url) + 1) + url + b"\0")
    movie = box(b"rmra", box(b"rmda", reference))
    playlist = b"#EXTM3U\n#EXTINF:10,\n" + url + b"\n"
    return [
        HostileVideo("reference: samples at an address", refer(b"url ", url + b"\0")),
        HostileVideo("reference: samples in a named resource", refer(b"urn ", b"x\0" + url + b"\0")),
        HostileVideo("reference: samples in another file", refer(b"alis", _alias("/" + elsewhere.split("://", 1)[-1]))),
        HostileVideo(
            "reference: a movie of references", lambda: box(b"ftyp", b"qt  \0\0\0\0") + box(b"moov", movie), REFUSAL
        ),
        HostileVideo(
            "reference: a playlist for media data",
            lambda: box(b"ftyp", b"isom\0\0\0\0") + box(b"mdat", playlist),
            REFUSAL,
        ),
        HostileVideo(
            "reference: a playlist behind the movie", lambda: clip() + box(b"free", playlist) + playlist, ALL_FRAMES
        ),
    ]


@cache
def _sample_tables() -> list[HostileVideo]:
    """Tables of an MP4 that say what is not so."""
    many, far = b"\xff\xff\xff\xff", b"\xff\xff\xff\xf0"
    head = b"\0\0\0\0"

    def table(**edits: Callable[[bytes], bytes]) -> Callable[[], bytes]:
        by_kind: _Edits = {kind.encode(): edit for kind, edit in edits.items()}
        return lambda: edit_boxes(clip(), by_kind)

    cases: dict[str, tuple[Callable[[], bytes], str]] = {
        "4 billion samples of a byte": (table(stsz=lambda _: head + b"\0\0\0\1" + many), FRAMES_OR_REFUSAL),
        "100 million samples of a byte": (table(stsz=lambda _: head + b"\0\0\0\1\x05\xf5\xe1\0"), FRAMES_OR_REFUSAL),
        "100 million samples of nothing": (table(stsz=lambda _: head + b"\0\0\0\0\x05\xf5\xe1\0"), FRAMES_OR_REFUSAL),
        "samples of nothing": (table(stsz=lambda body: body[:12] + bytes(len(body) - 12)), REFUSAL),
        "a sample of nothing in the middle": (
            table(stsz=lambda body: body[:28] + bytes(4) + body[32:]),
            FRAMES_OR_REFUSAL,
        ),
        "samples of 4 GB": (table(stsz=lambda body: body[:12] + far * ((len(body) - 12) // 4)), FRAMES_OR_REFUSAL),
        "fewer sizes than said": (table(stsz=lambda body: body[:20]), FRAMES_OR_REFUSAL),
        "durations for 4 billion": (table(stts=lambda _: head + b"\0\0\0\1" + many + b"\0\0\0\1"), FRAMES_OR_REFUSAL),
        "4 billion durations": (table(stts=lambda body: head + many + body[8:]), FRAMES_OR_REFUSAL),
        "no time passes": (table(stts=lambda body: body[:12] + bytes(4)), FRAMES_OR_REFUSAL),
        "time runs backwards": (table(stts=lambda body: body[:12] + far), FRAMES_OR_REFUSAL),
        "chunks from 0": (table(stsc=lambda body: body[:8] + bytes(4) + body[12:]), FRAMES_OR_REFUSAL),
        "2 billion samples a chunk": (
            table(stsc=lambda body: body[:12] + b"\x7f" + many[:3] + body[16:]),
            FRAMES_OR_REFUSAL,
        ),
        "4 billion chunks": (table(stco=lambda body: head + many + body[8:]), FRAMES_OR_REFUSAL),
        "chunks behind the end": (table(stco=lambda body: body[:8] + far * ((len(body) - 8) // 4)), REFUSAL),
        "chunks in the header": (table(stco=lambda body: body[:8] + bytes(len(body) - 8)), FRAMES_OR_REFUSAL),
        "no key frames": (table(stss=lambda _: head + bytes(4)), FRAMES_OR_REFUSAL),
        "key frames that are not there": (table(stss=lambda _: head + b"\0\0\0\1" + many), FRAMES_OR_REFUSAL),
        "all are key frames": (table(stss=lambda _: head + struct.pack(">17I", 16, *range(1, 17))), FRAMES_OR_REFUSAL),
        "an unknown codec": (table(stsd=lambda body: body.replace(b"avc1", b"xxxx")), REFUSAL),
        "another codec": (table(stsd=lambda body: body.replace(b"avc1", b"hvc1")), FRAMES_OR_REFUSAL),
        "4 billion descriptions": (table(stsd=lambda body: body[:4] + many + body[8:]), FRAMES_OR_REFUSAL),
        "1,000 descriptions": (table(stsd=lambda body: body[:4] + b"\0\0\3\xe8" + body[8:] * 1000), FRAMES_OR_REFUSAL),
        "no parameters": (table(stsd=lambda body: body.replace(b"avcC", b"free")), FRAMES_OR_REFUSAL),
        "65,535 px a side said": (table(stsd=lambda body: body[:40] + b"\xff" * 4 + body[44:]), FRAMES_OR_REFUSAL),
    }
    return [HostileVideo(f"table: {name}", make, expected) for name, (make, expected) in cases.items()]


@cache
def _clocks() -> list[HostileVideo]:
    """Times and rates that make no sense."""
    longest = b"\xff" * 4

    def headers(scale: bytes, duration: bytes) -> Callable[[], bytes]:
        def media(body: bytes) -> bytes:
            return body[:12] + scale + duration + body[20:]

        return lambda: edit_boxes(clip(), {b"mvhd": media, b"mdhd": media})

    def edits(entries: bytes, count: int) -> Callable[[], bytes]:
        listed = b"\0\0\0\0" + struct.pack(">I", count) + entries * count
        return lambda: edit_boxes(clip(), {b"elst": lambda _: listed})

    return [
        HostileVideo("clock: no ticks a second", headers(bytes(4), longest)),
        HostileVideo("clock: a tick a second, 136 years", headers(b"\0\0\0\1", longest)),
        HostileVideo("clock: 4 billion ticks a second", headers(longest, longest)),
        HostileVideo("clock: 100,000 edits", edits(struct.pack(">IiI", 1, 0, 0x10000), 100_000)),
        HostileVideo("clock: an edit before the start", edits(struct.pack(">IiI", 9999, -2, 0x10000), 1)),
        HostileVideo("clock: 1,000 empty edits of 49 days", edits(struct.pack(">IiI", 0xFFFFFFFF, -1, 0x10000), 1000)),
        HostileVideo("clock: an edit at 1,000 times the speed", edits(struct.pack(">IiI", 9999, 0, 0x3E80000), 1)),
    ]


@cache
def _structures() -> list[HostileVideo]:
    """Boxes in boxes, many of them, or of impossible sizes."""
    start = box(b"ftyp", b"isom\0\0\0\0")

    def nested(kind: bytes, depth: int) -> bytes:
        sizes = range(8 * depth, 0, -8)
        return start + b"".join(struct.pack(">I", size) + kind for size in sizes)

    def tracks(count: int) -> bytes:
        movie = next(piece for piece in _top_boxes(clip()) if piece[4:8] == b"moov")
        track = movie[movie.index(b"trak") - 4 :]
        track = track[: int.from_bytes(track[:4], "big")]
        others = [piece for piece in _top_boxes(clip()) if piece[4:8] != b"moov"]
        return b"".join(others) + box(b"moov", movie[8:] + track * count)

    huge_movie = struct.pack(">I", 0xFFFFFFF0)
    bomb = box(b"cmov", box(b"dcom", b"zlib") + box(b"cmvd", huge_movie + zlib.compress(bytes(10**7), 9)))
    return [
        HostileVideo("structure: 5,000 nested boxes", lambda: nested(b"moov", 5000), REFUSAL),
        HostileVideo("structure: 100,000 nested tracks", lambda: nested(b"trak", 100_000), REFUSAL),
        HostileVideo("structure: 2,000 tracks", lambda: tracks(2000)),
        HostileVideo(
            "structure: a box of 8 exabytes", lambda: start + b"\0\0\0\1moov\x7f" + b"\xff" * 7 + bytes(99), REFUSAL
        ),
        HostileVideo("structure: a box of 1 byte", lambda: start + b"\0\0\0\1moov", REFUSAL),
        HostileVideo("structure: 500,000 empty boxes", lambda: clip() + box(b"free") * 500_000, ALL_FRAMES),
        HostileVideo("structure: a compressed movie of 4 GB", lambda: start + box(b"moov", bomb), REFUSAL),
        HostileVideo("structure: two movies", lambda: clip() + clip()),
        HostileVideo("structure: the header alone", lambda: start, REFUSAL),
        HostileVideo(
            "structure: 16 MiB of metadata", lambda: start + box(b"moov", box(b"udta", bytes(2**24))), REFUSAL
        ),
    ]


@cache
def _fragments() -> list[HostileVideo]:
    whole = _fragmented()

    def edited(kind: bytes, edit: Callable[[bytes], bytes]) -> Callable[[], bytes]:
        return lambda: edit_boxes(whole, {kind: edit})

    return [
        HostileVideo("fragments: intact", lambda: whole, ALL_FRAMES),
        HostileVideo("fragments: runs of 4 billion", edited(b"trun", lambda body: body[:4] + b"\xff" * 4 + body[8:])),
        HostileVideo("fragments: of another track", edited(b"tfhd", lambda body: body[:4] + b"\xff" * 4 + body[8:])),
        HostileVideo("fragments: at the end of time", edited(b"tfdt", lambda body: body[:4] + b"\x7f" + b"\xff" * 7)),
        HostileVideo("fragments: 20 times the same", lambda: whole + whole[whole.index(b"moof") - 4 :] * 20),
        HostileVideo("fragments: without a movie", lambda: whole[whole.index(b"moof") - 4 :], REFUSAL),
    ]


def _matroska(elsewhere: str) -> list[HostileVideo]:
    whole = clip("matroska")
    playlist = b"#EXTM3U\n#EXTINF:10,\n" + elsewhere.encode() + b"\n"

    def element(number: str, body: bytes) -> bytes:
        return bytes.fromhex(number) + (len(body) | 1 << 56).to_bytes(8, "big") + body

    file = element("466e", b"clip.m3u8") + element("4660", b"application/vnd.apple.mpegurl")
    attachment = element("1941a469", element("61a7", file + element("465c", playlist) + element("46ae", b"\1")))
    linked = element("3eb923", b"0123456789abcdef") + element("3e83bb", elsewhere.encode())
    chapters = element("1043a770", element("45b9", element("b6", element("6e67", b"0123456789abcdef"))))

    def behind(piece: bytes) -> Callable[[], bytes]:
        """At the end of the segment, whose length then is not known, as of a live recording."""
        at = whole.index(b"\x18\x53\x80\x67") + 4
        return lambda: whole[:at] + b"\x01" + b"\xff" * 7 + whole[at + 8 :] + piece

    def changed(marker: bytes, new: bytes, skip: int = 0) -> Callable[[], bytes]:
        at = whole.index(marker) + len(marker) + skip
        return lambda: whole[:at] + new + whole[at + len(new) :]

    track = next(i for i, piece in enumerate(split(whole)) if piece[:1] == b"\xae")
    cluster = whole.index(b"\x1f\x43\xb6\x75")
    return [
        HostileVideo("Matroska: an attached playlist", behind(attachment)),
        HostileVideo("Matroska: linked segments", behind(element("1549a966", linked))),
        HostileVideo("Matroska: chapters in another file", behind(chapters)),
        HostileVideo("Matroska: no tick", changed(b"\x2a\xd7\xb1", b"\x83\0\0\0")),
        HostileVideo("Matroska: the longest tick", changed(b"\x2a\xd7\xb1", b"\x83\xff\xff\xff")),
        HostileVideo(
            "Matroska: a cluster of 72 petabytes",
            lambda: whole[: cluster + 4] + b"\x01" + b"\xff" * 6 + b"\xfe" + whole[cluster + 12 :],
        ),
        HostileVideo("Matroska: 100,000 empty elements", behind(b"\xec\x80" * 100_000)),
        HostileVideo(
            "Matroska: 20,000 nested groups", lambda: whole[:cluster] + b"\xa0\x01\xff\xff\xff\xff\xff\xff\xff" * 20_000
        ),
        HostileVideo(
            "Matroska: 1,000 tracks",
            lambda: b"".join([*split(whole)[:track], *split(whole)[track : track + 1] * 1000, *split(whole)[track:]]),
        ),
        HostileVideo("Matroska: the header alone", lambda: whole[: whole.index(b"\x18\x53\x80\x67")], REFUSAL),
        HostileVideo("WebM said, Matroska meant", lambda: whole.replace(b"matroska", b"webm\0\0\0\0")),
    ]


@cache
def _interleaved() -> list[HostileVideo]:
    """AVI files, which can hold any codec's packets."""
    small, large = (_jpeg(side) for side in (64, 128))
    said = bytearray(_jpeg(16))
    at = said.index(b"\xff\xc0") + 5
    bomb = bytes(said[:at]) + struct.pack(">HH", 65_500, 65_500) + bytes(said[at + 4 :])
    fifty = bytes(said[:at]) + struct.pack(">HH", 7000, 7000) + bytes(said[at + 4 :])
    png_bomb = png(7000, 7000, bytes(7001 * 7000), depth=8, colour=0)
    return [
        HostileVideo("AVI: the size changes midway", lambda: avi(b"MJPG", (64, 64), [small, small, large, large])),
        HostileVideo("AVI: packets of nothing", lambda: avi(b"MJPG", (64, 64), [small, b"", b"", small])),
        HostileVideo("AVI: only packets of nothing", lambda: avi(b"MJPG", (64, 64), [b""] * 50), REFUSAL),
        HostileVideo("AVI: no rate", lambda: avi(b"MJPG", (64, 64), [small] * 4, rate=0, scale=0)),
        HostileVideo(
            "AVI: 4 billion frames a second", lambda: avi(b"MJPG", (64, 64), [small] * 4, rate=0xFFFFFFFF, scale=1)
        ),
        HostileVideo(
            "AVI: a frame in 136 years", lambda: avi(b"MJPG", (64, 64), [small] * 4, rate=1, scale=0xFFFFFFFF)
        ),
        HostileVideo("AVI: JPEG frames of 4 gigapixels", lambda: avi(b"MJPG", (64, 64), [bomb] * 40), REFUSAL),
        HostileVideo("AVI: JPEG frames of 49 megapixels said", lambda: avi(b"MJPG", (64, 64), [fifty] * 4)),
        HostileVideo("AVI: PNG frames of 49 megapixels", lambda: avi(b"MPNG", (7000, 7000), [png_bomb] * 2)),
        HostileVideo(
            "AVI: raw frames of 4 gigapixels", lambda: avi(b"\0\0\0\0", (65_535, 65_535), [bytes(99)] * 4), REFUSAL
        ),
        HostileVideo("AVI: negative size", lambda: avi(b"MJPG", (-64, -64), [small] * 4)),
        HostileVideo("AVI: 65,535 streams", lambda: avi(b"MJPG", (64, 64), [small] * 4, streams=65_535)),
        HostileVideo("AVI: an unknown codec", lambda: avi(b"XXXX", (64, 64), [small] * 4), REFUSAL),
        HostileVideo("AVI: PNG called JPEG", lambda: avi(b"MJPG", (8, 8), [png(8, 8, bytes(25 * 8))] * 4)),
        HostileVideo(
            "AVI: 10,000 nested lists", lambda: b"RIFF\xff\xff\0\0AVI " + b"LIST\xff\xff\0\0hdrl" * 10_000, REFUSAL
        ),
        HostileVideo("AVI: the header alone", lambda: b"RIFF\4\0\0\0AVI ", REFUSAL),
    ]


def avi(
    codec: bytes, size: tuple[int, int], packets: list[bytes], *, rate: int = 10, scale: int = 1, streams: int = 1
) -> bytes:
    """An AVI file of any packets.

    Args:
        codec: FourCC.
        size: Width and height said in the header.
        packets: The frames.
        rate: Frames per `scale` seconds.
        scale: See `rate`.
        streams: How many the header says.
    """
    width, height = size
    main = struct.pack("<10I", 100_000, 0, 0, 0x10, len(packets), 0, streams, 0, width % 2**32, height % 2**32)
    stream = b"vids" + codec + struct.pack("<IHHIIIIIIII", 0, 0, 0, 0, scale, rate, 0, len(packets), 0, 0, 0)
    picture = struct.pack("<IiiHH4sIiiII", 40, width, height, 1, 24, codec, 0, 0, 0, 0, 0)
    listed = riff_chunk(b"LIST", b"strl" + riff_chunk(b"strh", stream + bytes(8)) + riff_chunk(b"strf", picture))
    headers = riff_chunk(b"LIST", b"hdrl" + riff_chunk(b"avih", main + bytes(16)) + listed)
    movie = riff_chunk(b"LIST", b"movi" + b"".join(riff_chunk(b"00dc", packet) for packet in packets))
    return riff_chunk(b"RIFF", b"AVI " + headers + movie)


def _jpeg(side: int) -> bytes:
    buffer = io.BytesIO()
    Image.linear_gradient("L").resize((side, side)).convert("RGB").save(buffer, "JPEG")
    return buffer.getvalue()


@cache
def _fragmented() -> bytes:
    buffer = io.BytesIO()
    source = io.BytesIO(clip())
    options = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}
    with av.open(source) as container, av.open(buffer, "w", format="mp4", options=options) as output:
        stream = output.add_stream_from_template(container.streams.video[0])
        for packet in container.demux(video=0):
            if packet.size:
                packet.stream = stream
                output.mux(packet)
    return buffer.getvalue()


def _top_boxes(content: bytes) -> list[bytes]:
    boxes, position = [], 0
    while position < len(content):
        size = int.from_bytes(content[position : position + 4], "big")
        boxes.append(content[position : position + size])
        position += size
    return boxes


def _alias(path: str) -> bytes:
    """A Macintosh alias record, by which QuickTime names the file that holds a track's samples."""
    name = path.rpartition("/")[2].encode()[:63]
    record = bytearray(150)
    record[50] = len(name)
    record[51 : 51 + len(name)] = name
    record[130:134] = b"\0\1\0\1"
    encoded = path.encode()
    return bytes(record) + struct.pack(">HH", 2, len(encoded)) + encoded + b"\0" * (len(encoded) % 2) + b"\xff\xff\0\0"
