"""The MLflow alias `champion` as a projection of the decision log.

A tag of the registered model holds what was projected last ("4", or "3>4" while the alias moves), so that an
alias which lags behind the log after a crash is told from one that someone moved.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mlcore.errors import Conflict
from mlcore.records import history
from mlcore.records.chain import Entry
from mlcore.records.decisions import DecisionLog
from mlcore.records.tracking import ABSENT, allowing

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import RegisteredModel

ALIAS: Final = "champion"
TAG: Final = "mlcore.champion"
EXTERNAL: Final = "external"
_NONE: Final = "-"
_ROUNDS: Final = 5


def alias(client: MlflowClient, name: str) -> str | None:
    """Return the version under the alias, or None."""
    model = _model(client, name)
    return None if model is None else _alias(model)


def project(client: MlflowClient, log: DecisionLog, name: str) -> str | None:
    """Return the log's champion after the alias was set to it; a promotion made meanwhile is followed."""
    want = log.champion(name)
    for _ in range(_ROUNDS):
        model = _model(client, name)
        if model is not None:
            _set(client, model, want)
        again = log.champion(name)
        if again == want:
            break
        want = again
    return want


def reconcile(client: MlflowClient, log: DecisionLog, name: str) -> Entry | None:
    """Return the entry that records an alias changed outside mlcore, or None where there was none.

    The alias is set to what the log says. A model that the log has never moved keeps its alias: its version
    is adopted as the champion.
    """
    model = _model(client, name)
    if model is None:
        return None
    found, moves = _alias(model), log.moves(name)
    if not moves:
        return None if found is None else _adopt(client, log, model, found)
    want = history.champion(moves)
    if want is not None and not _exists(client, name, want):
        return _note(log, name, want, found, f"version {want} was deleted from MLflow outside mlcore")
    entry = None
    if found != want and (found or _NONE) not in str(model.tags.get(TAG, _NONE)).split(">"):
        entry = _note(log, name, want, found, f"the MLflow alias was changed outside mlcore; set to {want} again")
    project(client, log, name)
    return entry


def _adopt(client: MlflowClient, log: DecisionLog, model: RegisteredModel, found: str) -> Entry | None:
    try:
        entry = log.adopt(model.name, found, reason="the MLflow alias was set before this log knew the model")
    except Conflict:
        return None  # another process was faster; its champion is projected when it is done
    client.set_registered_model_tag(model.name, TAG, found)
    return entry


def _note(log: DecisionLog, name: str, want: str | None, found: str | None, reason: str) -> Entry | None:
    """What stays wrong is noted once, not at every open."""
    last = log.entries(object=name)[-1]
    if (last.action, last.from_, last.to, last.reason) == (EXTERNAL, want, found, reason) and found is None:
        return None
    return log.append(EXTERNAL, name, from_=want, to=found, reason=reason)


def _set(client: MlflowClient, model: RegisteredModel, want: str | None) -> None:
    found, name = _alias(model), model.name
    if found == want and model.tags.get(TAG) == (want or _NONE):
        return
    client.set_registered_model_tag(name, TAG, f"{found or _NONE}>{want or _NONE}")
    if want is not None:
        client.set_registered_model_alias(name, ALIAS, want)
    elif found is not None:
        client.delete_registered_model_alias(name, ALIAS)
    client.set_registered_model_tag(name, TAG, want or _NONE)


def _model(client: MlflowClient, name: str) -> RegisteredModel | None:
    with allowing(ABSENT):
        return client.get_registered_model(name)
    return None


def _exists(client: MlflowClient, name: str, version: str) -> bool:
    with allowing(ABSENT):
        client.get_model_version(name, version)
        return True
    return False


def _alias(model: RegisteredModel) -> str | None:
    version = model.aliases.get(ALIAS)
    return None if version is None else str(version)
