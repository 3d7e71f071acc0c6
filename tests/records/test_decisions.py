"""The decision log: what it keeps, how the champion moves, and what it refuses."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy

from mlcore.errors import Conflict, RegistryError, UsageError
from mlcore.records.decisions import DecisionLog


def promoted(log: DecisionLog, *versions: str) -> DecisionLog:
    for version in versions:
        log.promote("m", version, expected=log.champion("m"), reason="better")
    return log


def test_an_entry_keeps_all_it_was_given(log: DecisionLog) -> None:
    log.append("gate", "m", to="4", reason="auc 0.7 >= 0.65", request_id="r1", details={"b": [1, 0.5], "a": None})
    (entry,) = log.entries()
    kept = (
        entry.seq,
        entry.actor,
        entry.action,
        entry.object,
        entry.from_,
        entry.to,
        entry.reason,
        entry.request_id,
    )
    assert kept == (1, "ann", "gate", "m", None, "4", "auc 0.7 >= 0.65", "r1")
    assert entry.details == {"a": None, "b": [1, 0.5]}
    assert entry.ts.endswith("+00:00")


def test_the_hash_is_the_sha256_of_the_canonical_rest(log: DecisionLog) -> None:
    log.append("gate", "m", reason="größer")
    log.append("gate", "m")
    first, second = log.entries()
    body = {name: value for name, value in first.to_json().items() if name != "hash"}
    text = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert first.hash == hashlib.sha256(text.encode()).hexdigest()
    assert second.prev_hash == first.hash and first.prev_hash == "0" * 64


def test_entries_are_filtered_by_object_and_number(log: DecisionLog) -> None:
    for name in "abab":
        log.append("gate", name)
    assert [e.seq for e in log.entries(object="b")] == [2, 4]
    assert [e.seq for e in log.entries(after=2)] == [3, 4]


def test_the_champion_is_the_last_promoted(log: DecisionLog) -> None:
    assert log.champion("m") is None
    assert promoted(log, "1", "2").champion("m") == "2"
    assert log.champion("other") is None


def test_a_promotion_says_what_it_replaced(log: DecisionLog) -> None:
    entry = promoted(log, "1").promote("m", "2", expected="1", reason="better")
    assert (entry.from_, entry.to) == ("1", "2")


def test_promotion_against_a_stale_champion_is_a_conflict(log: DecisionLog) -> None:
    promoted(log, "1", "2")
    with pytest.raises(Conflict, match=r"expected version 1 as champion, found version 2; .*repeat") as caught:
        log.promote("m", "3", expected="1", reason="better")
    assert caught.value.exit_code == 3
    assert log.champion("m") == "2"


def test_a_denied_promotion_is_logged(log: DecisionLog) -> None:
    promoted(log, "1")
    with pytest.raises(Conflict):
        log.promote("m", "3", expected=None, reason="better")
    last = log.entries()[-1]
    assert (last.action, last.from_, last.to, last.details["wanted"]) == ("deny", "1", "3", "promote")
    assert "found version 1" in last.details["why"]


def test_promoting_the_champion_again_is_refused(log: DecisionLog) -> None:
    promoted(log, "1")
    with pytest.raises(UsageError, match="version 1 of 'm' is champion already"):
        log.promote("m", "1", expected="1", reason="again")
    assert len(log.entries()) == 1


@pytest.mark.parametrize(
    ("promotions", "rollbacks", "champion"),
    [
        ("12", 1, "1"),
        ("123", 1, "2"),
        ("123", 2, "1"),
        ("135", 1, "3"),  # not "version minus one"
        ("121", 1, "2"),
        ("31", 1, "3"),
    ],
)
def test_rollback_leads_to_the_previous_champion(
    log: DecisionLog, promotions: str, rollbacks: int, champion: str
) -> None:
    promoted(log, *promotions)
    for _ in range(rollbacks):
        log.rollback("m", reason="bad")
    assert log.champion("m") == champion


def test_a_version_rolled_back_is_never_a_target(log: DecisionLog) -> None:
    promoted(log, "1", "2", "3")
    log.rollback("m", reason="3 is bad")
    promoted(log, "4")
    assert log.rollback("m", reason="4 is bad").to == "2"


def test_promoting_a_quarantined_version_lifts_the_quarantine(log: DecisionLog) -> None:
    promoted(log, "1", "2")
    log.rollback("m", reason="thought 2 was bad")
    promoted(log, "2", "3")
    assert log.rollback("m", reason="3 is bad").to == "2"


def test_rollback_with_nowhere_to_go_is_denied_and_logged(log: DecisionLog) -> None:
    promoted(log, "1")
    with pytest.raises(RegistryError, match="version 1 serves and no earlier champion is left"):
        log.rollback("m", reason="bad")
    assert log.champion("m") == "1"
    assert log.entries()[-1].action == "deny"


def test_rollback_of_an_unknown_model_says_so(log: DecisionLog) -> None:
    with pytest.raises(RegistryError, match="'m' cannot be rolled back: it has no champion"):
        log.rollback("m", reason="bad")


def test_rollback_against_a_stale_champion_is_a_conflict(log: DecisionLog) -> None:
    promoted(log, "1", "2")
    with pytest.raises(Conflict, match="expected version 1 as champion, found version 2"):
        log.rollback("m", reason="bad", expected="1")


@pytest.mark.parametrize("reason", ["", "  "])
def test_moves_need_a_reason(log: DecisionLog, reason: str) -> None:
    with pytest.raises(UsageError, match="needs a reason"):
        log.promote("m", "1", expected=None, reason=reason)
    with pytest.raises(UsageError, match="needs a reason"):
        log.rollback("m", reason=reason)
    assert log.entries() == ()


def test_a_move_cannot_be_appended_by_hand(log: DecisionLog) -> None:
    with pytest.raises(UsageError, match="moves the champion"):
        log.append("promote", "m", to="9")


def test_adoption_is_for_a_model_the_log_never_moved(log: DecisionLog) -> None:
    assert log.adopt("m", "7", reason="alias found").to == "7"
    assert log.champion("m") == "7"
    with pytest.raises(Conflict, match="found version 7"):
        log.adopt("m", "8", reason="alias found")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object(), "\ud800"])
def test_details_that_json_cannot_say_are_refused(tmp_path: Path, value: object) -> None:
    log = DecisionLog(tmp_path / "log.db", actor="ann")
    with pytest.raises(UsageError, match="what JSON cannot say"):
        log.append("gate", "m", details={"value": value})


def test_an_empty_actor_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="needs an actor"):
        DecisionLog(tmp_path / "log.db", actor=" ")


def test_reading_a_log_never_written_makes_no_file(tmp_path: Path) -> None:
    log = DecisionLog(tmp_path / "log.db", actor="ann")
    assert log.entries() == () and log.champion("m") is None and log.head().seq == 0
    assert list(tmp_path.iterdir()) == []


def test_concurrent_threads_append_every_entry_once(log: DecisionLog) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda i: log.append("gate", "m", reason=str(i)), range(40)))
    assert sorted(int(e.reason) for e in log.entries()) == list(range(40))
    assert log.verify().seq == 40


def test_appenders_that_lock_nobody_out_repeat_on_a_taken_number(
    postgres: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = DecisionLog(postgres(), actor="ann")  # type: ignore[operator]
    log.append("gate", "m")
    monkeypatch.setattr("mlcore.records.database._LOCK", "SELECT 1")
    both = threading.Barrier(2, timeout=10)
    monkeypatch.setattr("mlcore.records.decisions._head", _meeting(both))
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda i: log.append("gate", "m", reason=str(i)), range(2)))
    assert log.verify().seq == 3


def _meeting(barrier: threading.Barrier) -> object:
    from mlcore.records import decisions

    read, met = decisions._head, set[int]()

    def head(connection: object) -> object:
        found = read(connection)  # type: ignore[arg-type]
        if threading.get_ident() not in met:
            met.add(threading.get_ident())
            barrier.wait()
        return found

    return head


APPEND = """
import sys
from mlcore.records.decisions import DecisionLog
log = DecisionLog(sys.argv[1], actor=sys.argv[2])
for i in range(15):
    log.append("gate", "m", reason=str(i))
