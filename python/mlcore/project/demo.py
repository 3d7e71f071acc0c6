"""The demo project: real flights, and a mlcore.toml to learn from."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from mlcore.data.files import write_atomically
from mlcore.project.config import FILE
from mlcore.project.flights import write_flights

TOML: Final = """\
# A project: `mlcore run` does its steps, and only those that something changed for.
# Flights that left New York in 2013; predicted: will it arrive more than 15 minutes late?

[project]
name = "flights"                 # the registered model's name

[data]
source = "raw/flights.csv"       # CSV or Parquet: a file, a folder, a pattern, or a list of these
output = "data"                  # typed Parquet goes here
time = "time_hour"
partition = "month"              # one file a month

[columns]                        # what is not said is inferred; limits stop the run when they break
flight = { role = "id" }
carrier = { max_missing = 0.0, max_unseen = 0.0 }
origin = { max_missing = 0.0, max_unseen = 0.0 }
dest = { max_missing = 0.0, max_unseen = 0.01 }
tailnum = { max_missing = 0.05 }
month = { min = 1, max = 12 }
distance = { min = 1, max = 6000 }
temp = { min = -40, max = 130, max_missing = 0.2 }
dep_time = { role = "ignore" }   # known only after departure: never features
dep_delay = { role = "ignore" }
arr_time = { role = "ignore" }
air_time = { role = "ignore" }

[target]
column = "arr_delay"
above = 15                       # late: more than 15 minutes; flights with no arrival are unlabelled

[[features]]                     # numbers as they are; missing values stay missing
columns = ["month", "day", "weekday", "hour", "minute", "sched_dep_time", "sched_arr_time", "flight", "distance"]

[[features]]                     # the plane's
columns = ["plane_year", "engines", "seats"]

[[features]]                     # the hour's weather
columns = ["temp", "dewp", "humid", "wind_dir", "wind_speed", "wind_gust", "precip", "pressure", "visib"]

[[features]]
columns = ["carrier", "origin", "plane_type", "engine"]
steps = ["one-hot"]

[[features]]
columns = ["dest", "tailnum", "manufacturer"]
steps = [{ step = "target", smooth = 50 }]

[train]
since = 2013-01-01
until = 2013-07-01
holdout = 0.2                    # the last fifth in time stops the training early and is what the gates are asked about
rounds = 500
early_stopping = 30

[train.params]                   # XGBoost's own
max_depth = 6
eta = 0.05
subsample = 0.8
colsample_bytree = 0.5
min_child_weight = 20

[gates]                          # a candidate that fails one is registered as rejected and never promoted
auc = { min = 0.65 }
log_loss = { max = 0.60 }
calibration_error = { max = 0.08 }

[score]
since = 2013-07-01
output = "scores"
keep = ["time_hour", "carrier", "flight", "origin", "dest"]

[watch]
output = "report"
threshold = 0.1                  # Jensen–Shannon distance from which a column counts as drifted
"""


def write_project(folder: Path, *, rows: int | None = None) -> None:
    """Write mlcore.toml and raw/flights.csv into `folder`; what is there already stays."""
    if not (folder / FILE).exists():  # first: an interrupted demo is known by it, and goes on
        write_atomically(folder / FILE, TOML)
    if not (folder / "raw" / "flights.csv").exists():
        write_flights(folder, rows=rows)
