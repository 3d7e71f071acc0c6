"""From CatBoost's own form to its JSON, by CatBoost itself; a file in a process of its own, as a damaged one ends that."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from mlcore.errors import MissingExtra, ModelFormatError, UnsupportedModel

Leaves = list[tuple[list[tuple[int, int]], list[int]]]
"""Of each tree that is not oblivious: how far each node's children are, and what its leaf is called."""

_UNSUPPORTED: Final = 3  # the process's exit code
_SECONDS: Final = 600
_FREE_BYTES: Final = 8 << 30
_BYTES_A_BYTE: Final = 100


def exported(model: Any) -> tuple[dict[str, Any], Leaves]:
    """Return the JSON of a `catboost.CatBoost`, and what that does not say of its leaves.

    Raises:
        UnsupportedModel: it has text or embedding features, which the JSON leaves out.
    """
    for kind in ("text", "embedding"):
        if getattr(model, f"get_{kind}_feature_indices")():
            raise UnsupportedModel(f"{kind} features are not imported")
    with TemporaryDirectory() as folder:
        path = Path(folder) / "model.json"
        model.save_model(str(path), format="json")
        document: dict[str, Any] = json.loads(path.read_bytes())
    trees = range(model.tree_count_ if "trees" in document else 0)
    return document, [(model._get_tree_step_nodes(tree), model._get_tree_node_to_leaf(tree)) for tree in trees]


def converted(data: bytes) -> tuple[dict[str, Any], Leaves]:
    """Return the JSON of a .cbm file's bytes, and what that does not say of its leaves.

    Raises:
        ModelFormatError: CatBoost does not read it.
        UnsupportedModel: the model is of a kind that is not imported.
        MissingExtra: CatBoost is not installed.
    """
    if importlib.util.find_spec("catboost") is None:
        raise MissingExtra(
            "to read .cbm files, the package 'catboost' is needed and not installed; add it with: "
            "pip install 'mlcore[catboost]', or save the model as JSON"
        )
    with TemporaryDirectory() as folder:
        (Path(folder) / "model.cbm").write_bytes(data)
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        # runpy warns that the package has imported this module: no reason why a file cannot be read
        command = [sys.executable, "-P", "-W", "ignore::RuntimeWarning", "-m", __name__, folder]
        try:
            done = subprocess.run(command, env=environment, capture_output=True, timeout=_SECONDS, check=False)
        except subprocess.TimeoutExpired as error:
            raise ModelFormatError(f"CatBoost has not read it in {_SECONDS} seconds") from error
        if done.returncode:
            said = done.stderr.decode(errors="replace").strip().splitlines()
            kind = UnsupportedModel if done.returncode == _UNSUPPORTED else ModelFormatError
            raise kind(
                said[-1][:400] if said else f"CatBoost itself ends with code {done.returncode} where it reads it"
            )
        document, leaves = json.loads((Path(folder) / "exported.json").read_bytes())
        return document, leaves


def main(folder: Path) -> int:
    """Convert the file `model.cbm` of a folder, and return the exit code."""
    import resource  # which not every system has

    import catboost

    source = folder / "model.cbm"
    limit = _FREE_BYTES + _BYTES_A_BYTE * source.stat().st_size
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (limit if most == resource.RLIM_INFINITY else min(limit, most), most))
    try:
        found = exported(catboost.CatBoost().load_model(str(source)))
    except UnsupportedModel as error:
        sys.stderr.write(str(error))
        return _UNSUPPORTED
    (folder / "exported.json").write_text(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
