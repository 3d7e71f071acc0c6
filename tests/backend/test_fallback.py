"""Without the native module Numba serves, and says why; what is asked for by name is never replaced."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import mlcore
from mlcore import backend as backends
from mlcore.errors import BackendUnavailable, UsageError

xgboost = pytest.importorskip("xgboost", reason="the model is XGBoost's")

WITHOUT_NATIVE = """
import sys
sys.modules["mlcore._native"] = None
import numpy as np
import xgboost
import mlcore
booster = xgboost.Booster(model_file=sys.argv[1])
scorer = mlcore.compile(booster)
print(scorer.backend.name, scorer.backend.isa, scorer.backend.reason, sep="|")
np.savez(sys.argv[3], *(scorer.margin(np.load(sys.argv[2])), scorer.predict(np.load(sys.argv[2]))))
"""


@pytest.fixture
def booster() -> xgboost.Booster:
    rng = np.random.default_rng(1)
    x = rng.standard_normal((800, 5)).astype(np.float32)
    x[rng.random(x.shape) < 0.1] = np.nan
    y = (np.nan_to_num(x[:, 0]) * np.nan_to_num(x[:, 1]) > 0).astype(int)
    options = {"max_depth": 5, "objective": "binary:logistic", "seed": 1, "nthread": 1}
    return xgboost.train(options, xgboost.DMatrix(x, y), 30)


def _rows() -> np.ndarray:
    rng = np.random.default_rng(2)
    x = rng.standard_normal((1500, 5)).astype(np.float32)
    x[rng.random(x.shape) < 0.1] = np.nan
    return x


def _python(program: str, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if key != "MLCORE_BACKEND"}
    return subprocess.run(
        [sys.executable, "-c", program, *words],
        capture_output=True,
        text=True,
        timeout=300,
        env=environment,
        check=False,
    )


def test_without_the_native_module_numba_scores_the_same_bits(booster: xgboost.Booster, tmp_path: Path) -> None:
    booster.save_model(tmp_path / "model.ubj")
    np.save(tmp_path / "rows.npy", _rows())
    done = _python(WITHOUT_NATIVE, *(str(tmp_path / name) for name in ("model.ubj", "rows.npy", "found.npz")))
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == (
        "numba|llvm|this wheel has no native module; install one built for this platform, or build from source"
    )
    margin, probability = np.load(tmp_path / "found.npz").values()
    np.testing.assert_array_equal(margin, booster.inplace_predict(_rows(), predict_type="margin"))
    np.testing.assert_array_equal(probability, mlcore.compile(booster, backend="numba").predict(_rows()))


@pytest.mark.parametrize("name", ["cpu", "numba"])
def test_a_model_scores_xgboosts_margins_on_each_backend(name: str, booster: xgboost.Booster) -> None:
    if backends.missing(name):
        pytest.skip(backends.missing(name))
    scorer = mlcore.compile(booster, backend=name)
    assert scorer.backend.name == name
    np.testing.assert_array_equal(scorer.margin(_rows()), booster.inplace_predict(_rows(), predict_type="margin"))
    np.testing.assert_array_equal(scorer.leaf_ids(_rows()), booster.predict(xgboost.DMatrix(_rows()), pred_leaf=True))


def test_a_backend_asked_for_by_name_is_not_replaced() -> None:
    program = "import sys; sys.modules['mlcore._native'] = None; from mlcore.backend import select; select('cpu')"
    done = _python(program)
    assert done.returncode == 1
    assert "BackendUnavailable: backend 'cpu' cannot run here: this wheel has no native module" in done.stderr


def test_without_numba_either_the_command_that_adds_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mlcore.backend.importlib.util.find_spec", lambda name: None)
    with pytest.raises(BackendUnavailable, match=r"backend 'numba' cannot run here: .*pip install 'mlcore\[numba\]'"):
        backends.select("numba")


def test_an_unknown_backend_is_refused_by_name() -> None:
    with pytest.raises(UsageError, match="backend 'abacus' does not exist; choose auto, cpu, cuda, numba"):
        backends.select("abacus")


def test_the_environment_chooses_the_backend_of_auto(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLCORE_BACKEND", "numba")
    assert backends.select("auto").name == "numba"


def test_numba_is_imported_only_where_its_backend_is_used() -> None:
    program = "import sys, mlcore, mlcore.ops; from mlcore.backend import select; select('cpu'); print('numba' in sys.modules)"
    done = _python(program)
    assert done.stdout.strip() == "False", done.stderr


def test_kernels_are_compiled_where_no_cache_can_be_written() -> None:
    program = """
from numba.core import caching
def none(*_): raise RuntimeError("cannot cache function: no locator available")
caching.FunctionCache.__init__ = none
import numpy as np
from mlcore.backend import numba
out = np.empty(3)
numba.fill(np.array([1.0, np.nan, 2.0]), 7.0, out)
print(out.tolist())
"""
    done = _python(program)
    assert done.stdout.strip() == "[1.0, 7.0, 2.0]", done.stderr
