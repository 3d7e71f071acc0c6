"""Model files made to do harm: each gives one clear error, soon and in little memory, or the right answer."""

from __future__ import annotations

import contextlib
import json
import resource
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import catboost
import numpy as np
import pandas as pd
import pytest
import xgboost
from sklearn.linear_model import LinearRegression
from sklearn.neural_network import MLPRegressor

import mlcore
from mlcore import models
from mlcore.errors import MlcoreError, ModelFormatError, UnsupportedModel
from mlcore.testing.onnx import ensemble

RNG = np.random.default_rng(0)
X = RNG.normal(size=(300, 4)).astype(np.float32)
BOOSTER = xgboost.train({"max_depth": 3, "nthread": 1}, xgboost.DMatrix(X, X[:, 0] * X[:, 1]), 3)


@pytest.fixture(autouse=True)
def bounded() -> Iterator[None]:
    """What a test adds to this process's address space stays under 2 GB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    size = int(next(line for line in lines if line.startswith("VmSize")).split()[1]) * 1024
    old = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (size + 2**31, old[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, old)


def document() -> Any:
    return json.loads(BOOSTER.save_raw("json"))


def tree(doc: Any, index: int = 1) -> Any:
    return doc["learner"]["gradient_booster"]["model"]["trees"][index]


@pytest.mark.parametrize("open_", [b"[", b'{"learner":', b"{\x69\x01a", b"[" + b"$Z#i\x01"])
def test_nesting_without_end_is_refused(open_: bytes) -> None:
    for depth in (1_000, 300_000):
        with pytest.raises(ModelFormatError):
            models.read(open_ * depth)
        with pytest.raises(ModelFormatError):
            models.read(b'{"learner":' + open_ * depth)


@pytest.mark.parametrize("count", [10**6, 2**31 - 1, 2**40, -1])
@pytest.mark.parametrize("where", ["num_feature", "num_class", "num_target"])
def test_a_count_without_measure_sets_no_memory_aside(where: str, count: int) -> None:
    doc = document()
    doc["learner"]["learner_model_param"][where] = str(count)
    try:
        model = models.read(json.dumps(doc).encode())
    except (ModelFormatError, UnsupportedModel):
        return
    assert (where, count) == ("num_feature", 10**6) and model.n_features == count  # a sparse model may be as wide


@pytest.mark.parametrize("marker", [b"L", b"l", b"d", b"U"])
def test_an_array_longer_than_its_file_is_refused(marker: bytes) -> None:
    for count in (2**31, 2**62, 2**63 - 1):
        with pytest.raises(ModelFormatError):
            models.read(b"{L\x00\x00\x00\x00\x00\x00\x00\x07learner[$" + marker + b"#L" + count.to_bytes(8, "big"))


@pytest.mark.parametrize(("key", "value"), [
    ("left_children", [1, 1, 1]), ("left_children", [0]), ("right_children", [-2]), ("split_indices", [-1]),
    ("split_indices", [2**40]), ("split_conditions", [float("nan")]), ("split_conditions", ["a"]), ("split_conditions", [[1]]),
    ("default_left", [7]), ("default_left", [-1]), ("categories", [-5]), ("categories_nodes", [0]), ("tree_param", {}),
    ("tree_param", []), ("sum_hessian", [1]), ("left_children", None), ("left_children", {}), ("split_type", [1]),
])  # fmt: skip
def test_a_tree_with_a_part_replaced_is_refused_or_scored(key: str, value: Any) -> None:
    for pad in (False, True):
        doc = document()
        old = tree(doc)[key]
        whole = isinstance(value, list) and isinstance(old, list) and pad
        tree(doc)[key] = [*value, *old[len(value) :]] if whole else value
        try:
            scorer = mlcore.compile(json.dumps(doc).encode())
        except (ModelFormatError, UnsupportedModel):
            continue
        assert scorer.margin(X).shape == (300,)


def chain(nodes: int) -> bytes:
    """A tree that is one path."""
    doc = document()
    model = doc["learner"]["gradient_booster"]["model"]
    inner = nodes // 2
    at = np.arange(inner)
    zeros, floats = [0] * (2 * inner + 1), [0.0] * (2 * inner + 1)
    model["trees"] = [tree(doc)]
    left, right = np.full(2 * inner + 1, -1), np.full(2 * inner + 1, -1)
    left[0 : 2 * inner : 2], right[0 : 2 * inner : 2] = 2 * at + 1, 2 * at + 2
    model["trees"][0].update(
        left_children=left.tolist(), right_children=right.tolist(), parents=zeros, default_left=zeros, split_type=zeros,
        split_indices=zeros, sum_hessian=floats, base_weights=floats, loss_changes=floats,
        split_conditions=np.linspace(-1, 1, 2 * inner + 1).tolist(),
    )  # fmt: skip
    model["trees"][0]["id"] = 0
    model["trees"][0]["tree_param"]["num_nodes"] = str(2 * inner + 1)
    model["gbtree_model_param"]["num_trees"], model["tree_info"], model["iteration_indptr"] = "1", [0], [0, 1]
    return json.dumps(doc).encode()


@pytest.mark.parametrize("nodes", [257, 513, 20_001])
def test_a_tree_that_is_one_long_path_is_scored(nodes: int) -> None:
    data = chain(nodes)
    booster = xgboost.Booster(model_file=bytearray(data))
    booster.set_param({"nthread": 1})
    assert (
        mlcore.compile(data).margin(X[:64]).tobytes()
        == booster.inplace_predict(X[:64], predict_type="margin").tobytes()
    )


def test_a_million_nodes_are_read() -> None:
    model: Any = models.read(chain(1_000_001))
    assert model.n_nodes == 1_000_001


def broken(data: bytes, rng: np.random.Generator) -> bytes:
    """The bytes with some of them changed, dropped or repeated."""
    changed = bytearray(data)
    for _ in range(int(rng.integers(1, 4))):
        at, length = int(rng.integers(len(changed))), int(rng.integers(1, 9))
        change = rng.integers(3)
        if change == 0:
            changed[at : at + length] = rng.bytes(length)
        elif change == 1:
            del changed[at : at + length]
        else:
            changed[at:at] = changed[at : at + length]
    return bytes(changed)


@pytest.mark.parametrize("kind", ["json", "ubj"])
def test_bytes_changed_dropped_and_repeated_at_random_never_crash(kind: str) -> None:
    rng = np.random.default_rng(5)
    for _ in range(400):
        try:
            found = mlcore.compile(broken(bytes(BOOSTER.save_raw(kind)), rng)).margin(X[:3])
        except MlcoreError:
            continue
        assert len(found) == 3


def mutations(data: bytes, count: int) -> Iterator[bytes]:
    """Broken copies of the data."""
    rng = np.random.default_rng(5)
    for _ in range(count):
        yield broken(data, rng)


def onnx_trees(**changes: Any) -> Any:
    """Two trees of a regressor, with attributes replaced."""
    inner = ("BRANCH_LT", 1, 0.25, 1, {0: 1.0}, {0: 2.0})
    model = ensemble([("BRANCH_LEQ", 0, 0.5, 0, inner, {0: 3.0}), ("BRANCH_EQ", 0, 1.0, 0, {0: 4.0}, inner)], width=4)
    for name, change in changes.items():
        attribute = next(each for each in model.graph.node[0].attribute if each.name == name)
        for part in ("ints", "floats", "strings"):
            old = list(getattr(attribute, part))
            if old:
                del getattr(attribute, part)[:]
                getattr(attribute, part).extend(change(old))
    return model


ONNX_CHANGES: dict[str, tuple[str, Any]] = {
    "a child that is its own parent": ("nodes_truenodeids", lambda old: [0, *old[1:]]),
    "a cycle": ("nodes_truenodeids", lambda old: [old[0], 0, *old[2:]]),
    "two parents": ("nodes_falsenodeids", lambda old: [1, *old[1:]]),
    "a child outside": ("nodes_truenodeids", lambda old: [99, *old[1:]]),
    "a negative child": ("nodes_falsenodeids", lambda old: [-1, *old[1:]]),
    "a child far outside": ("nodes_falsenodeids", lambda old: [2**62, *old[1:]]),
    "two nodes of one id": ("nodes_nodeids", lambda old: [0, 0, *old[2:]]),
    "a negative id": ("nodes_nodeids", lambda old: [-5, *old[1:]]),
    "a large id": ("nodes_treeids", lambda old: [2**40] * len(old)),
    "a short list": ("nodes_featureids", lambda old: old[:-1]),
    "a long list": ("nodes_values", lambda old: [*old, 1.0]),
    "short modes": ("nodes_modes", lambda old: old[:-1]),
    "no modes": ("nodes_modes", lambda old: []),
    "short tracks": ("nodes_missing_value_tracks_true", lambda old: old[:2]),
    "a feature outside": ("nodes_featureids", lambda old: [4, *old[1:]]),
    "a negative feature": ("nodes_featureids", lambda old: [-1, *old[1:]]),
    "a target outside": ("target_ids", lambda old: [1, *old[1:]]),
    "a negative target": ("target_ids", lambda old: [-1, *old[1:]]),
    "a weight of no node": ("target_nodeids", lambda old: [77, *old[1:]]),
    "a weight of no tree": ("target_treeids", lambda old: [7, *old[1:]]),
    "a weight short": ("target_weights", lambda old: old[:-1]),
}


@pytest.mark.parametrize("name", ONNX_CHANGES)
def test_an_onnx_tree_with_a_part_replaced_is_refused(name: str) -> None:
    attribute, change = ONNX_CHANGES[name]
    with pytest.raises(ModelFormatError):
        mlcore.compile(onnx_trees(**{attribute: change}))


@pytest.mark.parametrize("count", [0, 2**31 - 1, 2**40, 2**62, -1])
def test_an_onnx_count_without_measure_sets_no_memory_aside(count: int) -> None:
    model = onnx_trees()
    next(each for each in model.graph.node[0].attribute if each.name == "n_targets").i = count
    with pytest.raises(ModelFormatError, match="targets"):
        mlcore.compile(model)
    model = onnx_trees()
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = count
    with pytest.raises((ModelFormatError, UnsupportedModel), match="columns"):
        mlcore.compile(model)


@pytest.mark.parametrize("dims", [[2**40, 2**40], [2**62], [-1], [10**6, 4]])
def test_an_onnx_tensor_larger_than_its_bytes_is_refused(dims: list[int]) -> None:
    model = onnx_trees()
    tensor = model.graph.initializer.add(name="w", data_type=1, raw_data=b"1234")
    tensor.dims.extend(dims)
    with pytest.raises(ModelFormatError, match="'w'"):
        mlcore.compile(model)


def test_onnx_nodes_out_of_order_are_refused() -> None:
    model = onnx_trees()
    node = model.graph.node[0]
    node.input[0] = node.output[0]
    with pytest.raises(ModelFormatError, match="made by nothing before it"):
        mlcore.compile(model)


def test_onnx_bytes_cut_short_and_changed_at_random_never_crash() -> None:
    data = onnx_trees().SerializeToString()
    damaged = [data[:end] for end in range(0, len(data), 11)] + list(mutations(data, 1500))
    for each in damaged:
        try:
            found = mlcore.compile(each).margin(X[:3])
        except MlcoreError:
            continue
        assert len(found) == 3


CATEGORIES = RNG.choice([f"key {i}" for i in range(30)], (300, 2))
FRAME = pd.DataFrame({"a": X[:, 0], "b": X[:, 1], "c": CATEGORIES[:, 0], "d": CATEGORIES[:, 1]})


@pytest.fixture(scope="module", params=["SymmetricTree", "Lossguide"])
def catboosts(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """A CatBoost model with CTRs and combinations, as JSON and .cbm."""
    folder = tmp_path_factory.mktemp("catboost")
    model = catboost.CatBoostRegressor(
        iterations=3, depth=3, verbose=0, thread_count=1, allow_writing_files=False, grow_policy=request.param
    )
    model.fit(FRAME, X[:, 0] * X[:, 1] + (CATEGORIES[:, 0] > CATEGORIES[:, 1]), cat_features=["c", "d"])
    for form in ("json", "cbm"):
        model.save_model(str(folder / form), format=form)
    doc = json.loads((folder / "json").read_bytes())
    doc["model_info"] = {"params": {"loss_function": {"type": "RMSE"}}}  # the rest of it is not read
    return {"json": json.dumps(doc).encode(), "cbm": (folder / "cbm").read_bytes()}


def test_catboosts_json_cut_short_is_refused(catboosts: dict[str, bytes]) -> None:
    data = catboosts["json"]
    for size in range(18, len(data) - 1, len(data) // 60):
        with pytest.raises(ModelFormatError):
            models.read(data[:size])


def test_catboosts_json_changed_at_random_never_crashes(catboosts: dict[str, bytes]) -> None:
    rng = np.random.default_rng(7)
    for _ in range(300):
        try:
            found = mlcore.compile(broken(catboosts["json"], rng)).margin(FRAME[:3])
        except MlcoreError:
            continue
        assert len(found) == 3


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to each part of a document; of long lists to the first parts."""
    if path:
        yield path
    parts = value.items() if isinstance(value, dict) else enumerate(value[:3]) if isinstance(value, list) else ()
    for key, part in parts:
        yield from places(part, (*path, key))


