"""The Numba backend: every op's twin, for machines that no native module was built for. Results are the same bits.

One file per stem, as in csrc/cpu; arguments are those of the native module, in the same order.
"""

from mlcore.backend.numba.columns import bin, encode
from mlcore.backend.numba.elementwise import affine, clip, fill, lookup, sigmoid
from mlcore.backend.numba.explain import Explainer, explain
from mlcore.backend.numba.forest import Forest
from mlcore.backend.numba.score import forest, leaves, score
from mlcore.backend.numba.tally import tally

__all__ = [
    "Explainer",
    "Forest",
    "affine",
    "bin",
    "clip",
    "encode",
    "explain",
    "fill",
    "forest",
    "isa",
    "leaves",
    "lookup",
    "score",
    "sigmoid",
    "tally",
]


def isa() -> str:
    """Return what compiles the kernels: LLVM, for the processor it runs on."""
    return "llvm"
