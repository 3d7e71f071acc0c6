"""Import of LightGBM's text: what is damaged, malformed or not known is refused, and says where."""

from __future__ import annotations

import contextlib
import re
import tracemalloc
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pandas as pd
import pytest

import mlcore
from mlcore import models
from mlcore.errors import MlcoreError, ModelFormatError, UnsupportedModel
from mlcore.models import TreeEnsemble

RNG = np.random.default_rng(5)
ROWS = 600
FRAME = pd.DataFrame(RNG.normal(size=(ROWS, 3)), columns=["a", "b", "c"]).assign(
    d=RNG.integers(0, 70, ROWS), text=pd.Categorical(RNG.choice(["x", "y", "z"], ROWS))
)
X = FRAME.assign(text=FRAME["text"].cat.codes).to_numpy(float)


def text(**params: Any) -> str:
    y = FRAME["a"] + (FRAME["d"] % 3 == 0) + (FRAME["text"] == "y")
    settings = {"num_threads": 1, "verbose": -1, "num_leaves": 8, "min_data_in_leaf": 5, "cat_smooth": 1}
    data = lightgbm.Dataset(FRAME, y, categorical_feature=["d", "text"])
    return lightgbm.train(settings | params, data, 3).model_to_string()


TEXT = text()
LINEAR = text(linear_tree=True)


def changed(pattern: str, new: str, source: str = TEXT) -> str:
    """The text with the first match replaced, and no sizes of trees that would no longer be right."""
    found = re.sub(pattern, new, re.sub(r"tree_sizes=.*\n", "", source), count=1)
    assert found != re.sub(r"tree_sizes=.*\n", "", source)
    return found


def same(a: TreeEnsemble, b: TreeEnsemble) -> bool:
    return a.to_arrow().equals(b.to_arrow(), check_metadata=True)


def test_text_bytes_file_and_booster_give_the_same_ensemble(tmp_path: Path) -> None:
    (tmp_path / "m.txt").write_text(TEXT)
    model = models.read(TEXT)
    booster = lightgbm.Booster(model_str=TEXT)
    for source in (TEXT.encode(), bytearray(TEXT.encode()), tmp_path / "m.txt", str(tmp_path / "m.txt"), booster):
        assert same(models.read(source), model)
    assert model.n_trees == 3 and model.feature_names == ("a", "b", "c", "d", "text")


def test_sizes_of_trees_may_be_left_out() -> None:
    assert same(models.read(re.sub(r"tree_sizes=.*\n", "", TEXT)), models.read(TEXT))