JUNK = [None, True, -1, 2**31, 2**70, 1.5, 1e308, float("nan"), "", "a" * 50, [], {}, [[]], [None], {"a": []}]


def test_any_part_of_catboosts_json_replaced_is_refused_or_scored(catboosts: dict[str, bytes]) -> None:
    every = list(places(json.loads(catboosts["json"])))
    rng = np.random.default_rng(3)
    for junk in JUNK:
        for at in rng.permutation(len(every))[:40]:
            doc = json.loads(catboosts["json"])
            *way, last = every[at]
            part = doc
            for key in way:
                part = part[key]
            part[last] = junk
            try:
                found = mlcore.compile(json.dumps(doc).encode()).margin(FRAME[:3])
            except MlcoreError:
                continue
            assert len(found) == 3


@pytest.mark.parametrize("open_", [b'{"trees":', b'{"left":', b"["])
def test_catboosts_json_nested_without_end_is_refused(open_: bytes) -> None:
    for depth in (1_000, 300_000):
        with pytest.raises(ModelFormatError):
            models.read(b'{"trees":' + open_ * depth)


def test_counts_without_measure_in_catboosts_json_set_no_memory_aside(catboosts: dict[str, bytes]) -> None:
    for key in ("flat_feature_index", "feature_index"):
        doc = json.loads(catboosts["json"])
        doc["features_info"]["float_features"][0][key] = 2**31 - 1
        with pytest.raises((ModelFormatError, UnsupportedModel)):
            models.read(json.dumps(doc).encode())
    doc = json.loads(catboosts["json"])
    doc["scale_and_bias"] = [1, [0] * (1 << 20)]
    with pytest.raises(ModelFormatError, match="scale and bias"):
        models.read(json.dumps(doc).encode())


