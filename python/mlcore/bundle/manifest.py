"""The manifest of a Bundle's folder: which files, of which size and hash, of which origin; and its check.

    {"digest": …, "files": {name: {"sha256": …, "size": …}}, "format": 1, "provenance": {…}, "seal": …}

`digest` is the SHA-256 of the canonical file table, `seal` that of everything else in the manifest. The bytes
must be exactly what `render` makes of their content, so that not even a space changes unnoticed.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from mlcore.errors import BundleError

NAME: Final = "manifest.json"
FORMAT: Final = 1
REQUIRED: Final = frozenset({"model.arrow", "transforms.json", "schema.json"})
OPTIONAL: Final = frozenset({"model.ubj", "profile.arrow"})


def short(digest: str) -> str:
    """Return the 12 hexadecimal digits by which people call a Bundle."""
    return digest[:12]


def digest_of(files: Mapping[str, bytes]) -> str:
    """Return the SHA-256 of the canonical table of the files' hashes and sizes."""
    return _sha256(canonical(_table(files)))


def canonical(value: object) -> bytes:
    """Return the one JSON text of a value: keys sorted, no spaces, UTF-8."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def render(files: Mapping[str, bytes], provenance: Mapping[str, Any]) -> bytes:
    """Return the manifest's bytes.

    Raises:
        BundleError: the provenance holds what JSON cannot say.
    """
    content = {
        "format": FORMAT,
        "digest": digest_of(files),
        "files": _table(files),
        "provenance": _finite(provenance),
    }
    try:
        return _text({**content, "seal": _sha256(canonical(content))})
    except (TypeError, ValueError) as error:
        raise BundleError(f"a Bundle's provenance holds what JSON cannot say: {error}") from error


def read(folder: Path) -> tuple[dict[str, bytes], dict[str, Any], str]:
    """Return the files' content by name, the provenance and the digest, after all of it was checked.

    Raises:
        BundleError: a file is missing, altered, or not listed; the format is unknown; or this is no Bundle.
    """
    manifest = _manifest(folder)
    listed: dict[str, dict[str, Any]] = manifest["files"]
    _check_names(folder, set(listed))
    files = {name: _content(folder, name, stated) for name, stated in sorted(listed.items())}
    if manifest["digest"] != digest_of(files):
        raise _altered(folder, NAME)
    return files, manifest["provenance"], manifest["digest"]


def stored_digest(folder: Path) -> str:
    """Return the digest that a folder's manifest states, the files unread; BundleError if it is none."""
    return str(_manifest(folder)["digest"])


def _manifest(folder: Path) -> dict[str, Any]:
    raw = read_bytes(folder, NAME)
    try:
        manifest = json.loads(raw)
    except ValueError as error:
        raise BundleError(f"Bundle {folder}: {NAME} is not JSON; restore it from a copy") from error
    if not isinstance(manifest, dict) or "format" not in manifest:
        raise BundleError(f"Bundle {folder}: {NAME} states no format; this is no Bundle or it was altered")
    if manifest["format"] != FORMAT or isinstance(manifest["format"], bool):
        raise BundleError(
            f"Bundle {folder}: {NAME} is of format {manifest['format']!r} and this version reads {FORMAT}; "
            "update mlcore"
        )
    if not _sealed(manifest, raw):
        raise _altered(folder, NAME)
    return manifest


def _sealed(manifest: dict[str, Any], raw: bytes) -> bool:
    rest = {key: value for key, value in manifest.items() if key != "seal"}
    if set(rest) != {"format", "digest", "files", "provenance"}:
        return False
    try:
        return manifest.get("seal") == _sha256(canonical(rest)) and _text(manifest) == raw
    except ValueError:  # NaN, which `render` never writes
        return False


def _check_names(folder: Path, listed: set[str]) -> None:
    """Only names that format 1 knows may be listed, so that none can lead out of the folder."""
    for name in sorted(listed - REQUIRED - OPTIONAL):
        raise BundleError(f"Bundle {folder}: {NAME} lists {name!r}, which is no file of a Bundle")
    for name in sorted(REQUIRED - listed):
        raise BundleError(f"Bundle {folder}: {NAME} does not list {name}")
    for path in sorted(folder.iterdir()):
        if path.name not in listed | {NAME}:
            raise BundleError(f"Bundle {folder}: {path.name} is not in {NAME}; move it out of the folder")


def _content(folder: Path, name: str, stated: Mapping[str, Any]) -> bytes:
    data = read_bytes(folder, name)
    if len(data) != stated.get("size"):
        raise BundleError(
            f"Bundle {folder}: {name} has {len(data)} bytes and {NAME} states {stated.get('size')}; "
            "restore it from a copy"
        )
    if _sha256(data) != stated.get("sha256"):
        raise _altered(folder, name)
    return data


def read_bytes(folder: Path, name: str) -> bytes:
    """Return a file's content; a link, a folder or what cannot be read is a BundleError."""
    path = folder / name
    try:
        if not folder.is_dir():
            raise BundleError(f"Bundle {folder}: there is no such folder")
        if path.is_symlink() or (path.exists() and not path.is_file()):
            raise BundleError(f"Bundle {folder}: {name} is not a plain file")
        return path.read_bytes()
    except FileNotFoundError as error:
        raise BundleError(f"Bundle {folder}: {name} is missing") from error
    except OSError as error:
        raise BundleError(f"Bundle {folder}: {name} cannot be read: {error.strerror}") from error


def _altered(folder: Path, name: str) -> BundleError:
    return BundleError(f"Bundle {folder}: {name} was altered after the Bundle was saved; restore it from a copy")


def _table(files: Mapping[str, bytes]) -> dict[str, dict[str, Any]]:
    return {name: {"sha256": _sha256(data), "size": len(data)} for name, data in files.items()}


def _text(manifest: Mapping[str, Any]) -> bytes:
    text = json.dumps(manifest, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False)
    return text.encode() + b"\n"


def _finite(value: Any) -> Any:
    """JSON has no NaN; a metric that came out as one is kept as text."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, list | tuple) else value


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
