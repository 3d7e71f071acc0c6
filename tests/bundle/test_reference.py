"""From a name to a Bundle, through the records of a project."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import pytest

from mlcore import bundle as bundles
from mlcore.bundle import Bundle
from mlcore.data.schema import Field, Schema
from mlcore.errors import BundleError, RegistryError, UsageError
from mlcore.models import TreeEnsemble
from mlcore.preprocessing.features import Feature, Transforms
from mlcore.records.registry import Registry


def make(*leaves: float) -> Bundle:
    import numpy as np

    n = len(leaves)
    model = TreeEnsemble(
        source="test",
        objective="reg:squarederror",
        link="identity",
        base_margin=(0.0,),
        feature_names=("x",),
        named=True,
        stored_categories=(None,),
        tree_start=np.arange(n + 1, dtype=np.int64),
        feature=np.full(n, -1, np.int32),
        threshold=np.zeros(n, np.float32),
        default_left=np.zeros(n, np.uint8),
        left=np.zeros(n, np.int32),
        right=np.zeros(n, np.int32),
        value=np.array(leaves, np.float32)[:, None],
        tree_output=np.zeros(n, np.int32),
        leaf_id=np.zeros(n, np.int32),
        cover=np.zeros(0),
        interval_set=np.full(n, -1, np.int32),
        bound_start=np.zeros(1, np.int64),
        bounds=np.zeros(0, np.float32),
    )
    return Bundle(
        model,
        Transforms((Feature("x", "x", ()),)),
        Schema((Field("x", "double"),)),
        provenance={"created": "now"},
    )


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    """Two versions, the second champion."""
    root = tmp_path_factory.mktemp("project")
    registry = Registry.open(root, actor="ann")
    for leaf in (1.0, 2.0):
        bundle = make(leaf)
        folder = root / ".mlcore/bundles" / bundles.short(bundle.digest)
        registry.register("m", folder, digest=bundle.save(folder))
    registry.log.promote("m", "2", expected=None, reason="better")
    return registry


@pytest.fixture(autouse=True)
def inside(project: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MLFLOW_TRACKING_URI", "MLCORE_DECISIONS_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(project.root)


def leaf(bundle: Bundle) -> float:
    return float(bundle.model.value[0, 0])


@pytest.mark.parametrize(("ref", "expected"), [("m@champion", 2.0), ("m:champion", 2.0), ("m:1", 1.0), ("m:2", 2.0)])
def test_a_name_leads_to_its_bundle(ref: str, expected: float) -> None:
    assert leaf(bundles.load(ref)) == expected


def test_a_digest_prefix_leads_to_its_bundle(project: Registry) -> None:
    digest = make(1.0).digest
    assert leaf(bundles.load(digest[:8], registry=project)) == 1.0
    assert leaf(bundles.load(f"m:{digest[:8]}", registry=project)) == 1.0


def test_a_folder_needs_no_records(project: Registry, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = project.get("m", "1").bundle
    monkeypatch.chdir(tmp_path)
    assert leaf(bundles.load(folder)) == leaf(bundles.load(str(folder))) == 1.0
    assert list(tmp_path.iterdir()) == []


def test_a_name_outside_a_project_says_where_to_go(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=r"'m@champion' is looked up in the records of a project, and .* is none"):
        bundles.load("m@champion")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("ref", ["", "no such/folder", "m@", "@champion", "m champion"])
def test_text_that_is_no_reference_is_refused(ref: str) -> None:
    with pytest.raises(UsageError, match=r"is neither a Bundle's folder nor a reference"):
        bundles.load(ref)


def test_another_alias_is_refused() -> None:
    with pytest.raises(UsageError, match="the one alias is champion; give a version as m:7"):
        bundles.load("m@staging")


def test_a_version_that_is_not_there_is_refused(project: Registry) -> None:
    with pytest.raises(RegistryError, match="model 'm' has no '9'"):
        bundles.load("m:9", registry=project)


def test_a_folder_that_was_exchanged_is_refused(project: Registry, tmp_path: Path) -> None:
    make(3.0).save(tmp_path / "other")
    version = dataclasses.replace(project.get("m", "1"), bundle=tmp_path / "other")
    with pytest.raises(BundleError, match=r"but m:1 was registered as .*; restore the folder"):
        bundles.reference.load_version(version)


def test_a_registered_bundle_whose_folder_is_gone_is_named(project: Registry, tmp_path: Path) -> None:
    shutil.copytree(project.root / ".mlcore", tmp_path / ".mlcore")
    shutil.rmtree(tmp_path / ".mlcore/bundles")
    with pytest.raises(BundleError, match="there is no such folder"):
        bundles.load("m:1", registry=Registry.open(tmp_path, actor="ann"))
