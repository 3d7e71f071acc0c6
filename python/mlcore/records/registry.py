"""The record of runs and model versions: MLflow, embedded on SQLite or a team's server."""

from __future__ import annotations

import getpass
import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, cast, get_args

from mlcore.errors import RegistryError, UsageError
from mlcore.records import projection, tracking
from mlcore.records.chain import Entry
from mlcore.records.decisions import DecisionLog
from mlcore.records.names import MODEL_NAME

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion as MlflowVersion

Status = Literal["candidate", "rejected", "approved"]

STATE: Final = ".mlcore"
_BUNDLE, _DIGEST, _STATUS = "mlcore.bundle", "mlcore.digest", "mlcore.status"
_PREFIX: Final = re.compile(r"[0-9a-f]{4,64}")
_BATCH: Final = 100  # what one MLflow request takes of parameters and tags
_PAGE: Final = 1000


@dataclass(frozen=True, kw_only=True)
class ModelVersion:
    """One registered version of a model: where its Bundle lies, what it hashes to, and how it fared."""

    name: str
    version: str
    status: Status
    bundle: Path
    digest: str
    run_id: str | None
    created: str
    champion: bool

    def to_json(self) -> dict[str, Any]:
        """Return the version as a JSON-ready dictionary."""
        return {**self.__dict__, "bundle": str(self.bundle)}


