"""EXIF, IPTC, XMP, PNG texts and tags of videos: what is read of them, and what hostile ones cost."""

import io
import struct
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import av
import pytest
from PIL import Image, PngImagePlugin

from deepfake_client.media import identify
from deepfake_client.provenance.model import Provenance
from deepfake_client.provenance.read import read_provenance
from deepfake_client.video.isolated import IsolatedDecoder
from deepfake_client.video.sample import sample_video
from tests.media import VideoSpec, write_video

PICTURE = Image.new("RGB", (8, 8), "red")
SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
SETTINGS = "a castle\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 1"
FORMATS = ("jpeg", "png", "webp", "tiff", "avif", "heif")


def saved(name: str, **options: object) -> bytes:
    if name == "heif":
        pytest.importorskip("pillow_heif").register_heif_opener()
    stream = io.BytesIO()
    PICTURE.save(stream, name, **options)
    return stream.getvalue()


def read(content: bytes) -> Provenance:
    return read_provenance(identify(io.BytesIO(content), "file"))


def said(content: bytes) -> dict[str, str]:
    return {f"{one.source} {one.name}": one.value for one in read(content).statements}


def exif(*, gps: bool = False, **texts: str | bytes) -> Image.Exif:
    made = Image.Exif()
    for tag, name in ((0x010F, "make"), (0x0110, "model"), (0x0131, "software"), (0x0132, "time")):
        if name in texts:
            made[tag] = texts[name]
    if "comment" in texts:
        made.get_ifd(0x8769)[0x9286] = texts["comment"]
    if "taken" in texts:
        made.get_ifd(0x8769)[0x9003] = texts["taken"]
    if gps:
        made.get_ifd(0x8825).update({1: "N", 2: (48.0, 8.0, 15.0)})
    return made


def xmp(*properties: str) -> bytes:
    return (
        '<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF '
        'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="">'
        f"{''.join(properties)}</rdf:Description></rdf:RDF></x:xmpmeta>"
    ).encode()


@pytest.mark.parametrize("name", FORMATS)
def test_exif_names_camera_program_and_times_and_only_that_there_is_a_place(name: str) -> None:
    texts = {"make": "Made by", "model": "M 1", "software": "Edit 2", "time": "2026:01:02 03:04:05"}
    block = exif(gps=True, taken="2026:01:01", **texts)
    # Pillow writes no further directories into a TIFF; an EXIF block is a TIFF structure itself.
    content = block.tobytes()[6:] if name == "tiff" else saved(name, exif=block)
    provenance = read(content)
    assert said(content) == {
        "EXIF Make": "Made by", "EXIF Model": "M 1", "EXIF Software": "Edit 2", "EXIF DateTime": "2026:01:02 03:04:05",
        "EXIF DateTimeOriginal": "2026:01:01",
    }  # fmt: skip
    assert provenance.has_location
    assert "48" not in provenance.model_dump_json()
    assert provenance.declared_synthetic == ()


@pytest.mark.parametrize("name", ["jpeg", "png", "webp", "tiff", "avif", "heif", "gif"])
@pytest.mark.parametrize(
    "written",
    [
        f"<Iptc4xmpExt:DigitalSourceType>{SOURCE_TYPE}</Iptc4xmpExt:DigitalSourceType>",
        f'<rdf:Description Iptc4xmpExt:DigitalSourceType="{SOURCE_TYPE}"/>',
        f"<Iptc4xmpExt:DigitalSourceType rdf:resource='{SOURCE_TYPE}'/>",
    ],
)
def test_xmp_tells_the_digital_source_type(name: str, written: str) -> None:
    if name == "png":
        text = PngImagePlugin.PngInfo()
        text.add_itxt("XML:com.adobe.xmp", xmp(written).decode(), zip=True)
        content = saved("png", pnginfo=text)
    elif name == "tiff":
        content = saved("tiff", tiffinfo={700: xmp(written)})
    elif name == "gif":
        content = saved("gif")
        at = content.index(b",", 13 + 3 * 2 ** ((content[10] & 7) + 1))
        content = content[:at] + b"!\xff\x0bXMP DataXMP" + xmp(written) + b"\1" + content[at:]
    else:
        content = saved(name, xmp=xmp(written))
    provenance = read(content)
    assert provenance.digital_source_types == ("trainedAlgorithmicMedia",)
    assert provenance.declared_synthetic == ("digital source type trainedAlgorithmicMedia",)


