"""From what people call a Bundle (a folder, `name@champion`, `name:7`, a digest prefix) to the Bundle."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mlcore.bundle.bundle import Bundle
from mlcore.bundle.manifest import short
from mlcore.errors import BundleError, UsageError

if TYPE_CHECKING:
    from mlcore.records.registry import ModelVersion, Registry

_NAMED: Final = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9_.-]*)(?P<sep>[@:])(?P<ref>[A-Za-z0-9_.-]+)")
_PREFIX: Final = re.compile(r"[0-9a-f]{4,64}")


def load(ref: str | Path, *, registry: Registry | None = None) -> Bundle:
    """Return the Bundle that `ref` names, checked to the last byte.

    Args:
        ref: a folder; or "name@champion", "name:7", "name:1f3a…" or a digest prefix of 4 digits or more.
        registry: where names are looked up; by default the records of the project in the current folder.

    Raises:
        BundleError: the Bundle is incomplete or altered, or is not the one that was registered.
        RegistryError: no such model, version or digest.
        UsageError: `ref` is neither a folder nor a reference.
    """
    if isinstance(ref, Path) or (ref and Path(ref).is_dir()):
        return Bundle.load(ref)
    return load_version(_resolve(ref, registry))


def load_version(version: ModelVersion) -> Bundle:
    """Return the Bundle of a registered version; BundleError when its folder holds another one."""
    bundle = Bundle.load(version.bundle)
    if bundle.digest != version.digest:
        raise BundleError(
            f"Bundle {version.bundle}: it is {short(bundle.digest)}, but {version.name}:{version.version} "
            f"was registered as {short(version.digest)}; restore the folder from a copy"
        )
    return bundle


def _resolve(ref: str, registry: Registry | None) -> ModelVersion:
    named = _NAMED.fullmatch(ref)
    if named is None and not _PREFIX.fullmatch(ref):
        raise UsageError(
            f"'{ref}' is neither a Bundle's folder nor a reference such as name@champion, name:7 or "
            "the first digits of a digest"
        )
    registry = registry or _of_current_folder(ref)
    if named is None:
        return registry.find(ref)
    if named["sep"] == "@" and named["ref"] != "champion":
        raise UsageError(f"'{ref}': the one alias is champion; give a version as {named['name']}:7")
    return registry.get(named["name"], named["ref"])


def _of_current_folder(ref: str) -> Registry:
    import os

    from mlcore.records.registry import STATE, Registry

    if not (Path.cwd() / STATE).is_dir() and "MLFLOW_TRACKING_URI" not in os.environ:
        raise UsageError(
            f"'{ref}' is looked up in the records of a project, and {Path.cwd()} is none; go to the project's folder"
        )
    return Registry.open(Path.cwd())