class Registry:
    """Runs and model versions at `tracking_uri`, with the decision log that says which version serves.

    Nothing is imported or opened until it is used. The first use sets the alias `champion` of every model
    that the log knows to what the log says.

    Args:
        tracking_uri: an MLflow server, or `sqlite:///file.db`.
        artifact_root: the folder for what runs leave behind, when the database is embedded.
        root: the project's folder; bundle paths are kept relative to it.
        log: the decision log.
    """

    def __init__(self, tracking_uri: str, artifact_root: Path, *, root: Path, log: DecisionLog) -> None:
        self.tracking_uri = tracking_uri
        self.artifact_root = artifact_root.absolute()
        self.root = root.absolute()
        self.log = log

    @staticmethod
    def open(root: Path, *, actor: str | None = None) -> Registry:
        """Return the registry of the project in `root`, under its `.mlcore/`.

        `MLFLOW_TRACKING_URI` and `MLCORE_DECISIONS_URL` lead elsewhere; `actor` defaults to MLCORE_ACTOR,
        then to the user's name.
        """
        state = root.absolute() / STATE
        log = os.environ.get("MLCORE_DECISIONS_URL") or state / "decisions.db"
        uri = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{state / 'mlflow.db'}"
        return Registry(uri, state / "artifacts", root=root, log=DecisionLog(log, actor=actor or _who()))

    def __repr__(self) -> str:
        return f"Registry({tracking.shown(self.tracking_uri)!r})"

    def log_run(
        self,
        experiment: str,
        *,
        params: Mapping[str, object],
        metrics: Mapping[str, float],
        tags: Mapping[str, str] | None = None,
        artifacts: Sequence[Path] = (),
    ) -> str:
        """Return the id of a finished run that holds these parameters, metrics, tags and files."""
        now = int(time.time() * 1000)
        with self._client() as client:
            from mlflow.entities import Metric, Param

            said = [Param(key, str(value)) for key, value in params.items()]
            run = client.create_run(self._experiment(client, experiment), tags=dict(tags or {})).info.run_id
            measured = [Metric(key, float(value), now, 0) for key, value in metrics.items()]
            client.log_batch(run, metrics=measured, params=said[:_BATCH])
            for start in range(_BATCH, len(said), _BATCH):
                client.log_batch(run, params=said[start : start + _BATCH])
            for path in artifacts:
                client.log_artifact(run, str(path))
            client.set_terminated(run)
        return str(run)

    def register(
        self, name: str, bundle: Path, *, digest: str, run_id: str | None = None, status: Status = "candidate"
    ) -> str:
        """Return the new version under which the Bundle in that folder is registered.

        Raises:
            UsageError: the name is not letters, digits, '_', '-' and '.'.
            RegistryError: MLflow cannot be written.
        """
        _check_name(name)
        tags = {_BUNDLE: self._relative(bundle), _DIGEST: digest, _STATUS: _check_status(status)}
        with self._client() as client:
            with tracking.allowing(tracking.EXISTS):
                client.create_registered_model(name)
            # A server refuses sources that are local paths; the tag holds the folder.
            made = client.create_model_version(name, f"mlcore-bundle:{digest}", run_id=run_id, tags=tags)
        return str(made.version)

    def names(self) -> tuple[str, ...]:
        """Return the names of the registered models."""
        with self._client() as client:
            pages = _pages(lambda token: client.search_registered_models(max_results=_PAGE, page_token=token))
            return tuple(sorted(model.name for model in pages))

    def versions(self, name: str) -> tuple[ModelVersion, ...]:
        """Return a model's versions, oldest first; none where the model is not registered."""
        _check_name(name)
        found = self._search(f"name='{name}'")
        champion = self.champion(name) if found else None
        return tuple(self._version(item, champion) for item in found)

    def get(self, name: str, ref: str) -> ModelVersion:
        """Return the version that `ref` names: "champion", a number, or a unique digest prefix.

        Raises:
            RegistryError: there is none, or the prefix fits more than one Bundle; what there is, is named.
        """
        versions = self.versions(name)
        if not versions:
            raise RegistryError(f"no model '{name}' is registered in {tracking.shown(self.tracking_uri)}")
        if ref == projection.ALIAS:
            found = [item for item in versions if item.champion]
        else:
            found = [item for item in versions if item.version == ref] or _by_prefix(versions, ref)
        if not found:
            known = ", ".join(item.version for item in versions[-5:])
            raise RegistryError(f"model '{name}' has no '{ref}'; its latest versions are {known}")
        return found[-1]

    def find(self, prefix: str) -> ModelVersion:
        """Return the version, of any model, whose digest begins with `prefix` (4 hexadecimal digits or more).

        Raises:
            RegistryError: there is none, or the prefix fits more than one Bundle.
        """
        found = _by_prefix([self._version(item, None) for item in self._search(None)], prefix)
        if not found:
            raise RegistryError(f"no registered Bundle has a digest that begins with '{prefix}'")
        return self.get(found[-1].name, found[-1].version)

    def set_status(self, name: str, version: str, status: Status) -> None:
        """Mark a version as candidate, rejected or approved."""
        with self._client() as client:
            client.set_model_version_tag(name, version, _STATUS, _check_status(status))

    def champion(self, name: str) -> str | None:
        """Return the version that serves: by the log, or by the alias where the log never moved the model."""
        moves = self.log.moves(name)
        if moves:
            return moves[-1].to
        with self._client() as client:
            return projection.alias(client, name)

    def project(self, name: str) -> str | None:
        """Return the log's champion after the alias was set to it."""
        with self._client() as client:
            return projection.project(client, self.log, name)

    def reconcile(self, name: str) -> Entry | None:
        """Return the entry that records an alias changed outside mlcore, which is set right, or None."""
        with self._client() as client:
            return projection.reconcile(client, self.log, name)

    @cached_property
    def _connected(self) -> MlflowClient:
        client = tracking.connect(self.tracking_uri)
        with tracking.plain_errors(self.tracking_uri):
            for name in self.log.moved():
                projection.reconcile(client, self.log, name)
        return client

    @contextmanager
    def _client(self) -> Iterator[MlflowClient]:
        client = self._connected
        with tracking.plain_errors(self.tracking_uri):
            yield client

    def _experiment(self, client: MlflowClient, name: str) -> str:
        found = client.get_experiment_by_name(name)
        if found is not None:
            return str(found.experiment_id)
        embedded = self.tracking_uri.startswith("sqlite:")
        place = (self.artifact_root / name).as_uri() if embedded else None
        with tracking.allowing(tracking.EXISTS):
            return str(client.create_experiment(name, artifact_location=place))
        return self._experiment(client, name)  # another process was faster

    def _search(self, query: str | None) -> list[MlflowVersion]:
        with self._client() as client:
            found = _pages(lambda token: client.search_model_versions(query, max_results=_PAGE, page_token=token))
            ours = [item for item in found if _BUNDLE in item.tags]
        return sorted(ours, key=lambda item: (item.name, int(item.version)))

    def _version(self, item: MlflowVersion, champion: str | None) -> ModelVersion:
        return ModelVersion(
            name=item.name,
            version=str(item.version),
            status=_check_status(item.tags.get(_STATUS, "candidate")),
            bundle=self.root / item.tags[_BUNDLE],
            digest=item.tags.get(_DIGEST, ""),
            run_id=item.run_id or None,
            created=datetime.fromtimestamp(item.creation_timestamp / 1000, UTC).isoformat(timespec="seconds"),
            champion=str(item.version) == champion,
        )

    def _relative(self, bundle: Path) -> str:
        place = bundle.absolute()
        return (place.relative_to(self.root) if place.is_relative_to(self.root) else place).as_posix()


def _by_prefix(versions: Sequence[ModelVersion], prefix: str) -> list[ModelVersion]:
    found = [v for v in versions if v.digest.startswith(prefix)] if _PREFIX.fullmatch(prefix) else []
    if len({item.digest for item in found}) > 1:
        some = ", ".join(f"{item.name}:{item.version} ({item.digest[:12]})" for item in found[:4])
        raise RegistryError(f"digest '{prefix}' fits more than one Bundle: {some}; give more of it")
    return found


def _pages(search: Any) -> Iterator[Any]:
    token = None
    while True:
        page = search(token)
        yield from page
        token = page.token
        if not token:
            return


def _check_name(name: str) -> None:
    if not MODEL_NAME.fullmatch(name):
        raise UsageError(f"'{name}' cannot be a model's name; use letters, digits, '_', '-' and '.'")


def _check_status(status: str) -> Status:
    if status not in get_args(Status):
        raise UsageError(f"'{status}' is no status; use one of {', '.join(get_args(Status))}")
    return cast(Status, status)


def _who() -> str:
    try:
        return os.environ.get("MLCORE_ACTOR") or getpass.getuser()
    except (KeyError, OSError):
        return "unknown"  # a container whose user has no name