"""

RACE = """
import sys
from mlcore.errors import Conflict
from mlcore.records.decisions import DecisionLog
log = DecisionLog(sys.argv[1], actor="p" + sys.argv[2])
print("ready", flush=True)
sys.stdin.readline()
try:
    log.promote("m", sys.argv[2], expected="1", reason="race")
except Conflict as error:
    sys.exit(error.exit_code)
"""


def test_concurrent_processes_that_also_make_the_table_keep_one_chain(url: str) -> None:
    workers = [subprocess.Popen([sys.executable, "-c", APPEND, url, f"p{i}"]) for i in range(3)]
    assert [worker.wait(60) for worker in workers] == [0, 0, 0]
    log = DecisionLog(url, actor="ann")
    assert log.verify().seq == 45
    for i in range(3):
        assert [e.reason for e in log.entries() if e.actor == f"p{i}"] == [str(n) for n in range(15)]


def test_of_racing_promotions_exactly_one_wins(url: str) -> None:
    log = promoted(DecisionLog(url, actor="ann"), "1")
    racers = [
        subprocess.Popen([sys.executable, "-c", RACE, url, v], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for v in "234"
    ]
    for racer in racers:
        assert racer.stdout is not None
        racer.stdout.readline()
    codes = [racer.communicate(b"go\n", 60) and racer.returncode for racer in racers]
    assert sorted(codes) == [0, 3, 3]
    assert log.champion("m") == "234"[codes.index(0)]
    assert [e.action for e in log.entries()].count("deny") == 2


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "log.db").write_text("not a database, only text" * 100)
    log = DecisionLog(tmp_path / "log.db", actor="ann")
    with pytest.raises(RegistryError, match=r"log\.db: file is not a database; .*another kind of file"):
        log.entries()
    with pytest.raises(RegistryError, match="file is not a database"):
        log.append("gate", "m")


def test_a_truncated_database_is_refused(tmp_path: Path) -> None:
    log = DecisionLog(tmp_path / "log.db", actor="ann")
    for _ in range(30):
        log.append("gate", "m", reason="x" * 500)
    file = tmp_path / "log.db"
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(RegistryError, match=r"log\.db: .*(malformed|disk)"):
        log.verify()


def test_a_locked_database_is_a_clear_error(tmp_path: Path) -> None:
    log = DecisionLog(tmp_path / "log.db", actor="ann", timeout=0.05)
    log.append("gate", "m")
    other = sqlite3.connect(tmp_path / "log.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(RegistryError, match=r"database is locked; another process holds it"):
        log.append("gate", "m")
    other.close()
    log.append("gate", "m")


def test_a_read_only_database_can_be_read_and_not_written(tmp_path: Path) -> None:
    DecisionLog(tmp_path / "log.db", actor="ann").append("gate", "m")
    log = DecisionLog(f"sqlite:///file:{tmp_path}/log.db?mode=ro&uri=true", actor="ann")
    assert log.verify().seq == 1
    with pytest.raises(RegistryError, match=r"readonly database; make the file and its folder writable"):
        log.append("gate", "m")


def test_a_full_disk_is_a_clear_error_and_keeps_what_was_there(tmp_path: Path) -> None:
    log = DecisionLog(tmp_path / "log.db", actor="ann")
    log.append("gate", "m")
    # SQLite fails in the same way when a database may not grow any more.
    sqlalchemy.event.listen(log._database._engine, "connect", lambda db, _: db.execute("PRAGMA max_page_count = 1"))
    with pytest.raises(RegistryError, match=r"is full; free some space"):
        log.append("gate", "m", reason="x" * 100_000)
    assert log.verify().seq == 1


def test_a_foreign_table_of_that_name_is_refused(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "log.db") as other:
        other.execute("CREATE TABLE decisions (x INTEGER)")
    other.close()
    with pytest.raises(RegistryError, match="its table 'decisions' is not mlcore's"):
        DecisionLog(tmp_path / "log.db", actor="ann").entries()


def test_a_folder_that_cannot_be_made_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    log = DecisionLog(tmp_path / "file" / "log.db", actor="ann")
    with pytest.raises(RegistryError, match="cannot make its folder"):
        log.append("gate", "m")


@pytest.mark.parametrize("statement", ["UPDATE decisions SET reason = 'no'", "DELETE FROM decisions"])
def test_the_table_itself_refuses_changes(log: DecisionLog, statement: str) -> None:
    log.append("gate", "m")
    with (
        pytest.raises(RegistryError, match="the decision log is append-only"),
        log._database.write() as connection,
    ):
        connection.exec_driver_sql(statement)
    assert log.verify().seq == 1


@pytest.mark.parametrize(
    ("url", "error", "words"),
    [
        ("sqlite://", UsageError, "cannot live in memory"),
        ("no url at all", UsageError, "not a database URL"),
        ("nosuch://u:s3cret-word@h/d", UsageError, "no such kind of database"),
    ],
)
def test_an_address_that_names_no_log_is_refused(url: str, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        DecisionLog(url, actor="ann")


@pytest.mark.parametrize("address", ["u:s3cret-word@127.0.0.1:1/d", "127.0.0.1:1/d?user=u&password=s3cret-word"])
def test_a_password_is_in_no_message(postgres: object, address: str) -> None:
    log = DecisionLog(f"postgresql+psycopg://{address}", actor="ann")
    with pytest.raises(RegistryError, match="decision log postgresql") as caught:
        log.entries()
    assert "s3cret-word" not in str(caught.value) + repr(log)
