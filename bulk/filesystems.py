"""From names such as s3://bucket/key to the file system that holds them: pyarrow's own, and fsspec's for the rest."""

import os
import re
from functools import cache
from urllib.parse import unquote, urlsplit

import fsspec
import pyarrow as pa
from pyarrow import fs

_SCHEME = re.compile(r"^([a-z][a-z0-9+.-]*)://", re.IGNORECASE)

_ENDPOINT_VARIABLES = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")


def scheme_of(name: str) -> str:
    """The scheme before ://, in lower case; "" for a path."""
    match = _SCHEME.match(name)
    return match.group(1).lower() if match else ""


def local_path(name: str) -> str | None:
    """The path of a file of this machine or a shared file system, None for a name of another kind."""
    scheme = scheme_of(name)
    if not scheme:
        return name
    return unquote(urlsplit(name).path) if scheme == "file" else None


def remote(name: str) -> tuple[fs.FileSystem, str]:
    """The file system of a URI, and the name's path on it: taken as it is, no character of a key has a meaning.

    Raises:
        ValueError: There is no such file system, or its package is not installed.
        OSError: It cannot be reached.
    """
    scheme = scheme_of(name)
    if scheme in ("s3", "gs"):
        path = name.split("://", 1)[1]
        return _bucket_system(scheme, path.split("/", 1)[0]), path
    try:
        system, path = fsspec.core.url_to_fs(name)
    except ImportError as error:
        raise ValueError(f"{scheme}:// needs a package that is not installed: {error}") from error
    return fs.PyFileSystem(fs.FSSpecHandler(system)), path


@cache
def _bucket_system(scheme: str, bucket: str) -> fs.FileSystem:
    """A bucket's file system; keys and regions come from the environment, as the stores' own tools read them."""
    endpoint = next((value for name in _ENDPOINT_VARIABLES if (value := os.environ.get(name))), "")
    if scheme == "s3" and endpoint:
        address = urlsplit(endpoint)
        return fs.S3FileSystem(endpoint_override=address.netloc, scheme=address.scheme)
    try:
        system, _ = fs.FileSystem.from_uri(f"{scheme}://{bucket}")
    except pa.ArrowInvalid as error:
        raise ValueError(f"{scheme}://{bucket}: {error}") from error
    return system
