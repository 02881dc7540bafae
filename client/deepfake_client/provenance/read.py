"""Reads what a media file says of itself."""

from collections.abc import Iterator, Sequence

from deepfake_client.media import ContainerTag, Media
from deepfake_client.provenance.blocks import Block, BlockKind, metadata_blocks
from deepfake_client.provenance.credentials import read_credentials
from deepfake_client.provenance.exif import exif_texts, says_where
from deepfake_client.provenance.iptc import iptc_texts
from deepfake_client.provenance.model import Credentials, FileStatement, Provenance
from deepfake_client.provenance.synthetic import is_of_generator, source_type_name
from deepfake_client.provenance.xmp import DIGITAL_SOURCE_TYPE, REMOTE_MANIFEST, xmp_properties
from deepfake_client.scorer import Deadline

_MOST_STATEMENTS = 40
_MAX_BYTES = 2**20  # of all blocks of a file together

_ELSEWHERE = Credentials(
    state=None, not_read="The file names a manifest that lies elsewhere. Manifests are not fetched from the network."
)


def read_provenance(
    media: Media, container_tags: Sequence[ContainerTag] = (), deadline: Deadline | None = None
) -> Provenance:
    """What the file says of itself, without opening anything else. A damaged part says nothing.

    C2PA manifests are read by a process of their own, see `read_credentials`, and only where the file holds any.

    Args:
        media: The file; its stream is left at the start.
        container_tags: Of a video, as its decoder found them.
        deadline: Bounds the reading of the manifests.
    """
    reading = _Reading()
    for tag in container_tags:
        reading.add(*tag)
    try:
        reading.blocks_of(media)
        found = read_credentials(media, deadline) if reading.has_manifests else reading.elsewhere
    finally:
        media.stream.seek(0)
    return reading.provenance(found)


class _Reading:
    """What has been found so far."""

    def __init__(self) -> None:
        self.has_manifests = False
        self.elsewhere: Credentials | None = None
        self._has_location = False
        self._left_bytes = _MAX_BYTES
        self._statements: dict[FileStatement, None] = {}
        self._source_types: dict[str, None] = {}

    def blocks_of(self, media: Media) -> None:
        if media.format.name == "tiff":
            self._exif(exif_texts(media.stream), says_where(media.stream))
        for block in metadata_blocks(media):
            self.has_manifests |= block.kind is BlockKind.C2PA
            if len(block.content) <= self._left_bytes:
                self._left_bytes -= len(block.content)
                self._block(block)

    def _block(self, block: Block) -> None:
        if block.kind is BlockKind.EXIF:
            self._exif(exif_texts(block.content), says_where(block.content))
        elif block.kind is BlockKind.IPTC:
            for name, value in iptc_texts(block.content):
                self.add("IPTC", name, value)
        elif block.kind is BlockKind.PNG_TEXT:
            keyword, _, text = block.content.partition(b"\0")
            self.add("PNG text", keyword.decode("latin-1"), text.decode("utf-8", "replace"))
        elif block.kind is BlockKind.XMP:
            self._xmp(block.content)

    def _exif(self, texts: Iterator[tuple[str, str]], has_location: bool) -> None:
        self._has_location |= has_location
        for name, text in texts:
            self.add("EXIF", name, text)

    def _xmp(self, packet: bytes) -> None:
        self._has_location |= b"exif:GPS" in packet
        for name, text in xmp_properties(packet):
            if name == REMOTE_MANIFEST:
                self.elsewhere = _ELSEWHERE
                continue
            if name == DIGITAL_SOURCE_TYPE:
                self._source_types[source_type_name(text)] = None
            self.add("XMP", name, text)

    def add(self, source: str, name: str, text: str) -> None:
        if name == "location":
            self._has_location = True
        elif text.strip() and len(self._statements) < _MOST_STATEMENTS:
            found = FileStatement(source=source, name=name, value=text, of_generator=is_of_generator(name, text))
            self._statements[found] = None

    def provenance(self, credentials: Credentials | None) -> Provenance:
        types = {**self._source_types, **dict.fromkeys(credentials.digital_source_types if credentials else ())}
        return Provenance(
            content_credentials=credentials,
            statements=tuple(self._statements),
            has_location=self._has_location,
            digital_source_types=tuple(types),
        )
