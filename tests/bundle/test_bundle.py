"""Bundles: what is saved comes back, and nothing that was touched is loaded."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import xgboost

import mlcore
from mlcore import bundle as bundles
from mlcore import models
from mlcore.bundle import Bundle
from mlcore.bundle.provenance import code_version, collect
from mlcore.data.schema import Field, Schema
from mlcore.errors import BundleError, OutputError, SchemaMismatch, UnsupportedModel
from mlcore.preprocessing.features import Affine, Feature, Lookup, Transforms
from mlcore.profile import Profile

FILES = ["manifest.json", "model.arrow", "model.ubj", "profile.arrow", "schema.json", "transforms.json"]


def make(seed: int = 1) -> Bundle:
    rng = np.random.default_rng(seed)
    raw = pa.table({"x": rng.normal(size=200), "c": rng.choice(["a", "ü"], 200)})
    transforms = Transforms(
        (
            Feature("x", "x", (Affine(0.1, 3.0),)),
            Feature("c", "c", (Lookup(("a", "ü"), (0.25, 1 / 3), 0.5, float("nan")),)),
        )
    )
    data = xgboost.DMatrix(transforms.apply(raw), (raw["x"].to_numpy() > 0).astype(np.float32))
    booster = xgboost.train({"objective": "binary:logistic", "max_depth": 2, "seed": 1}, data, 3)
    return Bundle(
        model=models.read(booster),
        transforms=transforms,
        schema=Schema.infer(raw.schema),
        profile=Profile.fit(raw),
        provenance={
            "snapshot": "abc",
            "params": {"eta": 0.1},
            "metrics": {"auc": 0.7},
            "created": "2026-01-01",
        },
        source_model=bytes(booster.save_raw("ubj")),
    )


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return make()


@pytest.fixture
def folder(bundle: Bundle, tmp_path: Path) -> Path:
    bundle.save(tmp_path / "b")
    return tmp_path / "b"


def reseal(folder: Path, **changes: Any) -> None:
    """Write the manifest as someone would who knows the format, seal and all."""
    manifest = {**json.loads((folder / "manifest.json").read_text()), **changes}
    rest = {key: value for key, value in manifest.items() if key != "seal"}
    text = json.dumps(rest, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    manifest["seal"] = hashlib.sha256(text.encode()).hexdigest()
    whole = json.dumps(manifest, sort_keys=True, indent=2, ensure_ascii=False) + "\n"
    (folder / "manifest.json").write_text(whole)


def test_what_is_saved_comes_back(bundle: Bundle, folder: Path) -> None:
    again = Bundle.load(folder)
    assert again.model.to_arrow().equals(bundle.model.to_arrow(), check_metadata=True)
    assert repr(again.transforms) == repr(bundle.transforms) and again.schema == bundle.schema
    assert bundle.profile is not None and again.profile is not None and again.profile.equals(bundle.profile)
    assert again.provenance == bundle.provenance and again.source_model == bundle.source_model
    assert sorted(path.name for path in folder.iterdir()) == FILES


def test_the_source_model_is_the_librarys_own_file(folder: Path) -> None:
    booster = xgboost.Booster(model_file=folder / "model.ubj")
    assert booster.num_boosted_rounds() == 3


def test_profile_and_source_model_may_be_absent(bundle: Bundle, tmp_path: Path) -> None:
    dataclasses.replace(bundle, profile=None, source_model=None).save(tmp_path / "b")
    again = Bundle.load(tmp_path / "b")
    assert again.profile is None and again.source_model is None


def test_a_type_that_there_is_none_of_is_named(bundle: Bundle) -> None:
    schema = Schema((Field("x", "double"), Field("c", "dictionary<values=string, indices=int8, ordered=0>")))
    with pytest.raises(SchemaMismatch, match="column 'c': the schema's type 'dictionary<.*' is not known"):
        mlcore.compile(dataclasses.replace(bundle, schema=schema))
    with pytest.raises(SchemaMismatch, match="column 'c': the schema's type"):
        schema.arrow()


@pytest.mark.parametrize("library", ["lightgbm", "xgboost"])
def test_a_model_of_categories_that_are_numbers_is_refused(library: str) -> None:
    frame = pd.DataFrame({"k": pd.Categorical(np.arange(200) % 3), "x": np.arange(200.0)})
    if library == "lightgbm":
        model: Any = lightgbm.train({"verbose": -1}, lightgbm.Dataset(frame, frame["x"]), 2)
    else:
        model = xgboost.train({}, xgboost.DMatrix(frame, frame["x"], enable_categorical=True), 2)
    transforms = Transforms((Feature("k", "k", ()), Feature("x", "x", ())))
    for kind in ("int64", "dictionary<values=int64, indices=int8, ordered=0>"):
        made = Bundle(models.read(model), transforms, Schema((Field("k", kind), Field("x", "double"))))
        with pytest.raises(
            UnsupportedModel, match="know no categories that are numbers or booleans; compile the model"
        ):
            mlcore.compile(made)


def test_the_digest_is_the_sha256_of_the_file_table(bundle: Bundle, folder: Path) -> None:
    table = {
        name: {
            "sha256": hashlib.sha256((folder / name).read_bytes()).hexdigest(),
            "size": (folder / name).stat().st_size,
        }
        for name in FILES[1:]
    }
    text = json.dumps(table, sort_keys=True, separators=(",", ":"))
    assert bundle.digest == hashlib.sha256(text.encode()).hexdigest() == Bundle.load(folder).digest
    assert bundles.short(bundle.digest) == bundle.digest[:12]


def test_equal_content_has_an_equal_digest_whatever_its_provenance(bundle: Bundle) -> None:
    assert dataclasses.replace(make(), provenance={"created": "later"}).digest == bundle.digest
    assert make(2).digest != bundle.digest


def test_a_changed_copy_of_a_loaded_bundle_gets_its_own_digest(bundle: Bundle, folder: Path) -> None:
    loaded = Bundle.load(folder)
    assert dataclasses.replace(loaded, profile=None).digest != loaded.digest


def test_a_loaded_bundle_saves_to_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    Bundle.load(folder).save(tmp_path / "copy")
    assert [(tmp_path / "copy" / n).read_bytes() for n in FILES] == [(folder / n).read_bytes() for n in FILES]


def test_no_file_is_a_pickle(folder: Path) -> None:
    import pickle

    for name in FILES:
        with pytest.raises((pickle.UnpicklingError, ValueError, KeyError, IndexError, EOFError, AttributeError)):
            pickle.loads((folder / name).read_bytes())


def test_one_flipped_bit_anywhere_is_found(folder: Path) -> None:
    rng = np.random.default_rng(3)
    for name in FILES:
        raw = (folder / name).read_bytes()
        places = range(len(raw)) if name == "manifest.json" else {0, len(raw) - 1, *rng.integers(0, len(raw), 25)}
        for place in places:
            flipped = bytearray(raw)
            flipped[place] ^= 1 << int(rng.integers(8))
            (folder / name).write_bytes(flipped)
            with pytest.raises(BundleError, match=name.replace(".", r"\.")):
                Bundle.load(folder)
        (folder / name).write_bytes(raw)
    Bundle.load(folder)


@pytest.mark.parametrize("name", FILES)
def test_a_file_cut_short_missing_or_grown_is_named(folder: Path, name: str) -> None:
    raw = (folder / name).read_bytes()
    for changed in (raw[:-1], raw + b"\n", b""):
        (folder / name).write_bytes(changed)
        with pytest.raises(BundleError, match=name):
            Bundle.load(folder)
    (folder / name).unlink()
    with pytest.raises(BundleError, match=f"{name} is missing"):
        Bundle.load(folder)


@pytest.mark.parametrize("name", ["extra.txt", ".hidden", "model.pkl"])
def test_a_file_that_is_not_listed_is_refused(folder: Path, name: str) -> None:
    (folder / name).write_text("x")
    with pytest.raises(BundleError, match=rf"{name} is not in manifest\.json"):
        Bundle.load(folder)


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "sub/x", "model.pkl", "manifest.json", ".."])
def test_a_name_that_leads_elsewhere_is_refused(folder: Path, name: str) -> None:
    (folder.parent / "secret").write_text("x")
    files = json.loads((folder / "manifest.json").read_text())["files"]
    reseal(folder, files={**files, name: {"sha256": hashlib.sha256(b"x").hexdigest(), "size": 1}})
    with pytest.raises(BundleError, match="which is no file of a Bundle"):
        Bundle.load(folder)


def test_a_link_in_place_of_a_file_is_refused(folder: Path, tmp_path: Path) -> None:
    shutil.move(folder / "model.arrow", tmp_path / "elsewhere")
    (folder / "model.arrow").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(BundleError, match=r"model\.arrow is not a plain file"):
        Bundle.load(folder)


@pytest.mark.parametrize("number", [0, 2, "1", None, True, 1.5])
def test_an_unknown_format_is_refused_by_number(folder: Path, number: object) -> None:
    reseal(folder, format=number)
    with pytest.raises(BundleError, match=r"manifest\.json is of format .* and this version reads 1; update mlcore"):
        Bundle.load(folder)


def test_a_manifest_that_lacks_a_required_file_is_refused(folder: Path) -> None:
    files = json.loads((folder / "manifest.json").read_text())["files"]
    del files["transforms.json"]
    reseal(folder, files=files)
    with pytest.raises(BundleError, match=r"manifest\.json does not list transforms\.json"):
        Bundle.load(folder)


def test_a_digest_that_is_not_the_files_is_refused(folder: Path) -> None:
    reseal(folder, digest="0" * 64)
    with pytest.raises(BundleError, match=r"manifest\.json was altered"):
        Bundle.load(folder)


@pytest.mark.parametrize("name", ["model.arrow", "profile.arrow", "schema.json", "transforms.json"])
@pytest.mark.parametrize("content", [b"", b"{}", b"ARROW1"])
def test_a_file_of_another_kind_is_named_though_its_hash_fits(folder: Path, name: str, content: bytes) -> None:
    files = json.loads((folder / "manifest.json").read_text())["files"]
    (folder / name).write_bytes(content)
    files[name] = {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}
    table = json.dumps(files, sort_keys=True, separators=(",", ":"))
    reseal(folder, files=files, digest=hashlib.sha256(table.encode()).hexdigest())
    with pytest.raises(BundleError, match=name):
        Bundle.load(folder)


def test_a_folder_that_is_no_bundle_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"manifest\.json is missing"):
        Bundle.load(tmp_path)
    with pytest.raises(BundleError, match="there is no such folder"):
        Bundle.load(tmp_path / "nowhere")


def test_saving_twice_changes_nothing(bundle: Bundle, folder: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert make().save(folder) == bundle.digest
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == before


def test_another_bundle_is_never_overwritten(bundle: Bundle, folder: Path) -> None:
    with pytest.raises(BundleError, match=rf"holds another Bundle \({bundle.digest[:12]}\)"):
        make(2).save(folder)
    assert Bundle.load(folder).digest == bundle.digest


def test_a_damaged_copy_of_the_same_bundle_is_not_taken_for_it(folder: Path) -> None:
    (folder / "model.ubj").write_bytes(b"x")
    with pytest.raises(BundleError, match=r"model\.ubj"):
        make().save(folder)


def test_a_folder_with_other_things_in_it_is_refused(bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "notes.txt").write_text("mine")
    with pytest.raises(BundleError, match="the folder holds something else"):
        bundle.save(tmp_path / "b")
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


def test_a_race_for_one_folder_is_settled(bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other, rename = make(2), os.rename

    def late(part: Path, target: Path) -> None:
        monkeypatch.setattr(os, "rename", rename)
        other.save(target)
        rename(part, target)

    monkeypatch.setattr(os, "rename", late)
    with pytest.raises(BundleError, match="another Bundle"):
        bundle.save(tmp_path / "b")
    assert Bundle.load(tmp_path / "b").digest == other.digest
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


def test_a_place_that_cannot_be_written_leaves_nothing(bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        bundle.save(tmp_path / "file" / "b")


def test_a_full_disk_leaves_nothing(bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = Path.write_bytes

    def full(self: Path, data: bytes) -> int:
        if self.name == "profile.arrow":
            raise OSError(28, "No space left on device")
        return write(self, data)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        with pytest.raises(OutputError, match="No space left on device"):
            bundle.save(tmp_path / "b")
    assert list(tmp_path.iterdir()) == []


KILLED = """
import os, signal, sys
from pathlib import Path
from mlcore.bundle import Bundle
bundle, target, number = Bundle.load(sys.argv[1]), sys.argv[2], int(sys.argv[3])
write, count = Path.write_bytes, 0
def dying(self, data):
    global count
    count += 1
    if count == number:
        write(self, data[: len(data) // 2])
        os.kill(os.getpid(), signal.SIGKILL)
    return write(self, data)
Path.write_bytes = dying
bundle.save(target)
"""


@pytest.mark.parametrize("number", [1, 4, 6])
def test_a_save_killed_in_the_middle_leaves_no_bundle(folder: Path, tmp_path: Path, number: int) -> None:
    words = [sys.executable, "-c", KILLED, str(folder), str(tmp_path / "new"), str(number)]
    assert subprocess.run(words, check=False).returncode == -signal.SIGKILL
    assert not (tmp_path / "new").exists()
    assert Bundle.load(folder).save(tmp_path / "new") == Bundle.load(tmp_path / "new").digest


def test_a_nan_metric_is_kept_as_text(bundle: Bundle, tmp_path: Path) -> None:
    dataclasses.replace(bundle, provenance={"metrics": {"auc": float("nan"), "all": [float("inf"), 1.0]}}).save(
        tmp_path / "b"
    )
    assert Bundle.load(tmp_path / "b").provenance == {"metrics": {"auc": "nan", "all": ["inf", 1.0]}}


def test_provenance_that_json_cannot_say_is_refused(bundle: Bundle, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="what JSON cannot say"):
        dataclasses.replace(bundle, provenance={"params": {"x": object()}}).save(tmp_path / "b")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def work_tree(tmp_path: Path) -> Iterator[Path]:
    for words in (
        "init -q",
        "-c user.name=a -c user.email=a@b commit -q --allow-empty -m one",
    ):
        subprocess.run(["git", "-C", str(tmp_path), *words.split()], check=True)
    return tmp_path


def test_provenance_names_commit_and_changes(work_tree: Path) -> None:
    done = subprocess.run(
        ["git", "-C", str(work_tree), "rev-parse", "HEAD"], capture_output=True, text=True, check=True
    )
    assert code_version(work_tree) == {"commit": done.stdout.strip(), "dirty": False}
    (work_tree / "new.txt").write_text("x")
    assert code_version(work_tree) == {"commit": done.stdout.strip(), "dirty": True}


def test_provenance_without_git_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert code_version(tmp_path) is None
    monkeypatch.setenv("PATH", "")
    assert code_version(tmp_path) is None


def test_provenance_names_versions_and_what_it_was_given() -> None:
    found = collect(snapshot="abc", params={"eta": 0.1}, metrics={"auc": 0.7})
    assert (found["snapshot"], found["params"], found["metrics"]) == ("abc", {"eta": 0.1}, {"auc": 0.7})
    assert found["libraries"]["numpy"] == np.__version__ and found["created"].endswith("+00:00")
    assert found["python"] == sys.version.split()[0]


def test_a_bundle_without_provenance_gets_one_when_saved(bundle: Bundle, tmp_path: Path) -> None:
    dataclasses.replace(bundle, provenance={}).save(tmp_path / "b")
    assert set(Bundle.load(tmp_path / "b").provenance) == set(collect())
