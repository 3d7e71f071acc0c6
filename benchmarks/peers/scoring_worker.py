"""A peer in a process of its own: reads a model, answers its rows once, then takes a turn for each line that it reads.

A first line of JSON says the versions, or why the peer cannot; then one number a turn, its seconds.
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from turn import FEW, blocks, turn


def answers(found: Any) -> Any:
    """Return the probability of the second class, whatever the shape it came in."""
    values = np.asarray(found, dtype=np.float64)
    return values[..., 1].reshape(-1) if values.shape[-1] == 2 and values.ndim > 1 else values.reshape(-1)


def main() -> None:
    """Prepare, answer, then take turns until there are no more lines."""
    said = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what libraries print is no answer
    share = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2  # the other half is the benchmark's own
    resource.setrlimit(resource.RLIMIT_AS, (share, share))  # a peer that needs more says so, and ends nobody else
    peer, job = sys.argv[1], json.loads(sys.argv[2])
    X, kept = np.load(job["rows"]), Path(job["kept"])
    try:
        ready, call = importlib.import_module(f"scoring.{peer}").load(
            job["library"], Path(job["model"]), X.shape[1], kept
        )
        given = blocks(X, job["batch"])
        np.save(job["answers"], np.concatenate([answers(call(ready(block))) for block in given]))
    except Exception as error:  # noqa: BLE001 - whatever a peer refuses with is what the table says
        said.write(json.dumps({"refused": f"{type(error).__name__}: {error}"}) + "\n")
        return
    said.write(json.dumps({"version": version(job["package"])}) + "\n")
    once = job["batch"] >= FEW  # then what holds the rows is made before the clock starts, as on the other sides
    given = [ready(block) for block in given] if once else given
    for _ in sys.stdin:
        said.write(f"{turn(call if once else lambda block: call(ready(block)), given)}\n")


if __name__ == "__main__":
    main()
