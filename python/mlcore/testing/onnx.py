"""ONNX models made by hand, node by node, and ONNX Runtime sessions of one thread to hold a Scorer against."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from mlcore.testing import awkward

Array = np.ndarray[Any, Any]
TYPES = {
    np.dtype(np.float32): TensorProto.FLOAT,
    np.dtype(np.float64): TensorProto.DOUBLE,
    np.dtype(np.int64): TensorProto.INT64,
}


def session(model: onnx.ModelProto) -> onnxruntime.InferenceSession:
    """One thread: trees are then added one after another for any number of rows."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def run(model: onnx.ModelProto, rows: Array) -> list[Any]:
    """Return what a session of one thread gives for the rows of a model's one input."""
    started = session(model)
    found: list[Any] = started.run(None, {started.get_inputs()[0].name: rows})
    return found


def model_of(
    nodes: Any, outputs: Mapping[str, int], *, width: int = 2, dtype: Any = np.float32, ml: int = 3, constants: Any = ()
) -> onnx.ModelProto:
    """A graph of nodes over one input `X`."""
    graph = helper.make_graph(
        list(nodes),
        "g",
        [helper.make_tensor_value_info("X", TYPES[np.dtype(dtype)], [None, width])],
        [helper.make_tensor_value_info(name, kind, None) for name, kind in outputs.items()],
        [numpy_helper.from_array(values, name) for name, values in constants],
    )
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", ml)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9)


def tree_lists(trees: list[Any]) -> dict[str, Any]:
    """Return the attributes of nested trees.

    A tree is ("MODE", feature, threshold, missing true, true branch, false branch), or a leaf's {target: weight}.
    """
    lists: dict[str, list[Any]] = {
        name: [] for name in ("falsenodeids", "featureids", "missing_value_tracks_true", "modes", "nodeids", "treeids",
                              "truenodeids", "values", "ids", "weight_nodeids", "weight_treeids", "weights")
    }  # fmt: skip

    def add(tree: int, node: Any, counter: list[int]) -> int:
        own = counter[0]
        counter[0] += 1
        at = len(lists["modes"])
        leaf = isinstance(node, dict)
        mode, feature, value, missing = ("LEAF", 0, 0.0, 0) if leaf else node[:4]
        known = {"featureids": feature, "missing_value_tracks_true": missing, "modes": mode, "nodeids": own}
        known |= {"falsenodeids": 0, "truenodeids": 0, "treeids": tree, "values": value}
        for name, item in known.items():
            lists[name].append(item)
        if leaf:
            for target, weight in node.items():
                for name, item in (
                    ("ids", target),
                    ("weight_nodeids", own),
                    ("weight_treeids", tree),
                    ("weights", weight),
                ):
                    lists[name].append(item)
        else:
            lists["truenodeids"][at] = add(tree, node[4], counter)
            lists["falsenodeids"][at] = add(tree, node[5], counter)
        return own

    for index, tree in enumerate(trees):
        add(index, tree, [0])
    return lists


def ensemble(
    trees: list[Any], *, op: str = "TreeEnsembleRegressor", dtype: Any = np.float32, doubles: bool = False, ml: int = 3,
    width: int = 2, **attributes: Any,
) -> onnx.ModelProto:  # fmt: skip
    """A model of one TreeEnsembleRegressor or TreeEnsembleClassifier; `doubles` gives its numbers as double tensors."""
    lists, prefix = tree_lists(trees), "target" if op == "TreeEnsembleRegressor" else "class"
    given: dict[str, Any] = {
        f"nodes_{name}": lists[name]
        for name in (
            "falsenodeids",
            "featureids",
            "missing_value_tracks_true",
            "modes",
            "nodeids",
            "treeids",
            "truenodeids",
        )
    }
    given |= {f"{prefix}_ids": lists["ids"], f"{prefix}_nodeids": lists["weight_nodeids"]}
    given[f"{prefix}_treeids"] = lists["weight_treeids"]
    numbers = {"nodes_values": lists["values"], f"{prefix}_weights": lists["weights"]}
    if "base_values" in attributes:
        numbers["base_values"] = attributes.pop("base_values")
    for name, values in numbers.items():
        if doubles:
            given[f"{name}_as_tensor"] = numpy_helper.from_array(np.array(values, np.float64), name)
        else:
            given[name] = [float(value) for value in values]
    if prefix == "target":
        attributes.setdefault("n_targets", 1)
    classes: Mapping[str, int] = {"label": label_type(attributes), "scores": TensorProto.FLOAT}
    outputs: Mapping[str, int] = {"variable": TensorProto.FLOAT} if prefix == "target" else classes
    node = helper.make_node(op, ["X"], list(outputs), domain="ai.onnx.ml", **given, **attributes)
    return model_of([node], outputs, dtype=dtype, ml=ml, width=width)


def label_type(attributes: dict[str, Any]) -> int:
    """The type of the labels that a classifier's attributes give."""
    return TensorProto.STRING if "classlabels_strings" in attributes else TensorProto.INT64


def neighbours(values: Any, dtype: Any) -> Array:
    """The values and the next ones up and down, and what is awkward anywhere."""
    known = np.array([*values, 0.0, -0.0, np.inf, -np.inf], dtype)
    return np.unique(np.append(awkward.neighbours(known), np.array([np.nan, 0.5], dtype)))
