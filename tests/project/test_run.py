"""A project: mlcore.toml checked key by key; runs that do what changed, say why, and stop at a gate."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mlcore.errors import ConfigError
from mlcore.project import config

TOML = """
[project]
name = "m"
[data]
source = "raw.csv"
time = "t"
[target]
column = "y"
[[features]]
columns = ["x"]
"""


def load(folder: Path, text: str) -> config.Project:
    (folder / "mlcore.toml").write_text(text)
    return config.load(folder)


def test_the_smallest_project_has_sensible_defaults(tmp_path: Path) -> None:
    project = load(tmp_path, TOML)
    assert (project.name, project.data.partition, project.train.holdout, project.gates) == ("m", "month", 0.2, ())


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('name = "m"', "name = 3", r"\[project\]: 'name' must be a string, found a whole number \(3\)"),
        ('name = "m"', "", r"\[project\]: 'name' is missing"),
        ('time = "t"', 'tiem = "t"', r"\[data\]: 'tiem' is not known; did you mean 'time'\?"),
        ('time = "t"', 'time = "t"\npartition = "week"', r"\[data\]: 'partition' must be one of year, month, day"),
        ("[target]", "[traget]", r"'traget' is not known; did you mean 'target'\?"),
        ("[target]", "[train]\nrounds = 0\n[target]", r"\[train\]: 'rounds' must be a whole number, 1 or more"),
        ("[target]", "[train]\nholdout = 1.5\n[target]", r"\[train\]: 'holdout' must be a share"),
        ("[target]", '[train]\nsince = "2013"\n[target]', r"\[train\]: 'since' must be a date such as"),
        (
            "[target]",
            "[train]\nsince = 2013-02-01\nuntil = 2013-01-01\n[target]",
            r"\[train\]: 'since' .* must lie before",
        ),
        ('name = "m"', 'name = "my flights"', r"\[project\]: 'name' must be a name of letters"),
        ("[target]", "[watch]\nthreshold = 0\n[target]", r"\[watch\]: 'threshold' must be above 0"),
        ('columns = ["x"]', 'columns = ["x", "y"]', r"\[\[features\]\]: column 'y' has role 'target'"),
        ("[target]", "[gates]\nauk = { min = 0.5 }\n[target]", r"\[gates\].*auk"),
        ("[[features]]", "[features]", r"\[\[features\]\] must be a list of tables"),
        ('columns = ["x"]', 'columns = ["x"]\nsteps = ["nothing"]', "nothing"),
        ("[project]", "[project", "is not TOML"),
    ],
)
def test_a_mistake_is_named_with_its_key_and_table(old: str, new: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=message):
        load(tmp_path, TOML.replace(old, new))


def change(project: Path, old: str, new: str) -> None:
    toml = project / "mlcore.toml"
    assert old in toml.read_text()
    toml.write_text(toml.read_text().replace(old, new))


def ran(ended: Any) -> list[str]:
    return [step["step"] for step in ended.json["steps"] if not step["skipped"]]


def reasons(ended: Any) -> dict[str, str]:
    return {step["step"]: step["reason"] for step in ended.json["steps"]}


def test_a_parameter_reruns_what_reads_it_and_says_why(project: Path, mlcore: Any) -> None:
    change(project, "max_depth = 6", "max_depth = 3")
    planned = mlcore("run", "--dry-run", "--json", "--project", project).json
    assert next(step["step"] for step in planned if step["runs"]) == "train"
    ended = mlcore("run", "--json", "--project", project)
    assert ran(ended) == ["train", "evaluate", "register", "score", "watch"]
    assert "max_depth 6 → 3" in reasons(ended)["train"]
    assert reasons(ended)["ingest"] == "unchanged"


def test_a_threshold_of_the_report_reruns_the_report_only(project: Path, mlcore: Any) -> None:
    change(project, "threshold = 0.1 ", "threshold = 0.3 ")
    ended = mlcore("run", "--json", "--project", project)
    assert ran(ended) == ["watch"]
    assert "threshold 0.1 → 0.3" in reasons(ended)["watch"]


def test_a_lost_output_is_made_again(project: Path, mlcore: Any) -> None:
    before = (project / "scores" / "2013-08.parquet").read_bytes()
    (project / "scores" / "2013-08.parquet").unlink()
    ended = mlcore("run", "--json", "--project", project)
    assert ran(ended) == ["score"]
    assert "2013-08.parquet is missing" in reasons(ended)["score"]
    assert (project / "scores" / "2013-08.parquet").read_bytes() == before


def test_a_project_may_be_moved(project: Path, mlcore: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    moved = project.rename(project.with_name("elsewhere"))
    monkeypatch.chdir(moved)
    assert ran(mlcore("run", "--json")) == []
    assert mlcore("models", "show", "flights@champion").code == 0


def test_raw_data_may_lie_outside_the_project(project: Path, tmp_path: Path, mlcore: Any) -> None:
    outside = tmp_path / "flights.csv"
    (project / "raw" / "flights.csv").rename(outside)
    change(project, '"raw/flights.csv"', f'"{outside}"')
    ended = mlcore("run", "--json", "--project", project)
    assert ended.code == 0, ended.err
    assert ran(ended) == ["ingest"]


def test_a_candidate_that_fails_its_gate_is_rejected_and_the_champion_stays(project: Path, mlcore: Any) -> None:
    change(project, "auc = { min = 0.65 }", "auc = { min = 0.99 }")
    change(project, "max_depth = 6", "max_depth = 2")
    ended = mlcore("run", "--project", project)
    assert ended.code == 1
    assert "was rejected: auc is" in ended.err
    assert "version 1 stays champion" in ended.err
    versions = mlcore("models", "list", "--json", "--project", project).json
    assert [(v["version"], v["status"], v["champion"]) for v in versions] == [
        ("1", "approved", True),
        ("2", "rejected", False),
    ]
    assert mlcore("run", "--project", project).code == 1  # still rejected, not skipped into silence


def test_a_rejected_version_cannot_be_promoted(project: Path, mlcore: Any) -> None:
    change(project, "auc = { min = 0.65 }", "auc = { min = 0.99 }")
    change(project, "max_depth = 6", "max_depth = 2")
    mlcore("run", "--project", project)
    ended = mlcore("models", "promote", "flights", "2", "--reason", "please", "--project", project)
    assert ended.code != 0
    assert mlcore("models", "list", "--json", "--project", project).json[0]["champion"]


@pytest.mark.parametrize("name", ["dep_delay", "arr_delay"])
def test_a_column_known_too_late_is_refused_as_a_feature(name: str, project: Path, mlcore: Any) -> None:
    change(project, 'columns = ["month", ', f'columns = ["{name}", "month", ')
    ended = mlcore("ingest", "--project", project)
    assert ended.code == 2
    assert f"column '{name}' has role" in ended.err


def test_every_step_runs_alone(project: Path, mlcore: Any) -> None:
    for step in ("ingest", "validate", "evaluate", "score", "watch"):
        ended = mlcore(step, "--json", "--project", project)
        assert ended.code == 0, ended.err
        assert ended.json["step"] == step
        assert not ended.json["skipped"]
