"""A Bundle in memory and as a folder."""

from __future__ import annotations

import json
import os
import shutil
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa

from mlcore import models
from mlcore.bundle import manifest, provenance
from mlcore.data.schema import Schema
from mlcore.errors import BundleError, MlcoreError, OutputError
from mlcore.preprocessing.features import Transforms
from mlcore.profile import Profile

_T = TypeVar("_T")


@dataclass(frozen=True, eq=False)
class Bundle:
    """A model with all that scoring and watching it needs.

    Attributes:
        model: the trees in neutral form.
        transforms: from raw columns to the model's features.
        schema: the raw columns.
        profile: the training data's profile, the reference of every drift report.
        provenance: snapshot, code version, library versions, parameters, metrics, time; see `collect`.
        source_model: the model in its library's own safe format (XGBoost UBJ).
    """

    model: models.Model
    transforms: Transforms
    schema: Schema
    profile: Profile | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)
    source_model: bytes | None = None

    @cached_property
    def files(self) -> Mapping[str, bytes]:
        """The files of the folder but for the manifest; of a loaded Bundle those that were read.

        Saving a loaded Bundle so gives the same digest, whichever version of Arrow wrote it.
        """
        parts = {
            "model.arrow": _ipc(self.model.to_arrow()),
            "transforms.json": manifest.canonical(self.transforms.to_json()),
            "schema.json": manifest.canonical(self.schema.to_json()),
        }
        if self.source_model is not None:
            parts["model.ubj"] = bytes(self.source_model)
        if self.profile is not None:
            parts["profile.arrow"] = _ipc(self.profile.to_arrow())
        return parts

    @cached_property
    def digest(self) -> str:
        """SHA-256 over the canonical table of the files: equal content has an equal digest, whenever made."""
        return manifest.digest_of(self.files)

    def save(self, folder: str | Path) -> str:
        """Return the digest, after the folder was written whole under another name and renamed.

        A folder that already holds this Bundle is left as it is.

        Raises:
            BundleError: the folder holds something else.
            OutputError: it cannot be written; nothing is left of it.
        """
        target = Path(folder).absolute()
        if _taken(target):
            return self._expect(target)
        part = target.with_name(f".{target.name}.{uuid.uuid4().hex[:12]}.tmp")
        try:
            part.mkdir(parents=True)
            origin = self.provenance or provenance.collect()
            for name, data in {**self.files, manifest.NAME: manifest.render(self.files, origin)}.items():
                (part / name).write_bytes(data)
            return self._rename(part, target)
        except OSError as error:
            raise OutputError(f"Bundle {target}: cannot be written: {error.strerror}") from error
        finally:
            shutil.rmtree(part, ignore_errors=True)

    def _rename(self, part: Path, target: Path) -> str:
        try:
            os.rename(part, target)  # never overwrites a folder that holds files
        except OSError:
            if not _taken(target):
                raise
            return self._expect(target)
        return self.digest

    def _expect(self, target: Path) -> str:
        """Someone was there first: fine when it is the same Bundle."""
        found = manifest.stored_digest(target) if (target / manifest.NAME).is_file() else None
        if found != self.digest:
            what = "something else" if found is None else f"another Bundle ({manifest.short(found)})"
            raise BundleError(f"Bundle {target}: the folder holds {what}; choose another or move it away")
        Bundle.load(target)
        return self.digest

    @staticmethod
    def load(folder: str | Path) -> Bundle:
        """Return the Bundle in that folder, after every byte of it was checked.

        Raises:
            BundleError: a file is missing, altered, cut short or not listed, or the format is unknown.
        """
        place = Path(folder)
        files, origin, digest = manifest.read(place)

        def part(name: str, read: Callable[[bytes], _T]) -> _T:
            try:
                return read(files[name])
            except (MlcoreError, ValueError, pa.ArrowException) as error:
                raise BundleError(f"Bundle {place}: {name}: {error}") from error

        bundle = Bundle(
            model=part("model.arrow", lambda data: models.from_arrow(_table(data))),
            transforms=part("transforms.json", lambda data: Transforms.from_json(json.loads(data))),
            schema=part("schema.json", lambda data: Schema.from_json(json.loads(data))),
            profile=part("profile.arrow", lambda data: Profile.from_arrow(_table(data)))
            if "profile.arrow" in files
            else None,
            provenance=origin,
            source_model=files.get("model.ubj"),
        )
        # What was read stands in for what would be written; dataclasses.replace starts without it.
        bundle.__dict__.update(files=files, digest=digest)
        return bundle

    def scorer(self, *, backend: str = "auto", threads: int | None = None) -> Any:
        """Return the Scorer of this Bundle, compiled for one backend."""
        public: Any = import_module("mlcore")  # as a user would call it: scoring lies above this room
        return public.compile(self, backend=backend, threads=threads)


def _taken(target: Path) -> bool:
    return target.exists() and (not target.is_dir() or any(target.iterdir()))


def _ipc(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table.combine_chunks())
    return bytes(sink.getvalue())


def _table(data: bytes) -> pa.Table:
    return pa.ipc.open_file(pa.py_buffer(data)).read_all()