@pytest.mark.parametrize("source", [TEXT, LINEAR], ids=["plain", "linear"])
def test_a_text_cut_short_anywhere_is_refused(source: str) -> None:
    end = source.index("end of parameters") + len("end of parameters")
    start = source.index("pandas_categorical:")
    data = source.encode()
    for cut in [*range(0, end, max(1, end // 311)), end - 1, *range(start + 1, len(source.rstrip()))]:
        with pytest.raises(ModelFormatError):
            models.read(data[:cut])


def test_a_cut_says_the_file_and_the_line(tmp_path: Path) -> None:
    (tmp_path / "m.txt").write_text(TEXT[: TEXT.index("leaf_value")])
    with pytest.raises(ModelFormatError, match=r"m\.txt: the text ends in line \d+, in the middle of the model"):
        models.read(tmp_path / "m.txt")


@pytest.mark.parametrize(
    "source", [TEXT, LINEAR, text(objective="binary", boosting="dart")], ids=["plain", "linear", "dart"]
)
def test_random_changes_never_crash(source: str) -> None:
    """What is still a model is scored; the rest is refused in mlcore's own words."""
    end = source.index("feature_importances")
    rng = np.random.default_rng(3)
    data = re.sub(r"tree_sizes=.*\n", "", source).encode() if source is LINEAR else source.encode()
    kept = 0
    for turn in range(600):
        broken = bytearray(data)
        for _ in range(1 + turn % 3):
            place, kind = rng.integers(end), rng.integers(4)
            if kind == 0:
                broken[place] = rng.integers(256)
            elif kind == 1:
                broken[place] = rng.choice(list(b"0123456789-. =\n"))
            elif kind == 2:
                del broken[place]
            else:
                broken[place:place] = broken[place : place + rng.integers(40)]
        try:
            model = models.read(bytes(broken))
            mlcore.compile(model).margin(X[:64])
        except MlcoreError:
            continue
        kept += 1
        assert model.n_nodes == len(model.feature)
    assert kept > 20


MALFORMED = {
    "a cycle": (r"left_child=-?\d+", "left_child=0", r"tree 0: 'left_child' leads from a split to an earlier one"),
    "two parents": (r"left_child=-?\d+ -?\d+", "left_child=2 2", r"tree 0, node 2: has two parents"),
    "a child too far": (r"right_child=-?\d+", "right_child=99", r"tree 0: 'right_child' names a node"),
    "a leaf too far": (r"right_child=-?\d+", "right_child=-99", r"tree 0: 'right_child' names a node"),
    "a feature too far": (r"split_feature=\d+", "split_feature=5", r"tree 0: a split asks for a feature"),
    "a negative feature": (r"split_feature=\d+", "split_feature=-1", r"tree 0: a split asks for a feature"),
    "many leaves": (r"num_leaves=\d+", "num_leaves=2000000000", r"tree 0: 'leaf_value' has 8 entries, expected 2000"),
    "no leaves": (r"num_leaves=\d+", "num_leaves=0", r"tree 0: 'leaf_value' has 8 entries, expected 0"),
    "negative leaves": (r"num_leaves=\d+", "num_leaves=-3", r"tree 0: 'leaf_value' has 8 entries, expected -3"),
    "beyond 64 bits": (r"num_leaves=\d+", "num_leaves=99999999999999999999", r"tree 0: 'num_leaves' holds what is no"),
    "no number": (r"leaf_value=\S+", "leaf_value=x", r"tree 0: 'leaf_value' holds what is no number"),
    "an underscore": (r"leaf_value=\S+", "leaf_value=1_0", r"tree 0: 'leaf_value' holds '_'"),
    "a NaN threshold": (r"\nthreshold=\S+", "\nthreshold=nan", r"tree 0: a threshold is NaN"),
    "a missing field": (r"\nthreshold=.*", "", r"tree 0: 'threshold' is missing"),
    "a missing header": (r"max_feature_idx=.*\n", "", r"header: 'max_feature_idx' is missing"),
    "many features": (r"max_feature_idx=\d+", "max_feature_idx=999999999999", r"5 feature names for 1000000000000"),
    "many outputs": (r"num_tree_per_iteration=1", "num_tree_per_iteration=2", r"3 trees do not divide into"),
    "no outputs": (r"num_tree_per_iteration=1", "num_tree_per_iteration=0", r"3 trees do not divide into"),
    "a tree that is not there": (r"Tree=1", "Tree=7", r"line \d+: expected 'Tree=1' or 'end of trees'"),
    "a field twice": (r"(shrinkage=\S+)", r"\1\n\1", r"tree 0, line \d+: 'shrinkage' stands twice"),
    "a set too far": (r"cat_boundaries=0", "cat_boundaries=9", r"tree \d: 'cat_boundaries' are malformed"),
    "many sets": (r"num_cat=[1-9]\d*", "num_cat=999999999", r"tree \d: 'cat_boundaries' has \d+ entries, expected 10"),
    "no sets": (r"num_cat=[1-9]\d*", "num_cat=0", r"tree \d: a split asks for a set of categories, and there is none"),
    "a wide word": (r"cat_threshold=\d+", "cat_threshold=4294967296", r"tree \d: sets of categories are malformed"),
    "same names": (r"feature_names=a b", "feature_names=a a", r"feature names are not unique"),
    "names and features": (r"feature_names=a b", "feature_names=ab", r"4 feature names for 5 features"),
    "categories": (r"pandas_categorical:.*", 'pandas_categorical:{"a": 1}', r"line \d+: pandas_categorical is not a"),
    "a category twice": (r"\[\"x\", \"y\"", '["x", "x"', r"column 0 of categories: one stands twice"),
    "after the end": (r"pandas_categorical:.*", "more", r"line \d+: expected 'pandas_categorical:', found 'more'"),
}  # fmt: skip


@pytest.mark.parametrize("kind", MALFORMED)
def test_malformed_text_is_refused_and_says_where(kind: str) -> None:
    pattern, new, message = MALFORMED[kind]
    with pytest.raises(ModelFormatError, match=message):
        models.read(changed(pattern, new))


LINEAR_MALFORMED = {
    "a count": (r"num_features=\d+", "num_features=99", r"tree \d: 'leaf_features' has \d+ entries, expected"),
    "a negative count": (r"num_features=\d+", "num_features=-1", r"tree \d: 'num_features' are malformed"),
    "a feature": (r"leaf_features= *\d+", "leaf_features=77", r"tree \d: a leaf asks for a feature that the model"),
    "a constant": (r"leaf_const=\S+", "leaf_const=", r"tree 0: 'leaf_const' has 7 entries, expected 8"),
    "a coefficient": (r"leaf_coeff= *\S+", "leaf_coeff=", r"tree \d: 'leaf_coeff' has \d+ entries, expected"),
}  # fmt: skip


@pytest.mark.parametrize("kind", LINEAR_MALFORMED)
def test_malformed_linear_leaves_are_refused(kind: str) -> None:
    pattern, new, message = LINEAR_MALFORMED[kind]
    with pytest.raises(ModelFormatError, match=message):
        models.read(changed(pattern, new, LINEAR))


UNKNOWN = {
    "version": (r"version=v4", "version=v5", "format version 'v5' is not imported"),
    "objective": (r"objective=regression", "objective=ordinal", "objective 'ordinal' is not imported; these are: bin"),
    "option": (r"objective=regression", "objective=regression cbrt", "objective 'regression' with 'cbrt'"),
    "classes": (r"objective=regression", "objective=multiclass num_class:3", "with 'num_class:3' is not .* 1 outputs"),
    "header": (r"label_index=0", "label_index=0\nlabel_map=1", r"header, line 6: 'label_map' is not a field that this"),
    "tree": (r"shrinkage=1", "shrinkage=1\nleaf_bias=0", r"tree 0, line \d+: 'leaf_bias' is not a field that this"),
    "decision": (r"decision_type=\d+", "decision_type=16", "tree 0: decision type 16 is not known"),
    "missing": (r"decision_type=\d+", "decision_type=12", "tree 0: decision type 12 is not known"),
}  # fmt: skip


@pytest.mark.parametrize("kind", UNKNOWN)
def test_what_is_not_known_is_refused_by_name(kind: str) -> None:
    pattern, new, message = UNKNOWN[kind]
    with pytest.raises(UnsupportedModel, match=message):
        models.read(changed(pattern, new))


def test_a_tree_of_another_size_than_announced_is_refused() -> None:
    with pytest.raises(ModelFormatError, match=r"tree 1: \d+ bytes, \d+ announced by 'tree_sizes'"):
        models.read(TEXT.replace("Tree=1\nnum_leaves=8", "Tree=1\nnum_leaves= 8", 1))
    with pytest.raises(ModelFormatError, match="3 trees, 2 announced"):
        models.read(re.sub(r"tree_sizes=(\d+ \d+) \d+", r"tree_sizes=\1", TEXT))


def test_what_numbers_announce_takes_no_memory() -> None:
    tracemalloc.start()
    for pattern, new in (
        (r"num_leaves=\d+", "num_leaves=2000000000"),
        (r"num_cat=\d+", "num_cat=2000000000"),
        (r"max_feature_idx=\d+", "max_feature_idx=2000000000"),
        (r"num_tree_per_iteration=\d+", "num_tree_per_iteration=2000000000"),
        (r"num_class=\d+", "num_class=2000000000"),
    ):
        with contextlib.suppress(ModelFormatError):
            models.read(changed(pattern, new))
    empty = re.sub(
        r"Tree=0[\s\S]*end of trees",
        "end of trees",
        changed("num_tree_per_iteration=1", "num_tree_per_iteration=99999999"),
    )
    with pytest.raises(ModelFormatError, match="0 trees do not divide"):
        models.read(empty)
    assert tracemalloc.get_traced_memory()[1] < 1 << 24
    tracemalloc.stop()


def test_bytes_that_are_no_text_are_refused() -> None:
    with pytest.raises(ModelFormatError, match="not a whole LightGBM model"):
        models.read(b"tree\n\xff\xfe")


def test_linear_leaves_that_do_not_fit_their_trees_are_refused() -> None:
    table = models.read(LINEAR).to_arrow()
    place = table.schema.get_field_index("leaf_coefficients")
    broken = table.set_column(place, "leaf_coefficients", table.column(place).take(np.arange(len(table))[::-1]))
    with pytest.raises(ModelFormatError, match="features and coefficients differ in number"):
        models.from_arrow(broken)
    place = table.schema.get_field_index("leaf_constant")
    with pytest.raises(ModelFormatError, match='tree table: .*"leaf_constant" does not exist'):
        models.from_arrow(table.remove_column(place))