def test_ctrs_without_measure_are_refused_soon(catboosts: dict[str, bytes]) -> None:
    doc = json.loads(catboosts["json"])
    ctr = doc["features_info"]["ctrs"][0]
    table = doc["ctr_data"][ctr["identifier"]]
    counts = table["hash_map"][1 : table["hash_stride"]]
    table["hash_map"] = [item for key in range(40_000) for item in (str(key), *counts)]
    ctr["borders"] = list(range(40_000))
    with pytest.raises(UnsupportedModel, match="times about a category are not imported"):
        models.read(json.dumps(doc).encode())
    ctr["borders"] = []
    doc["features_info"]["ctrs"] = [ctr] * 4_000
    with pytest.raises(UnsupportedModel, match="CTRs that hold 160000000 values of categories"):
        models.read(json.dumps(doc).encode())
    doc["features_info"]["ctrs"] = [ctr]
    table["hash_stride"], table["hash_map"] = 2**31 - 1, []
    with pytest.raises(ModelFormatError, match="'hash_stride' is 2147483647"):
        models.read(json.dumps(doc).encode())


def test_a_damaged_cbm_file_is_refused_and_ends_no_process_but_its_readers(catboosts: dict[str, bytes]) -> None:
    data = catboosts["cbm"]
    rng = np.random.default_rng(11)
    cut = [data[:4], data[:-1]]
    crashes = [data[:at] + b"\xff" * 8 + data[at + 8 :] for at in range(len(data) // 2, len(data), len(data) // 4)]
    for each in [*cut, *crashes, broken(data, rng)]:
        try:
            found = mlcore.compile(b"CBM1" + each[4:]).margin(FRAME[:3])
        except (ModelFormatError, UnsupportedModel):
            continue
        assert each not in cut and len(found) == 3


FORMS = {
    "trees": lambda: models.read(BOOSTER),
    "linear": lambda: models.read(LinearRegression().fit(np.nan_to_num(X), X[:, 0] > 0)),
    "network": lambda: models.read(
        MLPRegressor(hidden_layer_sizes=(2,), max_iter=1).fit(np.nan_to_num(X), X[:, 0] > 0)
    ),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_any_scalar_of_a_neutral_form_replaced_is_refused_or_read(form: str) -> None:
    table = FORMS[form]().to_arrow()
    ((key, text),) = table.schema.metadata.items()
    scalars = json.loads(text)
    for name in scalars:
        for junk in JUNK:
            broken = json.dumps(scalars | {name: junk}).encode()
            with contextlib.suppress(ModelFormatError):
                models.from_arrow(table.replace_schema_metadata({key: broken}))
    with pytest.raises(ModelFormatError, match="table: not a whole"):
        models.from_arrow(table.replace_schema_metadata({key: text[:-1]}))
