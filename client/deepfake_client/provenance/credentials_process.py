"""The process that reads C2PA manifests, see `isolation.fork_server`."""

import contextlib
import io
import json
from collections.abc import Iterator
from typing import Any, BinaryIO

import c2pa

from deepfake_client.isolation.fork_server import serve
from deepfake_client.provenance.synthetic import source_type_name

_OFFLINE = {"verify": {"remote_manifest_fetch": False, "ocsp_fetch": False}}
"""The process could not reach anything anyway: it can open no connection."""

_UNTRUSTED = "signingCredential.untrusted"
_MOST = 20
_CHARACTERS = 400


def _read(task: dict[str, Any], file: BinaryIO, result: BinaryIO) -> None:
    try:
        with c2pa.Reader(task["type"], file, context=c2pa.Context.from_dict(_OFFLINE)) as reader:
            facts = _facts(json.loads(reader.json()))
    except c2pa.C2paError as error:
        facts = {"state": None, "not_read": f"The C2PA library cannot read them: {type(error).__name__.strip('_')}."}
    result.write(json.dumps(facts).encode("ascii"))


def _facts(store: dict[str, Any]) -> dict[str, Any]:
    """What is kept of a manifest store in the library's JSON form; the files decide its size."""
    manifests = store.get("manifests", {})
    active = manifests.get(store.get("active_manifest"), {})
    signature = active.get("signature_info", {})
    failures = store.get("validation_results", {}).get("activeManifest", {}).get("failure", [])
    generator: dict[str, Any] = next(iter(active.get("claim_generator_info", [])), {})
    program = " ".join(str(generator.get(key, "")) for key in ("name", "version")).strip()
    types = [uri for manifest in manifests.values() for uri in _source_types(manifest)]
    return {
        "state": _text(store.get("validation_state")),
        "not_read": None,
        "signer": _text(signature.get("common_name")),
        "issuer": _text(signature.get("issuer")),
        "signed_at": _text(signature.get("time")),
        "claim_generator": _text(program or active.get("claim_generator")),
        "actions": _unique(str(action.get("action", "")) for action in _actions(active)),
        "digital_source_types": _unique(source_type_name(uri) for uri in types),
        "problems": _unique(f["code"] for f in failures if f["code"] != _UNTRUSTED),
    }


def _source_types(manifest: dict[str, Any]) -> Iterator[str]:
    for action in _actions(manifest):
        if uri := action.get("digitalSourceType"):
            yield str(uri)


def _actions(manifest: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for assertion in manifest.get("assertions", []):
        if str(assertion.get("label", "")).startswith("c2pa.actions"):
            yield from assertion.get("data", {}).get("actions", [])


def _unique(texts: Iterator[str]) -> list[str]:
    return [text[:_CHARACTERS] for text in list(dict.fromkeys(texts))[:_MOST]]


def _text(value: object) -> str | None:
    return None if value is None else str(value)[:_CHARACTERS]


def _load() -> None:
    """Loads what the first reading loads."""
    with contextlib.suppress(c2pa.C2paError):
        c2pa.Reader("image/jpeg", io.BytesIO(b"\xff\xd8\xff\xd9"), context=c2pa.Context.from_dict(_OFFLINE))


def main() -> None:
    """Loads the library, then serves."""
    serve(_read, _load)
