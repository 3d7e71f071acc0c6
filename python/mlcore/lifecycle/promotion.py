"""From candidate to champion and back: every step is an entry of the decision log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from mlcore.bundle.reference import load_version
from mlcore.errors import GateFailed, RegistryError
from mlcore.lifecycle.gates import Gate, GateResult, evaluate
from mlcore.records.chain import Entry
from mlcore.records.history import quarantined
from mlcore.records.registry import ModelVersion, Registry

REJECT: Final = "reject"


@dataclass(frozen=True)
class Change:
    """A champion moved from version `old` (None: there was none) to version `new`."""

    name: str
    old: str | None
    new: str

    def __str__(self) -> str:
        old = "no champion" if self.old is None else f"version {self.old}"
        return f"{self.name}: {old} → version {self.new}"

    @property
    def undo(self) -> str | None:
        """The command that undoes it; None where there was no champion to go back to."""
        return None if self.old is None else f"mlcore models promote {self.name} {self.old} --reason …"

    def to_json(self) -> dict[str, Any]:
        """Return the change as a JSON-ready dictionary."""
        return {"name": self.name, "old": self.old, "new": self.new, "undo": self.undo}


@dataclass(frozen=True)
class Submission:
    """What became of a candidate: its version, what each gate found, and the change if all passed."""

    version: ModelVersion
    gates: tuple[GateResult, ...]
    change: Change | None

    @property
    def passed(self) -> bool:
        """Whether every gate was met."""
        return all(result.passed for result in self.gates)

    def require(self) -> None:
        """Raise GateFailed with each gate that was not met, if there is one."""
        if not self.passed:
            failed = "; ".join(str(result) for result in self.gates if not result.passed)
            name = f"{self.version.name}:{self.version.version}"
            raise GateFailed(f"{name} is rejected: {failed}; change the features or the training and run again")


def champion(registry: Registry, name: str) -> str | None:
    """Return the version that serves; to be read before training and handed to `submit` as `expected`.

    An alias that was moved outside mlcore is recorded and set right first.
    """
    registry.reconcile(name)
    return registry.log.champion(name)


def serving(registry: Registry, name: str) -> ModelVersion:
    """Return the champion, held against the decision log: the version it names, with the Bundle it promoted.

    Raises:
        RegistryError: the registry holds another Bundle under that number, or says that it was rejected.
    """
    version = registry.get(name, "champion")
    if version.status == "rejected":
        raise RegistryError(
            f"the log says that {name}:{version.version} is champion, the registry that it was rejected; they do not belong "
            "together: restore the one that was replaced, or promote another version"
        )
    moves = registry.log.moves(name)
    promoted = next((m.details.get("digest") for m in reversed(moves) if m.to == version.version and m.details), None)
    if promoted is not None and promoted != version.digest:
        raise RegistryError(
            f"{name}:{version.version} was promoted as Bundle {promoted[:12]}, the registry names {version.digest[:12]}; "
            "restore the registry, or promote another version"
        )
    return version


def submit(
    registry: Registry,
    name: str,
    bundle: Path,
    *,
    digest: str,
    metrics: Mapping[str, float],
    gates: Sequence[Gate],
    expected: str | None,
    run_id: str | None = None,
    reason: str = "every gate passed",
) -> Submission:
    """Return what became of a candidate: registered, held against the gates, promoted if it meets them all.

    Args:
        registry: the project's records.
        name: the model.
        bundle: the folder of the saved Bundle.
        digest: the Bundle's digest.
        metrics: what evaluation measured.
        gates: the conditions; with none, the candidate is promoted.
        expected: the champion before training started.
        run_id: the run that made the candidate.
        reason: why it is promoted, for the log.

    Raises:
        GateFailed: the Bundle is one that was rolled back; nothing is registered.
        Conflict: another version became champion meanwhile; the candidate stays registered as approved.
    """
    withdrawn = quarantined(registry.log.moves(name))
    for known in registry.versions(name):
        if known.version in withdrawn and known.digest == digest:
            raise GateFailed(
                f"{name}: this is the Bundle of version {known.version}, which was rolled back; change the features or the "
                f"training, or bring it back by hand: mlcore models promote {name} {known.version} --reason …"
            )
    version = registry.register(name, bundle, digest=digest, run_id=run_id)
    results = evaluate(metrics, gates)
    for result in results:
        registry.log.append("gate", name, to=version, reason=str(result), request_id=run_id, details=result.to_json())
    if not all(result.passed for result in results):
        registry.set_status(name, version, "rejected")
        failed = ", ".join(result.metric for result in results if not result.passed)
        registry.log.append(REJECT, name, to=version, reason=f"gate failed: {failed}", request_id=run_id)
        return Submission(registry.get(name, version), results, None)
    registry.set_status(name, version, "approved")
    entry = registry.log.promote(
        name, version, expected=expected, reason=reason, request_id=run_id, details={"digest": digest}
    )
    registry.project(name)
    return Submission(registry.get(name, version), results, _change(entry))


def promote(registry: Registry, name: str, ref: str, *, reason: str) -> Change:
    """Return the change that made a version champion by hand.

    Args:
        registry: the project's records.
        name: the model.
        ref: a version number or a unique digest prefix.
        reason: why, for the log.

    Raises:
        GateFailed: the version was rejected, or never held against the gates; the denial is logged.
        BundleError: its Bundle is gone or altered.
        Conflict: the champion was changed at the same time.
    """
    before = champion(registry, name)
    version = registry.get(name, ref)
    why = _unfit(registry, version)
    if why is not None:
        refusal = GateFailed(f"{name}:{version.version} is not promoted: {why}; train another candidate")
        registry.log.append(
            "deny",
            name,
            from_=before,
            to=version.version,
            reason=reason,
            details={"wanted": "promote", "why": str(refusal)},
        )
        raise refusal
    load_version(version)
    details = {"digest": version.digest}
    entry = registry.log.promote(name, version.version, expected=before, reason=reason, details=details)
    registry.project(name)
    return _change(entry)


def rollback(registry: Registry, name: str, *, reason: str) -> Change:
    """Return the change that put the previous champion back; the version that served is quarantined.

    Nothing is trained or copied: one entry in the log and the alias.

    Raises:
        RegistryError: there is no earlier champion that is not quarantined.
        BundleError: the Bundle to go back to is gone or altered; nothing was changed.
        Conflict: the champion was changed at the same time.
    """
    before = champion(registry, name)
    target = registry.log.rollback_target(name)
    if target is not None:
        load_version(registry.get(name, target))
    entry = registry.log.rollback(name, reason=reason, expected=before)
    registry.project(name)
    return _change(entry)


def _unfit(registry: Registry, version: ModelVersion) -> str | None:
    """Why a version may not serve; the log's word counts, for anyone can change the status in MLflow."""
    said = registry.log.entries(object=version.name)
    if version.status == "rejected" or any(e.action == REJECT and e.to == version.version for e in said):
        return "a gate failed it"
    return None if version.status == "approved" else "it was never held against the gates"


def _change(entry: Entry) -> Change:
    assert entry.to is not None
    return Change(entry.object, entry.from_, entry.to)
