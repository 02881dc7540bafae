"""What a media file says of itself, as data. Every text is the file's own: bounded, printable, not to be believed."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from deepfake_client.plain_text import excerpt
from deepfake_client.provenance.synthetic import SYNTHETIC_SOURCE_TYPES

_Name = Annotated[str, AfterValidator(lambda text: excerpt(text, 80))]
_Names = Annotated[tuple[_Name, ...], AfterValidator(lambda names: names[:20])]
_Text = Annotated[str, AfterValidator(lambda text: excerpt(text, 300))]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class FileStatement(_Part):
    """One thing that the file says."""

    source: str
    """Where it stands: EXIF, IPTC, XMP, PNG text, container or video track."""
    name: _Name
    """What it is called there."""
    value: _Text
    """The beginning of it, on one line."""
    of_generator: bool = Field(default=False, exclude_if=lambda of_generator: not of_generator)
    """Whether it is what programs that make pictures by a model write. Left out otherwise."""


class Credentials(_Part):
    """The file's C2PA manifests, checked offline: no list of trusted signers, no revocation, nothing is fetched."""

    state: _Name | None
    """The C2PA library's word: Valid is unchanged since it was signed, by whomever; Invalid; null if not read."""
    not_read: _Text | None
    """Why the manifests were not read; null if they were."""
    signer: _Name | None = None
    """The name in the certificate. Nobody vouches for it: anyone can sign with any name."""
    issuer: _Name | None = None
    """The organisation in the certificate, likewise."""
    signed_at: _Name | None = None
    """By the signature's time stamp; null without one."""
    claim_generator: _Name | None = None
    """The program that wrote the active manifest."""
    actions: _Names = ()
    """Of the active manifest, such as c2pa.created and c2pa.edited."""
    digital_source_types: _Names = ()
    """IPTC's names, of all manifests in the file: also of the pictures that it was made from."""
    problems: _Names = ()
    """Codes of what the check found wrong in the active manifest. signingCredential.untrusted is none here."""


class Provenance(_Part):
    """What a media file says of itself."""

    content_credentials: Credentials | None = Field(default=None, exclude_if=lambda found: found is None)
    """Left out where the file has none, which says nothing about the file."""
    statements: tuple[FileStatement, ...] = ()
    has_location: bool = False
    """Whether the file says where it was recorded. The place itself is not read."""
    digital_source_types: _Names = ()
    """IPTC's names, by the content credentials and the XMP; trainedAlgorithmicMedia is what a model made."""

    @property
    def is_empty(self) -> bool:
        """Whether the file says nothing that is read here."""
        return self == Provenance()

    @property
    def declared_synthetic(self) -> tuple[str, ...]:
        """Why the file counts as one that says of itself that a model made it; empty where it does not."""
        types = [name for name in self.digital_source_types if name in SYNTHETIC_SOURCE_TYPES]
        texts = [f"{text.source} {text.name}" for text in self.statements if text.of_generator]
        return (
            *(f"digital source type {name}" for name in types),
            *(f"{text} of a generator" for text in texts),
        )
