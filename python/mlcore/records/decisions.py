"""The decision log: every gate result, promotion, rollback and denial, append-only and hash-chained.

It is the truth about which version is champion; the MLflow alias is its projection.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from mlcore.errors import Conflict, MlcoreError, RegistryError, UsageError
from mlcore.records import chain, history
from mlcore.records.chain import Entry, Head
from mlcore.records.database import Collision, Database, rows, table

if TYPE_CHECKING:
    from sqlalchemy import Connection

_ATTEMPTS: Final = 8
_T = TypeVar("_T")


class DecisionLog:
    """A decision log at `url`: `sqlite:///file.db`, a path, or `postgresql://…`; made when first written to.

    Args:
        url: where the log is kept; a password in it appears in no message.
        actor: who decides; written into every entry.
        timeout: seconds to wait for another process's SQLite lock.
    """

    def __init__(self, url: str | Path, *, actor: str, timeout: float = 10.0) -> None:
        if not actor.strip():
            raise UsageError("a decision needs an actor: say who decides")
        self.actor = actor
        self._database = Database(url, timeout=timeout)

    def __repr__(self) -> str:
        return f"DecisionLog({self._database.name!r}, actor={self.actor!r})"

    @property
    def name(self) -> str:
        """Where the log is, without secrets."""
        return self._database.name

    def append(
        self,
        action: str,
        object: str,
        *,
        from_: str | None = None,
        to: str | None = None,
        reason: str = "",
        request_id: str | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> Entry:
        """Return the entry just appended.

        Raises:
            UsageError: `details` holds what JSON cannot say, or the action is one that only `promote`,
                `rollback` and `adopt` may write.
            RegistryError: the database cannot be written.
        """
        if action in history.MOVES:
            raise UsageError(f"an entry '{action}' moves the champion; call that method instead of append")
        said = _said(action, object, from_, to, reason, request_id, details)
        return self._write(lambda connection: self._add(connection, said))

    def entries(self, *, object: str | None = None, after: int | None = None) -> tuple[Entry, ...]:
        """Return the entries, oldest first, of one object or of all, with `seq` above `after`."""
        with self._database.read() as connection:
            if connection is None:
                return ()
            return tuple(chain.entry_of(row) for row in rows(connection, object=object, after=after))

    def head(self) -> Head:
        """Return the last entry's number and hash; (0, zeros) where nothing is logged."""
        with self._database.read() as connection:
            return Head(0, chain.GENESIS) if connection is None else _head(connection)

    def verify(self, *, expected: Head | str | None = None) -> Head:
        """Return the head after the whole chain was checked.

        Args:
            expected: a head noted earlier, kept outside the log; it finds a log that was shortened.

        Raises:
            AuditError: an entry was changed, removed, inserted or moved; the message names its `seq`.
        """
        wanted = Head.parse(expected) if isinstance(expected, str) else expected
        with self._database.read() as connection:
            return chain.verify(() if connection is None else rows(connection), wanted)

    def moves(self, name: str) -> tuple[Entry, ...]:
        """Return the promotions, rollbacks and adoptions of a model, oldest first; the whole chain is checked first.

        Raises:
            AuditError: the log was altered.
        """
        with self._database.read() as connection:
            return () if connection is None else _moves(connection, name)

    def moved(self) -> tuple[str, ...]:
        """Return the names of the models whose champion this log has moved."""
        with self._database.read() as connection:
            found = () if connection is None else tuple(rows(connection, actions=history.MOVES))
            return tuple(sorted({str(row["object"]) for row in found}))

    def champion(self, name: str) -> str | None:
        """Return the version that serves, or None where none was promoted."""
        return history.champion(self.moves(name))

    def rollback_target(self, name: str) -> str | None:
        """Return the version that a rollback would put back, or None where there is none."""
        return history.rollback_target(self.moves(name))

    def promote(
        self,
        name: str,
        to: str,
        *,
        expected: str | None,
        reason: str,
        request_id: str | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> Entry:
        """Return the entry that made `to` the champion, if `expected` still was it.

        Reading the champion and moving it are one transaction; a denial is logged too.

        Raises:
            Conflict: another version is champion than the one expected.
            UsageError: no reason is given, or `to` is champion already.
        """
        _need_reason(reason)

        def decide(connection: Connection) -> Entry | MlcoreError:
            found = history.champion(_moves(connection, name))
            said = _said(history.PROMOTE, name, found, to, reason, request_id, details)
            if found != expected:
                return self._deny(connection, said, _conflict(name, to, expected, found))
            if found == to:
                return UsageError(f"version {to} of '{name}' is champion already; nothing to promote")
            return self._add(connection, said)

        return self._decide(decide)

    def rollback(self, name: str, *, reason: str, expected: str | None = None, request_id: str | None = None) -> Entry:
        """Return the entry that put back the latest earlier champion that is not quarantined.

        The version that served is quarantined: no later rollback leads to it, until it is promoted again.

        Raises:
            Conflict: `expected` is given and another version is champion.
            RegistryError: there is no earlier champion to go back to; the denial is logged.
            UsageError: no reason is given.
        """
        _need_reason(reason)

        def decide(connection: Connection) -> Entry | MlcoreError:
            moves = _moves(connection, name)
            found, target = history.champion(moves), history.rollback_target(moves)
            said = _said(history.ROLLBACK, name, found, target, reason, request_id, None)
            if expected is not None and found != expected:
                return self._deny(connection, said, _conflict(name, target, expected, found))
            if target is None:
                return self._deny(connection, said, _nowhere(name, found))
            return self._add(connection, said)

        return self._decide(decide)

    def adopt(self, name: str, to: str, *, reason: str) -> Entry:
        """Return the entry that takes over a champion chosen before this log knew the model.

        Raises:
            Conflict: the log has moved a champion of this model before.
        """

        def decide(connection: Connection) -> Entry | MlcoreError:
            moves = _moves(connection, name)
            if moves:
                return _conflict(name, to, None, history.champion(moves))
            return self._add(connection, _said(history.ADOPT, name, None, to, reason, None, None))

        return self._decide(decide)

    def _decide(self, decide: Callable[[Connection], Entry | MlcoreError]) -> Entry:
        """A refusal is returned, not raised, inside the transaction, so that its denial is kept."""
        outcome = self._write(decide)
        if isinstance(outcome, MlcoreError):
            raise outcome
        return outcome

    def _write(self, work: Callable[[Connection], _T]) -> _T:
        """Writers come one by one; where one slips past the lock it finds its number taken, and repeats."""
        for _ in range(_ATTEMPTS - 1):
            try:
                with self._database.write() as connection:
                    return work(connection)
            except Collision:
                continue
        with self._database.write() as connection:
            return work(connection)

    def _add(self, connection: Connection, said: Mapping[str, Any]) -> Entry:
        head = _head(connection)
        body = {
            **said,
            "seq": head.seq + 1,
            "ts": datetime.now(UTC).isoformat(timespec="microseconds"),
            "actor": self.actor,
            "prev_hash": head.hash,
        }
        body["hash"] = chain.entry_hash(body)
        row = chain.row_of(body)
        connection.execute(table().insert().values(row))
        return chain.entry_of(row)

    def _deny(self, connection: Connection, said: Mapping[str, Any], why: MlcoreError) -> MlcoreError:
        self._add(connection, {**said, "action": "deny", "details": {"wanted": said["action"], "why": str(why)}})
        return why


def _said(
    action: str,
    object: str,
    from_: str | None,
    to: str | None,
    reason: str,
    request_id: str | None,
    details: Mapping[str, Any] | None,
) -> dict[str, Any]:
    if not action or not object:
        raise UsageError("a decision needs an action and an object")
    return {
        "action": action,
        "object": object,
        "from": from_,
        "to": to,
        "reason": reason,
        "request_id": request_id,
        "details": dict(details or {}),
    }


def _head(connection: Connection) -> Head:
    t = table()
    last = connection.execute(t.select().order_by(t.c.seq.desc()).limit(1)).first()
    return Head(0, chain.GENESIS) if last is None else Head(last._mapping["seq"], last._mapping["hash"])


def _moves(connection: Connection, name: str) -> tuple[Entry, ...]:
    chain.verify(rows(connection))  # no word of an altered log counts
    return tuple(chain.entry_of(row) for row in rows(connection, object=name, actions=history.MOVES))


def _need_reason(reason: str) -> None:
    if not reason.strip():
        raise UsageError("a change of champion needs a reason; give one with --reason")


def _conflict(name: str, to: str | None, expected: str | None, found: str | None) -> Conflict:
    def said(version: str | None) -> str:
        return "no champion" if version is None else f"version {version}"

    return Conflict(
        f"'{name}' was not moved to {said(to)}: expected {said(expected)} as champion, found {said(found)}; "
        f"compare with {said(found)} (mlcore models show {name}) and repeat"
    )


def _nowhere(name: str, found: str | None) -> RegistryError:
    served = "it has no champion" if found is None else f"version {found} serves and no earlier champion is left"
    return RegistryError(
        f"'{name}' cannot be rolled back: {served}; promote another version instead (mlcore models list)"
    )