def test_xmp_and_iptc_tell_program_and_credit() -> None:
    content = saved("jpeg", xmp=xmp("<xmp:CreatorTool>Tool &amp; Co</xmp:CreatorTool>"))
    assert said(content) == {"XMP CreatorTool": "Tool & Co"}
    dataset = b"\x1c\x02\x6e\0\x13Made with Google AI" + b"\x1c\x02\x78\0\x03not"
    resource = b"8BIM\x04\x04\0\0" + struct.pack(">I", len(dataset)) + dataset
    segment = b"Photoshop 3.0\0" + resource
    plain = saved("jpeg")
    content = plain[:2] + b"\xff\xed" + struct.pack(">H", len(segment) + 2) + segment + plain[2:]
    assert said(content) == {"IPTC Credit": "Made with Google AI"}
    assert read(content).declared_synthetic == ("IPTC Credit of a generator",)


@pytest.mark.parametrize(
    ("keyword", "text", "declared"),
    [
        ("parameters", SETTINGS, True),
        ("prompt", '{"3": {"class_type": "KSampler"}}', True),
        ("workflow", '{"last_node_id": 9}', True),
        ("Software", "NovelAI", True),
        ("invokeai_metadata", "{}", True),
        ("Software", "Some editor", False),
        ("Comment", "Steps: 20 down to the cellar", False),
        ("prompt", "a castle", False),
        ("Comment", "not by Midjourney", False),
    ],
)
@pytest.mark.parametrize("compressed", [False, True])
def test_texts_of_generators_are_told_from_others(keyword: str, text: str, declared: bool, compressed: bool) -> None:
    info = PngImagePlugin.PngInfo()
    info.add_text(keyword, text, zip=compressed)
    content = saved("png", pnginfo=info)
    assert said(content) == {f"PNG text {keyword}": " ".join(text.split())}
    assert read(content).declared_synthetic == ((f"PNG text {keyword} of a generator",) if declared else ())


@pytest.mark.parametrize("comment", [b"ASCII\0\0\0" + SETTINGS.encode(), b"UNICODE\0" + SETTINGS.encode("utf-16-be")])
@pytest.mark.parametrize("name", ["jpeg", "webp"])
def test_generators_write_into_the_comment_of_exif_too(name: str, comment: bytes) -> None:
    assert read(saved(name, exif=exif(comment=comment))).declared_synthetic == ("EXIF UserComment of a generator",)


@pytest.mark.parametrize("decode", ["here", "isolated"])
def test_a_video_tells_maker_and_encoder_and_only_that_there_is_a_place(tmp_path: Path, decode: str) -> None:
    path = write_video(tmp_path / "plain.mov", VideoSpec(3))
    tags = {
        "com.apple.quicktime.make": "Maker\u202e",
        "com.apple.quicktime.location.ISO6709": "+48.1-011.5/",
        "creation_time": "2026-01-02T03:04:05Z",
        "title": "private",
    }
    with (
        av.open(str(path)) as source,
        av.open(str(tmp_path / "tagged.mov"), "w", options={"movflags": "use_metadata_tags"}) as copy,
    ):
        copy.metadata.update(tags)
        stream = copy.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(source.streams.video[0]):
            if packet.dts is not None:
                packet.stream = stream
                copy.mux(packet)
    with (tmp_path / "tagged.mov").open("rb") as file:
        media = identify(file, "file")
        isolated = IsolatedDecoder()
        frames = sample_video(media) if decode == "here" else isolated.sample_video(media)
        isolated.close()
        provenance = read_provenance(media, frames[0].container_tags)
    found = {f"{one.source} {one.name}": one.value for one in provenance.statements}
    assert found["container make"] == "Maker\N{REPLACEMENT CHARACTER}"
    assert found["container major_brand"] == "qt"
    assert found["container creation_time"].startswith("2026-01-02T03:04:05")
    assert found["video track handler_name"] == "VideoHandler"
    assert provenance.has_location
    assert "48.1" not in provenance.model_dump_json()
    assert "private" not in provenance.model_dump_json()


def test_texts_are_short_and_printable_and_few() -> None:
    info = PngImagePlugin.PngInfo()
    info.add_text("k\x1b[31m", "<script>\x1b]0;x\x07\u202e\n" + 10_000 * "a")
    for number in range(500):
        info.add_text(f"key {number}", "value")
    provenance = read(saved("png", pnginfo=info))
    first = provenance.statements[0]
    assert first.value.startswith("<script>")
    assert len(first.value) == 300
    assert (first.name + first.value).isprintable()
    assert len(provenance.statements) == 40


