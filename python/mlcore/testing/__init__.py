"""What shows that a backend is right: seeded samples of every op, independent oracles, and a way to run them.

`SAMPLES[op]` holds named makers of argument tuples, `ORACLES[op]` computes what they must give, `run` calls the op on a
backend, and `same` compares. A new op is in the tests as soon as it is in `mlcore.ops.NAMES`.
"""

from mlcore.testing.harness import Call, Place, agree, call, digests, expected, place_of, run, same
from mlcore.testing.oracles import ORACLES
from mlcore.testing.samples import SAMPLES

__all__ = ["ORACLES", "SAMPLES", "Call", "Place", "agree", "call", "digests", "expected", "place_of", "run", "same"]
