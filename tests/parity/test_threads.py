"""Results depend neither on the number of threads nor on who else calls."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from mlcore import ops
from mlcore.backend import Backend
from mlcore.testing import SAMPLES, expected, run, same
from mlcore.testing.harness import Results
from mlcore.testing.samples.arrays import Out

THREADED = [(op, sample) for op in ("forest", "leaves", "score") for sample in ("several spans", "513 rows")]


@pytest.mark.parametrize("threads", [2, 3, 16])
@pytest.mark.parametrize(("op", "sample"), THREADED)
def test_results_do_not_depend_on_threads(op: str, sample: str, threads: int, host: Backend) -> None:
    assert same(run(op, sample, host, threads=threads), expected(op, sample))


@pytest.mark.parametrize("threads", [2, 3, 16])
@pytest.mark.parametrize("sample", ["several spans", "513 rows", "three outputs"])
def test_shap_values_do_not_depend_on_threads(sample: str, threads: int, host: Backend) -> None:
    assert same(run("explain", sample, host, threads=threads), run("explain", sample, host))


@pytest.mark.parametrize("sample", ["511 rows", "many features"])
def test_shap_values_do_not_depend_on_the_other_rows(sample: str, host: Backend) -> None:
    explained, codes, missing, first = SAMPLES["explain"][sample]()
    handle, out = ops.prepare(explained, backend=host), first.start()
    for at in range(0, len(out), 64):
        rows = slice(at, at + 64)
        words = [None if column is None else column[at // 64 : at // 64 + 1] for column in missing]
        ops.explain(handle, [column[rows] for column in codes], words, out[rows], backend=host)
    assert same((None, out), run("explain", sample, host))


def _forest(host: Backend) -> tuple[Any, list[Any], list[Any], Out]:
    arrays, codes, missing, out = SAMPLES["forest"]["several spans"]()
    return ops.prepare(arrays, backend=host), codes, missing, out


def _margins(host: Backend, prepared: tuple[Any, list[Any], list[Any], Out], threads: int) -> Results:
    handle, codes, missing, first = prepared
    out = first.start()
    ops.forest(handle, codes, missing, out, threads, backend=host)
    return None, out


def test_one_handle_serves_many_threads_at_once(host: Backend) -> None:
    prepared = _forest(host)
    together = threading.Barrier(8)

    def work(_: int) -> list[Results]:
        together.wait()
        return [_margins(host, prepared, threads) for threads in (1, 2, 3)]

    with ThreadPoolExecutor(8) as pool:
        found = [result for results in pool.map(work, range(8)) for result in results]
    wanted = expected("forest", "several spans")
    assert len(found) == 24
    assert all(same(result, wanted) for result in found)


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_child_scores_with_threads_of_its_own(host: Backend) -> None:
    prepared = _forest(host)
    wanted = expected("forest", "several spans")
    assert same(_margins(host, prepared, 4), wanted)  # threads have run, and the child will have none of them
    child = os.fork()
    if child == 0:
        code = 1
        try:
            code = 0 if same(_margins(host, prepared, 4), wanted) else 1
        finally:
            os._exit(code)
    assert _waited(child) == 0


def _waited(child: int) -> int | None:
    """The child's exit code; one that hangs is killed and has none."""
    killer = threading.Timer(60, os.kill, (child, 9))
    killer.start()
    _, status = os.waitpid(child, 0)
    killer.cancel()
    return os.waitstatus_to_exitcode(status)


def test_a_refused_row_is_the_same_for_any_number_of_threads(host: Backend) -> None:
    handle, codes, missing, rows = _forest(host)
    codes = [column.copy() for column in codes]
    codes[2][[9000, 16_500]] = 255  # its codes end at 40
    for threads in (1, 2):
        with pytest.raises(ops.KernelArgumentError, match="forest: codes column 2, row (9000|16500): code 255"):
            _margins(host, (handle, codes, missing, rows), threads)