def bomb(content: bytes, kind: bytes, count: int = 1) -> bytes:
    """A PNG with further chunks after its header."""
    chunk = struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
    plain = saved("png")
    return plain[:33] + count * chunk + plain[33:]


def laughs() -> bytes:
    entities = "".join(f'<!ENTITY l{n} "{10 * f"&l{n - 1};"}">' for n in range(1, 12))
    return f'<!DOCTYPE x [<!ENTITY l0 "lol">{entities}]>'.encode() + xmp("<xmp:CreatorTool>&l11;</xmp:CreatorTool>")


def directory(entries: int, next_at: int) -> bytes:
    """A TIFF structure whose pointers lead to itself, and whose texts claim all there is."""
    head = b"II*\0\x08\0\0\0" + struct.pack("<H", entries)
    rows = [struct.pack("<HHII", 0x8769, 4, 1, 8), struct.pack("<HHII", 0x8825, 4, 1, 8)]
    rows += [struct.pack("<HHII", 0x010F + n % 2, 2, 2**32 - 1, 8) for n in range(entries - 2)]
    return head + b"".join(rows) + struct.pack("<I", next_at)


HOSTILE: dict[str, Callable[[], bytes]] = {
    "an inflating text": lambda: bomb(b"k\0\0" + zlib.compress(bytes(2**24)), b"zTXt", 4000),
    "laughing XMP": lambda: bomb(b"XML:com.adobe.xmp\0\0\0\0\0" + laughs(), b"iTXt"),
    "deep XMP": lambda: saved("webp", xmp=xmp(200_000 * "<a>")),
    "XMP of prefixes": lambda: saved("webp", xmp=xmp(400_000 * "a")),
    "XMP of openings": lambda: saved("webp", xmp=xmp(80_000 * "Credit=")),
    "XMP of colons": lambda: saved("webp", xmp=xmp(200_000 * "a:")),
    "many XMP packets": lambda: bomb(b"XML:com.adobe.xmp\0\0\0\0\0" + 200_000 * b"a:", b"iTXt", 100),
    "a loop in EXIF": lambda: bomb(directory(60_000, 8), b"eXIf"),
    "settings again and again": lambda: bomb(b"parameters\0" + 20_000 * b"Steps: 1 ", b"tEXt", 10),
    "many small chunks": lambda: bomb(b"", b"teXt", 200_000),
    "a claimed size": lambda: saved("png")[:33] + b"\xff\xff\xff\xffiTXtkey\0",
    "segments without end": lambda: b"\xff\xd8\xff" + 2**22 * b"\xff",
    "empty segments": lambda: b"\xff\xd8" + 2**20 * b"\xff\xe1\0\0",
    "boxes of no size": lambda: b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + 2**18 * b"\0\0\0\x08free",
    "a box of all": lambda: b"\0\0\0\x18ftypheic\0\0\0\0mif1heic\0\0\0\1meta" + b"\xff" * 100,
    "endless items": lambda: (
        b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + b"\0\x10\0\0meta\0\0\0\0"
        + b"\0\0\x10\0iinf\2\0\0\0\xff\xff\xff\xff" + 100 * b"\0\0\0\x14infe\2\0\0\0\0\1\0\0Exif\0\0\0\0"
        + bytes(4096 - 16 - 2000) + b"\0\x0e\0\0iloc\2\0\0\0\x44\x44\xff\xff\xff\xff" + bytes(2**20)
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_metadata_is_read_in_little_time(name: str) -> None:
    content = HOSTILE[name]()
    began_at = time.process_time()
    read(content)
    assert time.process_time() - began_at < 1.0


@pytest.mark.parametrize("name", FORMATS)
def test_a_file_cut_or_changed_anywhere_is_read_as_far_as_it_goes(name: str) -> None:
    content = saved(name, exif=exif(make="M", comment=b"ASCII\0\0\0c", gps=True), xmp=xmp("<xmp:CreatorTool>T</>"))
    for at in range(16, min(len(content), 1500), 7):
        read(content[:at])
        read(content[:at] + b"\xff\xff\xff\xff" + content[at + 4 :])
        read(content[:at] + b"\0\0\0\0" + content[at + 4 :])
