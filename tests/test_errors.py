"""One exception tree: each type is raised somewhere, is matched by a test, and has the exit code users are told."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import mlcore
from mlcore import errors
from mlcore.cli.failure import explain

TYPES = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if kind.__module__ == "mlcore.errors"]
RAISED = [kind for kind in TYPES if kind is not errors.MlcoreError]
PACKAGE = Path(mlcore.__file__).parent
TESTS = Path(__file__).parent


@pytest.mark.parametrize("kind", RAISED, ids=lambda kind: kind.__name__)
def test_each_type_is_raised_and_tested(kind: type[Exception]) -> None:
    sources = "".join(path.read_text() for path in PACKAGE.rglob("*.py") if path.name != "errors.py")
    own = inspect.getsource(errors)
    assert re.search(rf"\b{kind.__name__}\(", sources) or f"raise {kind.__name__}(" in own
    tests = "".join(path.read_text() for path in TESTS.rglob("test_*.py") if path.name != "test_errors.py")
    assert kind.__name__ in tests or kind is errors.MissingExtra


@pytest.mark.parametrize("kind", TYPES, ids=lambda kind: kind.__name__)
def test_each_type_is_in_the_tree_and_documented(kind: type[errors.MlcoreError]) -> None:
    assert issubclass(kind, errors.MlcoreError)
    assert kind.__doc__
    assert kind.exit_code in (1, 2, 3)


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (errors.ValidationFailed("column 'a': 3 rows"), 1, "column 'a': 3 rows"),
        (errors.GateFailed("auc is 0.5"), 1, "auc is 0.5"),
        (errors.AuditError("entry 3 was changed"), 1, "entry 3 was changed"),
        (errors.ConfigError("[train]: 'round' is not known"), 2, "[train]: 'round' is not known"),
        (errors.Conflict("version 3 was promoted meanwhile"), 3, "version 3 was promoted meanwhile"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (MemoryError(), 2, "out of memory"),
        (OSError(28, "No space left on device", "/tmp/x"), 2, "/tmp/x: No space left on device"),
        (ZeroDivisionError("division by zero"), 70, "bug of mlcore's"),
    ],
)
def test_an_error_ends_a_command_with_its_code_and_one_line(
    error: BaseException, code: int, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert explain(error, as_json=False) == code
    shown = capsys.readouterr()
    assert text in shown.err
    assert shown.err.count("\n") == 1
    assert shown.out == ""


def test_a_missing_package_is_named_with_the_command_that_adds_it() -> None:
    code = "import sys; sys.modules['sklearn'] = None; from mlcore.preprocessing import StandardScaler"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert "'sklearn' is needed and not installed; add it with: pip install 'mlcore[sklearn]'" in ended.stderr
