"""The same job as a team would write it: pandas, scikit-learn's ColumnTransformer, XGBoost, and Evidently for drift."""

from __future__ import annotations

import json
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import sklearn
import xgboost
from sklearn.compose import ColumnTransformer
from sklearn.preprocessing import OneHotEncoder, TargetEncoder

NUMBERS = ["month", "day", "weekday", "hour", "minute", "sched_dep_time", "sched_arr_time", "flight", "distance",
           "plane_year", "engines", "seats", "temp", "dewp", "humid", "wind_dir", "wind_speed", "wind_gust", "precip",
           "pressure", "visib"]  # fmt: skip
NAMES = ["carrier", "origin", "plane_type", "engine"]
TARGETS = ["dest", "tailnum", "manufacturer"]
COLUMNS = [*NUMBERS, *NAMES, *TARGETS]


def fitted(project: Path, bundle: Path) -> tuple[ColumnTransformer, xgboost.Booster, pd.DataFrame]:
    """Fit the transforms on the rows that mlcore trained on, and load the model that it trained."""
    training = pd.concat([pd.read_parquet(path) for path in sorted((project / "data").glob("*.parquet"))[:6]])
    facts = json.loads((project / ".mlcore" / "steps" / "train.json").read_text())["result"]
    known = training[training.arr_delay.notna() & (training.time_hour < pd.Timestamp(facts["holdout_from"]))]
    transformer = ColumnTransformer(
        [
            ("numbers", "passthrough", NUMBERS),
            ("names", OneHotEncoder(handle_unknown="ignore", sparse_output=False), NAMES),
            ("targets", TargetEncoder(smooth=50.0, target_type="binary"), TARGETS),
        ]
    )
    transformer.fit(known[COLUMNS], (known.arr_delay > 15).astype(int))
    booster = xgboost.Booster(model_file=str(next(bundle.glob("*.ubj"))))
    booster.set_param({"nthread": 2})
    return transformer, booster, training


def job(
    project: Path,
    out: Path,
    transformer: ColumnTransformer,
    booster: xgboost.Booster,
    reference: pd.DataFrame,
    *,
    watch: bool,
) -> None:
    """Read, transform, predict, count and write, month by month; with `watch`, an Evidently report for each later month."""
    out.mkdir(parents=True, exist_ok=True)
    counts: dict[str, pd.Series] = {}
    bins = {name: np.unique(np.nanquantile(reference[name].to_numpy(float), np.linspace(0, 1, 65))) for name in NUMBERS}
    if watch:
        from evidently import Report
        from evidently.presets import DataDriftPreset
    for path in sorted((project / "data").glob("*.parquet")):
        frame = pd.read_parquet(path, columns=COLUMNS)
        X = transformer.transform(frame).astype(np.float32)
        scores = booster.inplace_predict(X)
        for name in [*NAMES, *TARGETS]:
            found = frame[name].value_counts(dropna=False)
            counts[name] = counts[name].add(found, fill_value=0) if name in counts else found
        for name in NUMBERS:
            found = pd.Series(np.histogram(frame[name].dropna(), bins[name])[0])
            counts[name] = counts[name].add(found, fill_value=0) if name in counts else found
        pd.DataFrame({"score": scores}).to_parquet(out / path.name)
        if watch and path.stem >= "2013-07":
            report = Report([DataDriftPreset()])
            report.run(frame, reference[COLUMNS]).save_html(str(out / f"{path.stem}.html"))
    plain = {
        name: {str(k): int(v) for k, v in found.dropna().items()} for name, found in counts.items() if name == "carrier"
    }
    (out / "counts.json").write_text(json.dumps(plain))


def main() -> None:
    """Time one job, after a warm one unless it watches, and print the seconds and the versions."""
    project, bundle, out, watch = Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4] == "1"
    transformer, booster, reference = fitted(project, bundle)
    if watch:
        import evidently  # imports are outside the time

        versions: dict[str, Any] = {"evidently": evidently.__version__}
        __import__("evidently.presets")
    else:
        versions = {}
        job(project, out, transformer, booster, reference, watch=False)
    shutil.rmtree(out, ignore_errors=True)
    started = time.perf_counter()
    job(project, out, transformer, booster, reference, watch=watch)
    seconds = time.perf_counter() - started
    versions |= {"pandas": pd.__version__, "scikit-learn": sklearn.__version__, "xgboost": xgboost.__version__}
    print(json.dumps({"seconds": seconds, "versions": ", ".join(f"{k} {v}" for k, v in versions.items())}))


if __name__ == "__main__":
    main()
