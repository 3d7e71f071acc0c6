"""CatBoost's categorical features against the library itself: one-hot splits, CTRs, and the hash of a category's text."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import catboost
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.compose import make_column_transformer
from sklearn.pipeline import Pipeline

import mlcore
from mlcore import models
from mlcore.bundle import Bundle
from mlcore.data.schema import Field, Schema
from mlcore.errors import DataError, ModelFormatError, SchemaMismatch, UnsupportedModel
from mlcore.models.cityhash import cityhash64
from mlcore.models.combinations import Combination, Member
from mlcore.preprocessing.features import Feature, Transforms

RNG = np.random.default_rng(29)
ROWS = 800
C, R = catboost.CatBoostClassifier, catboost.CatBoostRegressor
FRAME = pd.DataFrame(
    {
        "text": RNG.choice(["a", "bb", "", "Köln", "x" * 40, "y" * 200], ROWS),
        "real": RNG.normal(size=ROWS),
        "whole": RNG.integers(-3, 300, ROWS),
        "key": RNG.choice([f"key {i}" for i in range(40)], ROWS),
    }
)
UNSEEN = FRAME.assign(
    text=RNG.choice(["a", "new", "", "köln", "z" * 70], ROWS),
    whole=RNG.integers(-50, 900, ROWS),
    key=RNG.choice([f"key {i}" for i in range(80)], ROWS),
)
NUMBER = FRAME["key"].str[4:].astype(int)
SCORE = FRAME["real"] + (FRAME["text"] == "bb") + (FRAME["whole"] % 4 == 2) * 2 + NUMBER % 3
CLASSES = np.digitize(SCORE, [0, 1, 2])
TOGETHER = SCORE + ((FRAME["text"] == "bb") & (NUMBER % 2 == 0)) * 2 + (FRAME["real"] > 0) * (NUMBER % 3)
CATEGORICAL = ["text", "whole", "key"]


def fitted(kind: Any, y: Any, *, rows: Any = FRAME, categorical: Any = CATEGORICAL, **settings: Any) -> Any:
    quiet = {"iterations": 25, "verbose": 0, "thread_count": 1, "allow_writing_files": False, "max_ctr_complexity": 1}
    return kind(**quiet | settings).fit(rows, y, cat_features=categorical)


def same(scorer: mlcore.Scorer, model: Any, rows: Any) -> None:
    margin = model.predict(rows, prediction_type="RawFormulaVal")
    assert scorer.margin(rows).tobytes() == margin.tobytes()
    assert np.array_equal(scorer.leaf_ids(rows), model.calc_leaf_indexes(rows))
    assert np.array_equal(scorer.predict(rows), model.predict(rows))


KINDS: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "one-hot": (R, SCORE, {"one_hot_max_size": 500}),
    "one-hot and CTRs": (R, SCORE, {"one_hot_max_size": 10}),
    "binary": (C, SCORE > 1, {}),
    "classes": (C, CLASSES, {}),
    "Borders": (R, SCORE, {"simple_ctr": ["Borders"]}),
    "Borders of many": (R, SCORE, {"simple_ctr": ["Borders:TargetBorderCount=4:Prior=0.3/1"]}),
    "Buckets": (R, SCORE, {"simple_ctr": ["Buckets"]}),
    "Buckets of many": (R, SCORE, {"simple_ctr": ["Buckets:TargetBorderCount=4:Prior=0.3/1"]}),
    "means": (R, SCORE, {"simple_ctr": ["BinarizedTargetMeanValue"]}),
    "means of many": (R, SCORE, {"simple_ctr": ["BinarizedTargetMeanValue:TargetBorderCount=4"]}),
    "counters": (R, SCORE, {"simple_ctr": ["Counter"], "counter_calc_method": "Full"}),
    "all, of classes": (C, CLASSES, {"simple_ctr": ["Buckets", "Borders", "BinarizedTargetMeanValue", "Counter"]}),
    "combinations": (R, TOGETHER, {"max_ctr_complexity": 4}),
    "combinations of many": (R, TOGETHER, {"max_ctr_complexity": 6, "iterations": 80, "one_hot_max_size": 10}),
    "combinations, of classes": (C, CLASSES, {"max_ctr_complexity": 3, "combinations_ctr": ["Buckets", "Counter"]}),
    "Lossguide": (R, SCORE, {"grow_policy": "Lossguide"}),
    "Depthwise": (C, CLASSES, {"grow_policy": "Depthwise", "one_hot_max_size": 10}),
}


@pytest.mark.parametrize("kind", KINDS)
def test_categories_seen_and_unseen(kind: str) -> None:
    make, y, settings = KINDS[kind]
    model = fitted(make, y, **settings)
    scorer = mlcore.compile(model)
    for rows in (FRAME, UNSEEN, FRAME[:1], FRAME[:0]):
        same(scorer, model, rows)
    expected = scorer.margin(UNSEEN)
    table = pa.Table.from_pandas(UNSEEN, preserve_index=False)
    chunked = pa.concat_tables([table[:100], table[100:101], table[101:]])
    for layout in (table, chunked, table.select(table.column_names[::-1]), UNSEEN.to_numpy(object)):
        assert scorer.margin(layout).tobytes() == expected.tobytes()
    again = mlcore.compile(models.from_arrow(scorer.model.to_arrow()))
    assert again.margin(UNSEEN).tobytes() == expected.tobytes()


@pytest.mark.parametrize("backend", ["cpu", "numba"])
@pytest.mark.parametrize("nans", ["Min", "Max"])
def test_combinations_of_categories_and_numbers(nans: str, backend: str) -> None:
    holes = FRAME.assign(real=FRAME["real"].where(RNG.random(ROWS) < 0.9))
    model = fitted(R, TOGETHER, rows=holes, max_ctr_complexity=4, iterations=60, one_hot_max_size=10, nan_mode=nans)
    scorer = mlcore.compile(model, backend=backend)
    kinds = {tuple(sorted({item.kind for item in made.members})) for made in scorer.model.combinations}
    assert {("above", "category"), ("category", "is")} <= kinds
    assert scorer.columns == tuple(FRAME.columns)
    limits = {item.limit for made in scorer.model.combinations for item in made.members if item.kind == "above"}
    at = np.array([*limits, np.inf, -np.inf, np.nan, 0.0])
    at = np.concatenate([at, np.nextafter(at, 9), np.nextafter(at, -9), np.nextafter(at.astype("f4"), np.float32(9))])
    at = at[~(np.abs(at) > 3e38) | np.isinf(at)]
    edges = UNSEEN.assign(real=RNG.choice(at, ROWS), key=FRAME["key"])
    for rows in (holes, UNSEEN, edges, edges.astype({"real": "f4"}), edges[:1], edges[:0]):
        same(scorer, model, rows)
    many = pd.concat([holes, edges] * 8, ignore_index=True)
    same(scorer, model, many)
    with pytest.raises(UnsupportedModel, match="combinations of features is not explained"):
        scorer.explain(holes)


def test_a_model_with_the_librarys_defaults() -> None:
    quiet = {"iterations": 60, "verbose": 0, "thread_count": 1, "allow_writing_files": False}
    model = C(**quiet).fit(FRAME, CLASSES, cat_features=CATEGORICAL)
    for rows in (FRAME, UNSEEN):
        same(mlcore.compile(model), model, rows)


@pytest.mark.parametrize("kind", ["one-hot", "Borders", "all, of classes", "combinations"])
def test_files(kind: str, tmp_path: Path) -> None:
    make, y, settings = KINDS[kind]
    model = fitted(make, y, **settings)
    for name, form in (("m.json", "json"), ("m.cbm", "cbm")):
        model.save_model(str(tmp_path / name), format=form)
        expected = model.predict(UNSEEN, prediction_type="RawFormulaVal")
        assert mlcore.compile(tmp_path / name).margin(UNSEEN).tobytes() == expected.tobytes()


def test_a_parquet_file_is_scored(tmp_path: Path) -> None:
    model = fitted(C, SCORE > 1)
    pq.write_table(pa.Table.from_pandas(UNSEEN), tmp_path / "in.parquet", row_group_size=300)
    model.save_model(str(tmp_path / "m.cbm"))
    mlcore.score(str(tmp_path / "m.cbm"), str(tmp_path / "in.parquet"), tmp_path / "out")
    found = pq.read_table(next((tmp_path / "out").glob("*.parquet")))
    np.testing.assert_allclose(found.column(found.num_columns - 1), model.predict_proba(UNSEEN)[:, 1], rtol=1e-6)


@pytest.mark.parametrize("kind", ["one-hot", "Borders", "counters"])
def test_explanations_are_the_librarys(kind: str) -> None:
    make, y, settings = KINDS[kind]
    model = fitted(make, y, **settings)
    pool = catboost.Pool(UNSEEN, cat_features=CATEGORICAL)
    expected = model.get_feature_importance(pool, type="ShapValues")
    np.testing.assert_allclose(mlcore.compile(model).explain(UNSEEN), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("dtype", ["int8", "uint64", "int64", "category", "str", "boolean", "bool"])
def test_numbers_are_categories_by_their_text(dtype: str) -> None:
    rows = FRAME.assign(whole=(FRAME["whole"] % 5 == 1) if "bool" in dtype else FRAME["whole"] % 100)
    rows["whole"] = rows["whole"].astype(dtype)
    model = fitted(R, SCORE, rows=rows)
    scorer = mlcore.compile(model)
    same(scorer, model, rows)
    same(scorer, model, rows.to_numpy(object))
    same(scorer, model, rows.assign(whole=(rows["whole"] if dtype == "str" else rows["whole"].astype(int)).astype(str)))


def test_a_matrix_of_whole_numbers_holds_categories() -> None:
    rows = RNG.integers(-5, 30, size=(ROWS, 3))
    model = fitted(R, rows[:, 0] % 3 + rows[:, 2] % 2, rows=rows, categorical=[0, 2])
    scorer = mlcore.compile(model)
    for values in (rows, rows.astype(np.int16), rows.astype(object), rows.astype(str)):
        same(scorer, model, values)
    with pytest.raises(SchemaMismatch, match="a matrix of float64 does not hold"):
        scorer.margin(rows.astype(float))
    with pytest.raises(
        SchemaMismatch, match="column 'f0': CatBoost's categories are strings or whole numbers, found float"
    ):
        scorer.margin(np.array([[1.5, 2, 3]], object))
    with pytest.raises(SchemaMismatch, match="column 'f1': expected numbers"):
        scorer.margin(np.array([["a", "b", "c"]], object))


def test_what_is_no_category_is_refused() -> None:
    scorer = mlcore.compile(fitted(R, SCORE))
    with pytest.raises(DataError, match="column 'text' has a missing value, which CatBoost's categories have not"):
        scorer.margin(FRAME.assign(text=FRAME["text"].where(FRAME["real"] > 0)))
    with pytest.raises(DataError, match="column 'text' has a missing value"):
        scorer.margin(FRAME.assign(text=pd.Categorical(FRAME["text"].where(FRAME["real"] > 0))))
    with pytest.raises(
        SchemaMismatch, match="column 'whole': CatBoost's categories are strings or whole numbers, found"
    ):
        scorer.margin(FRAME.assign(whole=FRAME["whole"] * 1.0))
    with pytest.raises(SchemaMismatch, match="column 'real': the model expects numbers"):
        scorer.margin(FRAME.assign(real="a"))


def test_a_text_is_hashed_as_the_library_hashes_it(tmp_path: Path) -> None:
    words = ["".join(RNG.choice(list("abcZ9 "), size)) for size in range(330)]
    words += [*("".join(RNG.choice(list("aö€"), size)) for size in range(5, 120)), *map(str, (-5, 0, 2**63))]
    frame = pd.DataFrame({"text": words * 9, "real": RNG.normal(size=len(words) * 9)})
    pool = catboost.Pool(frame, frame["real"] + frame["text"].str.len() % 7, cat_features=["text"])
    R(iterations=2, verbose=0, allow_writing_files=False).fit(pool).save_model(
        str(tmp_path / "m.json"), format="json", pool=pool
    )
    known = json.loads((tmp_path / "m.json").read_text())["features_info"]["cat_features_hash"]
    expected = {item["value"]: item["hash"] for item in known}
    found = cityhash64(pa.array(words)) & np.uint64(2**32 - 1)
    assert found.tolist() == [expected[word] for word in words]
    assert np.array_equal(cityhash64(pa.array(words)[7:]), cityhash64(pa.array(words[7:])))


@pytest.mark.parametrize("size", [0, 1, 3, 4, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129, 1000])
def test_a_text_of_any_length_is_the_same_category(size: int) -> None:
    word = "q" * size
    rows = pd.DataFrame({"text": [word, "other", "third"] * 100, "real": RNG.normal(size=300)})
    model = fitted(R, (rows["text"] == word) * 1.0, rows=rows, categorical=["text"], one_hot_max_size=5, iterations=2)
    scorer = mlcore.compile(model)
    same(scorer, model, rows)
    assert len(np.unique(scorer.margin(rows))) > 1


def changed(tmp_path: Path, edit: Any) -> bytes:
    model = fitted(R, SCORE, iterations=2, simple_ctr=["Borders"], one_hot_max_size=10)
    model.save_model(str(tmp_path / "m.json"), format="json")
    doc = json.loads((tmp_path / "m.json").read_text())
    edit(doc, next(iter(doc["ctr_data"].values())))
    return json.dumps(doc).encode()


@pytest.mark.parametrize(("edit", "match"), [
    (lambda d, t: d.pop("ctr_data"), "the table of the CTR .* is missing"),
    (lambda d, t: t.update(hash_stride=0), "'hash_stride' is 0"),
    (lambda d, t: t.update(hash_stride=4), "does not divide into rows|holds 3 numbers|not a whole CatBoost model"),
    (lambda d, t: t.update(hash_map=t["hash_map"][3:6] * 2), "hashes of a table of CTRs are not distinct"),
    (lambda d, t: t["hash_map"].__setitem__(3, str(2**65)), "not a whole CatBoost model"),
    (lambda d, t: t["hash_map"].__setitem__(1, float("nan")), "counts not finite"),
    (lambda d, t: t["hash_map"].__setitem__(1, "3"), "not a list of numbers"),
    (lambda d, t: d["features_info"]["ctrs"][0].update(target_border_idx=1), "holds 2 numbers a row"),
    (lambda d, t: d["features_info"]["ctrs"][0].update(target_border_idx=-1), "'target_border_idx' is -1"),
    (lambda d, t: d["features_info"]["ctrs"][0].update(prior_numerator="1"), "'prior_numerator' is '1'"),
    (lambda d, t: d["features_info"]["ctrs"][0]["borders"].append(-1e9), "not finite and ascending"),
    (lambda d, t: d["features_info"]["ctrs"][0]["elements"][0].update(cat_feature_index=7), "asks for 'cat_feature_index' 7"),
    (lambda d, t: d["features_info"]["ctrs"][0].update(elements=[]), "a CTR is of no feature"),
    (lambda d, t: d["features_info"]["categorical_features"][0].update(values=[2**40]), "not hashes of 32 bits"),
    (lambda d, t: d["features_info"]["categorical_features"][0].update(values=[1, 1]), "are not distinct"),
])  # fmt: skip
def test_what_is_malformed_is_refused(edit: Any, match: str, tmp_path: Path) -> None:
    with pytest.raises(ModelFormatError, match=match):
        mlcore.compile(changed(tmp_path, edit))


def test_what_is_not_imported_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedModel, match="CTRs of type 'Newest' are not imported"):
        mlcore.compile(changed(tmp_path, lambda d, t: d["features_info"]["ctrs"][0].update(ctr_type="Newest")))
    newest = {"combination_element": "newest"}
    with pytest.raises(UnsupportedModel, match="CTRs of 'newest' are not imported"):
        mlcore.compile(changed(tmp_path, lambda d, t: d["features_info"]["ctrs"][0].update(elements=[newest])))
    texts = pd.DataFrame(
        {"words": RNG.choice(["good bad ugly", "very good", "bad bad"], 3000), "x": RNG.normal(size=3000)}
    )
    quiet = {"iterations": 2, "verbose": 0, "allow_writing_files": False}
    model = R(**quiet, text_features=["words"]).fit(texts, texts["x"] + (texts["words"] == "bad bad"))
    model.save_model(str(tmp_path / "m.cbm"))
    for source in (model, tmp_path / "m.cbm"):
        with pytest.raises(UnsupportedModel, match="text features are not imported"):
            mlcore.compile(source)


def test_transformers_before_categories_are_refused() -> None:
    keeps = make_column_transformer(("passthrough", ["text", "real", "whole", "key"]))
    model = C(iterations=2, verbose=0, allow_writing_files=False, cat_features=[0, 2, 3], max_ctr_complexity=1)
    pipeline = Pipeline([("keeps", keeps), ("model", model)]).fit(FRAME, SCORE > 1)
    with pytest.raises(
        UnsupportedModel, match="categorical features, which are compiled without transformers|transform"
    ):
        mlcore.compile(pipeline)


def test_a_bundle_of_a_model_with_categories_is_refused(tmp_path: Path) -> None:
    model = fitted(R, SCORE, iterations=2)
    features = tuple(Feature(name, name, ()) for name in FRAME.columns)
    kinds = {"text": "string", "real": "double", "whole": "int64", "key": "string"}
    schema = Schema(tuple(Field(name, kind) for name, kind in kinds.items()))
    Bundle(models.read(model), Transforms(features), schema, provenance={"created": "now"}).save(tmp_path / "bundle")
    with pytest.raises(UnsupportedModel, match="a Bundle's profile does not know categories by their hashes"):
        mlcore.compile(tmp_path / "bundle")


@pytest.mark.parametrize("member", [Member("category", 9), Member("category", -1), Member("above", 23)])
def test_a_combination_of_features_that_are_not_there_is_refused(member: Member) -> None:
    model = models.read(fitted(R, TOGETHER, max_ctr_complexity=2))
    assert isinstance(model, models.TreeEnsemble) and model.combinations
    with pytest.raises(ModelFormatError, match=f"made of feature {member.feature}, which the model does not have"):
        replace(model, combinations=(Combination((member,)), *model.combinations[1:]))


@pytest.mark.parametrize("count", [0, 33])
def test_a_combination_of_no_feature_or_very_many_is_refused(count: int) -> None:
    model = models.read(fitted(R, TOGETHER, max_ctr_complexity=2))
    assert isinstance(model, models.TreeEnsemble) and model.combinations
    many = Combination((Member("category", 0),) * count)
    with pytest.raises(ModelFormatError, match=f"a combination of {count} features"):
        replace(model, combinations=(many, *model.combinations[1:]))
