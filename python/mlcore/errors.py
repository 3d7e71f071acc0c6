"""One exception tree: every error mlcore raises on purpose says what went wrong, where, and what to do next."""

from __future__ import annotations

import importlib
from types import ModuleType


class MlcoreError(Exception):
    """Base of every error raised on purpose; `exit_code` is what the command line returns."""

    exit_code = 2


class UsageError(MlcoreError):
    """A command or call was asked for something it cannot mean."""


class ConfigError(UsageError):
    """`mlcore.toml` does not say something mlcore understands; the message names the key and its table."""


class MissingExtra(MlcoreError):
    """An optional package is needed and not installed; the message gives the command that adds it."""


class DataError(MlcoreError):
    """Input data cannot be read or used."""


class SchemaMismatch(DataError):
    """A column is absent, or its type is not the one expected."""


class UnsupportedType(DataError):
    """A column has an Arrow type that mlcore does not score or profile."""


class ValidationFailed(DataError):
    """Data broke a check of its schema; the message names the columns and the counts."""

    exit_code = 1


class SnapshotCorrupt(DataError):
    """A snapshot's files are not what its manifest says."""


class ModelFormatError(MlcoreError):
    """A model file is cut short, malformed, or of another kind."""


class UnsupportedModel(MlcoreError):
    """A model uses something that mlcore refuses by name rather than guesses."""


class ProfileMismatch(MlcoreError):
    """Two profiles cannot be merged or compared because their columns or edges differ."""


class BundleError(MlcoreError):
    """A Bundle is incomplete, altered, or of a format this version does not read."""


class BackendUnavailable(MlcoreError):
    """The compute backend asked for by name cannot run here."""


class KernelArgumentError(MlcoreError):
    """An array handed to a kernel has the wrong type, shape, length or content."""


class OutputError(MlcoreError):
    """A result could not be written: no space, no permission; what was complete is kept."""


class RegistryError(MlcoreError):
    """The record of runs and models cannot be read or does not hold what was asked for."""


class AuditError(MlcoreError):
    """The decision log's chain is broken: an entry was changed, removed or inserted."""

    exit_code = 1


class Conflict(MlcoreError):
    """Someone else changed what was to be changed; look again and repeat."""

    exit_code = 3


class GateFailed(MlcoreError):
    """A candidate did not meet a gate."""

    exit_code = 1


def require(module: str, *, extra: str, purpose: str) -> ModuleType:
    """Return the imported optional `module`.

    Raises:
        MissingExtra: the package is not installed; the message gives the command that adds it.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] != module.split(".")[0]:
            raise
        raise MissingExtra(
            f"to {purpose}, the package '{module.split('.')[0]}' is needed and not installed; "
            f"add it with: pip install 'mlcore[{extra}]'"
        ) from None
