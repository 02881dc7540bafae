"""Signs files with content credentials, by c2pa-python's own signer and certificates made here."""

from datetime import UTC, datetime, timedelta
from functools import cache
from io import BytesIO
from typing import Any

import c2pa
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID

SOURCE_TYPES = "http://cv.iptc.org/newscodes/digitalsourcetype/"
SIGNER, ISSUER = "A <b>camera</b>", "Tests & Sons"


def signed(
    content: bytes, mime: str, source_type: str = "digitalCapture", *, remote_url: str = "", ocsp_url: str = ""
) -> bytes:
    """The file with a manifest that tells one action.

    Args:
        content: The file.
        mime: Its type.
        source_type: Of the action.
        remote_url: Where the manifest is said to lie, in place of the file itself.
        ocsp_url: Where the signer's certificate has its revocation asked for.
    """
    action = {"action": "c2pa.created", "digitalSourceType": f"{SOURCE_TYPES}{source_type}"}
    assertions = [{"label": "c2pa.actions", "data": {"actions": [action]}}]
    manifest: dict[str, Any] = {
        "claim_generator_info": [{"name": "a test", "version": "1"}],
        "assertions": assertions,
    }
    context = c2pa.Context.from_dict({"builder": {"thumbnail": {"enabled": False}}})
    builder, signed_file = c2pa.Builder(manifest, context=context), BytesIO()
    if remote_url:
        builder.set_no_embed()
        builder.set_remote_url(remote_url)
    builder.sign(_signer(ocsp_url), mime, BytesIO(content), signed_file)
    return signed_file.getvalue()


@cache
def _signer(ocsp_url: str) -> Any:
    authority_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    authority = _certificate("Root", authority_key, "Root", authority_key)
    own = _certificate(SIGNER, key, "Root", authority_key, ocsp_url)
    chain = own + authority
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return c2pa.Signer.from_info(c2pa.C2paSignerInfo(b"es256", chain, private, None))


def _certificate(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: str,
    issuer_key: ec.EllipticCurvePrivateKey,
    ocsp_url: str = "",
) -> bytes:
    now, is_authority = datetime.now(UTC), key is issuer_key
    usage = x509.KeyUsage(not is_authority, False, False, False, False, is_authority, is_authority, False, False)
    builder = (
        x509.CertificateBuilder()
        .subject_name(_named(name))
        .issuer_name(_named(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(is_authority, None), True)
        .add_extension(usage, True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), False)
    )
    if not is_authority:
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), False)
    if ocsp_url:
        access = x509.AccessDescription(AuthorityInformationAccessOID.OCSP, x509.UniformResourceIdentifier(ocsp_url))
        builder = builder.add_extension(x509.AuthorityInformationAccess([access]), False)
    return builder.sign(issuer_key, SHA256()).public_bytes(Encoding.PEM)


def _named(name: str) -> x509.Name:
    return x509.Name(
        [x509.NameAttribute(NameOID.COMMON_NAME, name), x509.NameAttribute(NameOID.ORGANIZATION_NAME, ISSUER)]
    )
