"""Imports go down the layers only; the check reads every module's syntax tree, imports inside functions too."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import mlcore

PACKAGE = Path(mlcore.__file__).parent
# Highest first; rooms of one layer do not know each other.
LAYERS = (
    ("testing", "cli"),
    ("project",),
    ("lifecycle",),
    ("distributed",),
    ("serving",),
    ("drift",),
    ("training",),
    ("scoring",),
    ("bundle",),
    ("records",),
    ("profile",),
    ("preprocessing", "models"),
    ("data",),
    ("ops",),
    ("backend",),
    ("errors",),
)
LEVEL = {room: level for level, rooms in enumerate(LAYERS) for room in rooms}


def imported(tree: ast.AST) -> set[str]:
    """Return the rooms that a module imports from."""
    rooms = set()
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            names = [ast.literal_eval(arg) for arg in node.args if isinstance(arg, ast.Constant)]
        rooms |= {name.split(".")[1] for name in names if name.startswith("mlcore.")}
    return rooms & LEVEL.keys()


def broken_rules(package: Path) -> list[str]:
    """Return each import that goes up or sideways."""
    found = []
    for path in sorted(package.rglob("*.py")):
        room = path.relative_to(package).parts[0].removesuffix(".py")
        if room == "__init__":
            continue  # the package's root names the public surface, lazily
        assert room in LEVEL, f"{path} stands in no layer"
        for other in imported(ast.parse(path.read_text())) - {room}:
            if LEVEL[other] <= LEVEL[room]:
                found.append(f"{path.relative_to(package)} imports {other}")
    return found


def test_imports_go_down_only() -> None:
    assert broken_rules(PACKAGE) == []


@pytest.mark.parametrize(
    ("room", "line"),
    [
        ("data", "from mlcore.scoring import compile"),
        ("models", "import mlcore.preprocessing"),
        ("profile", "def late():\n    from mlcore import drift"),
        ("errors", "importlib.import_module('mlcore.backend')"),
    ],
)
def test_the_rule_finds_an_import_that_goes_up_or_sideways(room: str, line: str, tmp_path: Path) -> None:
    (tmp_path / room).mkdir()
    (tmp_path / room / "new.py").write_text(line)
    assert len(broken_rules(tmp_path)) == 1


def test_only_distributed_imports_ray() -> None:
    importers = {
        path.relative_to(PACKAGE).parts[0]
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in ([node.module or ""] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names])
        if name.split(".")[0] == "ray"
    }
    assert importers <= {"distributed"}


HEAVY = ("ray", "numba", "cupy", "mlflow", "onnx", "sqlalchemy", "pandas", "sklearn", "scipy", "xgboost", "rich")


@pytest.mark.parametrize("module", ["mlcore", "mlcore.cli", "mlcore.cli.parser", "mlcore.backend", "mlcore.scoring"])
def test_importing_brings_nothing_heavy(module: str) -> None:
    code = f"import sys, {module}; print([name for name in {HEAVY} if name in sys.modules])"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "[]"
