"""Training from Parquet: the right rows, XGBoost's own result, early stopping, and what is refused."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import xgboost

from mlcore.errors import DataError, SchemaMismatch, UsageError
from mlcore.preprocessing.features import Affine, Feature, Fill, Transforms
from mlcore.preprocessing.specs import FeatureSpec, OneHot, Target
from mlcore.training import Label, Trained, fit

ROWS = 3000
START = datetime(2013, 1, 1)
SPECS = (FeatureSpec(("a", "b")), FeatureSpec(("s",), (OneHot(),)), FeatureSpec(("t",), (Target(5.0),)))
PLAIN = Transforms((Feature("a", "a", ()), Feature("b", "b", (Fill(0.0), Affine(1.0, 2.0)))))
Array = np.ndarray[Any, Any]


def table(*, seed: int = 0) -> pa.Table:
    """One row each 3 hours, so 375 days; the delay is missing in a tenth of the rows."""
    rng = np.random.default_rng(seed)
    a, b = rng.integers(0, 50, ROWS), np.round(rng.normal(size=ROWS), 1)
    s = rng.choice(np.array(["x", "y", "z"]), ROWS)
    delay = a - 25 + 10 * b + 8 * (s == "y") + rng.normal(0, 8, ROWS)
    return pa.table(
        {
            "a": a,
            "b": pa.array(b, mask=rng.random(ROWS) < 0.1),
            "s": s,
            "t": [f"t{i}" for i in rng.integers(0, 40, ROWS)],
            "delay": pa.array(delay, mask=rng.random(ROWS) < 0.1),
            "time": pa.array([START + timedelta(hours=3 * i) for i in range(ROWS)], pa.timestamp("us")),
        }
    )


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("months")
    paths = [folder / f"{i}.parquet" for i in range(3)]
    for i, path in enumerate(paths):
        pq.write_table(table().slice(i * 1000, 1000), path, row_group_size=300)
    return paths


def train(files: list[Path], **options: Any) -> Trained:
    settings: dict[str, Any] = {
        "transforms": SPECS,
        "label": Label("delay", 0),
        "time": "time",
        "rounds": 30,
        "early_stopping": 5,
        "threads": 1,
        "params": {"max_depth": 3, "eta": 0.3},
    }
    return fit(files, **{**settings, **options})


def labelled(since: datetime, until: datetime) -> pa.Table:
    found = table()
    time = found["time"].to_numpy()
    keep = (time >= np.datetime64(since)) & (time < np.datetime64(until))
    return found.filter(pa.array(keep & ~np.isnan(found["delay"].to_numpy())))


def positive(rows: pa.Table) -> Array:
    return (rows["delay"].to_numpy() > 0).astype(np.float32)


def test_the_model_equals_xgboosts_on_the_same_rows(files: list[Path]) -> None:
    trained = train(files, transforms=PLAIN, holdout=0.0, rounds=10)
    rows = labelled(START, datetime(2020, 1, 1))
    matrix = xgboost.QuantileDMatrix(PLAIN.apply(rows), positive(rows), feature_names=["a", "b"])
    params = {
        "objective": "binary:logistic",
        "tree_method": "hist",
        "seed": 0,
        "max_depth": 3,
        "eta": 0.3,
        "nthread": 1,
    }
    oracle = xgboost.train(params, matrix, 10)
    assert trained.booster.get_dump() == oracle.get_dump()
    assert (trained.labelled, trained.training_rows, trained.holdout_rows) == (len(rows), len(rows), 0)


def test_rows_outside_the_range_or_without_a_label_are_not_learned_from(files: list[Path]) -> None:
    since, until = date(2013, 2, 1), date(2013, 11, 1)
    trained = train(files, transforms=PLAIN, holdout=0.0, rounds=5, since=since, until=until)
    rows = labelled(datetime(2013, 2, 1), datetime(2013, 11, 1))
    matrix = xgboost.QuantileDMatrix(PLAIN.apply(rows), positive(rows), feature_names=["a", "b"])
    params = {
        "objective": "binary:logistic",
        "tree_method": "hist",
        "seed": 0,
        "max_depth": 3,
        "eta": 0.3,
        "nthread": 1,
    }
    assert trained.booster.get_dump() == xgboost.train(params, matrix, 5).get_dump()
    assert trained.labelled == len(rows)


def test_the_holdout_is_the_last_share_in_time(files: list[Path]) -> None:
    trained = train(files, holdout=0.25)
    rows = labelled(START, datetime(2020, 1, 1))
    first = int(len(rows) * 0.75)
    assert trained.training_rows == first
    assert trained.cut is not None
    assert trained.cut.startswith(str(rows["time"][first].as_py()))
    np.testing.assert_array_equal(trained.holdout_labels, positive(rows)[first:])


def test_holdout_scores_are_the_boosters_own(files: list[Path]) -> None:
    trained = train(files)
    rows = labelled(START, datetime(2020, 1, 1)).slice(trained.training_rows)
    expected = trained.booster.inplace_predict(trained.transforms.apply(rows))
    np.testing.assert_array_equal(trained.holdout_scores, expected)


def test_rows_of_one_time_stay_together(tmp_path: Path) -> None:
    days = pa.array([START + timedelta(days=i // 50) for i in range(500)], pa.timestamp("us"))
    rng = np.random.default_rng(0)
    path = tmp_path / "days.parquet"
    pq.write_table(pa.table({"a": rng.normal(size=500), "y": rng.normal(size=500), "time": days}), path)
    specs = (FeatureSpec(("a",)),)
    trained = train([path], transforms=specs, label=Label("y", 0.0), holdout=0.17)
    assert (trained.training_rows, trained.holdout_rows) == (400, 100)


def test_files_out_of_time_order_are_split_alike(files: list[Path]) -> None:
    found = train(files[::-1])
    assert found.cut == train(files).cut
    assert found.training_rows == train(files).training_rows


def test_features_are_fitted_on_the_training_part_only(files: list[Path]) -> None:
    trained = train(files, holdout=0.5)
    rows = labelled(START, datetime(2020, 1, 1)).slice(0, trained.training_rows)
    unknown = trained.transforms.apply(table().slice(0, 1).set_column(3, "t", pa.array(["never"])))[0, -1]
    assert unknown == pytest.approx(positive(rows).mean())


def test_training_stops_early_and_keeps_the_trees_up_to_the_best_round(files: list[Path]) -> None:
    trained = train(files, rounds=200, early_stopping=4, params={"eta": 0.5, "max_depth": 6})
    loss = trained.history["logloss"]
    assert trained.best_iteration == int(np.argmin(loss))
    assert trained.rounds == len(loss) == trained.best_iteration + 5 < 200
    assert trained.booster.num_boosted_rounds() == trained.best_iteration + 1


def test_zero_early_stopping_grows_every_tree(files: list[Path]) -> None:
    trained = train(files, rounds=12, early_stopping=0)
    assert trained.booster.num_boosted_rounds() == 12
    assert len(trained.history["logloss"]) == 12


def test_the_same_seed_and_threads_give_the_same_model(files: list[Path]) -> None:
    params = {"subsample": 0.5, "colsample_bytree": 0.5}
    once, again = (train(files, params=params, seed=3).booster.save_raw("ubj") for _ in range(2))
    other = train(files, params=params, seed=4).booster.save_raw("ubj")
    assert once == again
    assert once != other


def test_training_rows_are_cross_fitted_and_the_model_beats_chance(files: list[Path]) -> None:
    trained = train(files)
    assert trained.transforms.names == ("a", "b", "s_x", "s_y", "s_z", "t")
    gap = trained.holdout_scores[trained.holdout_labels == 1].mean() - trained.holdout_scores.mean()
    assert gap > 0.1
    # forty groups of pure noise: without cross-fitting they would look like the best feature
    gain = trained.booster.get_score(importance_type="total_gain")
    assert gain.get("t", 0.0) < 0.2 * gain["a"]


def test_a_number_is_predicted_without_above(files: list[Path]) -> None:
    trained = train(files, label=Label("delay"))
    assert trained.objective == "reg:squarederror"
    rows = labelled(START, datetime(2020, 1, 1))
    np.testing.assert_allclose(trained.holdout_labels, rows["delay"].to_numpy()[trained.training_rows :])
    assert np.corrcoef(trained.holdout_labels, trained.holdout_scores)[0, 1] > 0.7


def test_progress_is_told_each_round(files: list[Path]) -> None:
    ticks: list[int] = []
    trained = train(files, progress=ticks.append)
    assert ticks == [1] * trained.rounds


def test_parameters_of_the_caller_win(files: list[Path]) -> None:
    trained = train(files, params={"max_bin": 16, "seed": 9, "nthread": 2, "eval_metric": "auc"})
    assert {"seed": 9, "nthread": 2, "max_bin": 16}.items() <= dict(trained.params).items()
    assert list(trained.history) == ["auc"]


def test_names_that_xgboost_refuses_do_not_stop_training(tmp_path: Path, files: list[Path]) -> None:
    odd = table().set_column(2, "s", pa.array(["[x]" if v == "x" else v for v in table()["s"].to_pylist()]))
    pq.write_table(odd, tmp_path / "odd.parquet")
    trained = train([tmp_path / "odd.parquet"])
    assert "s_[x]" in trained.transforms.names


@pytest.mark.parametrize("kind", [pa.timestamp("ns"), pa.timestamp("s", "America/New_York"), pa.date32()])
def test_other_time_types_are_compared_at_their_own_midnight(tmp_path: Path, kind: pa.DataType) -> None:
    local = table().set_column(5, "time", pa.compute.cast(table()["time"], kind, safe=False))
    if pa.types.is_timestamp(kind) and kind.tz:
        naive = table()["time"].cast(pa.timestamp("s"))
        local = table().set_column(5, "time", pa.compute.assume_timezone(naive, kind.tz, nonexistent="earliest"))
    pq.write_table(local, tmp_path / "x.parquet")
    trained = train([tmp_path / "x.parquet"], since=date(2013, 2, 1), until=date(2013, 2, 11), rounds=2)
    assert trained.labelled == len(labelled(datetime(2013, 2, 1), datetime(2013, 2, 11)))


REFUSED: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"label": Label("delay", 1e6)}, DataError, r"all .* rows have 'delay > 1e\+06' false"),
    ({"label": Label("delay", -1e6)}, DataError, "true: there is nothing to learn from one class"),
    ({"since": date(2020, 1, 1)}, DataError, "no labelled rows from 2020-01-01 until the end"),
    (
        {"params": {"objective": "rank:ndcg"}},
        UsageError,
        "unknown objective 'rank:ndcg'; known: binary:logistic",
    ),
    ({"params": {"max_deep": 3}}, UsageError, "XGBoost does not know max_deep"),
    ({"params": {"max_depth": "deep"}}, UsageError, "XGBoost refuses.*max_depth"),
    (
        {"label": Label("delay"), "params": {"objective": "binary:logistic"}},
        DataError,
        "needs labels 0 and 1",
    ),
    ({"label": Label("absent", 1)}, DataError, "'absent'"),
    ({"label": Label("s", 1)}, SchemaMismatch, "target column 's': expected numbers"),
    ({"time": "a", "since": date(2013, 1, 1)}, SchemaMismatch, "'a': expected a timestamp"),
    ({"holdout": 1.0}, UsageError, "holdout must be"),
    ({"holdout": 0.9999}, DataError, "no rows are left to train on"),
    ({"rounds": 0}, UsageError, "rounds"),
    ({"early_stopping": -1}, UsageError, "early_stopping"),
]


@pytest.mark.parametrize(("options", "error", "message"), REFUSED)
def test_what_cannot_be_trained_is_refused(
    files: list[Path], options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        train(files, **options)


def test_an_infinite_feature_is_named(tmp_path: Path) -> None:
    values = np.where(np.arange(ROWS) == 7, np.inf, 1.0)
    pq.write_table(table().append_column("w", pa.array(values)), tmp_path / "x.parquet")
    with pytest.raises(DataError, match="feature 'w' holds infinities"):
        train([tmp_path / "x.parquet"], transforms=(FeatureSpec(("a", "w")),))
