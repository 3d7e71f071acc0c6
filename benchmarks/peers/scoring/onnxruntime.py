"""ONNX Runtime: probabilities, from the converters of onnxmltools and skl2onnx and CatBoost's own export."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime

from scoring import models


def convert(library: str, model: Any, columns: int, path: Path) -> None:
    """Write the model as ONNX, its probabilities as a plain tensor."""
    from onnxmltools import convert_lightgbm, convert_xgboost
    from onnxmltools.convert.common.data_types import FloatTensorType
    from skl2onnx import to_onnx

    kinds = [("X", FloatTensorType([None, columns]))]
    if library == "CatBoost":
        model.save_model(str(path), format="onnx")
        return without_maps(path)
    if library == "XGBoost":
        found = convert_xgboost(model, initial_types=kinds)
    elif library == "LightGBM":
        found = convert_lightgbm(model, initial_types=kinds, zipmap=False)
    else:
        found = to_onnx(model, np.zeros((1, columns), dtype=np.float32), options={"zipmap": False})
    return onnx.save(found, path)


def without_maps(path: Path) -> None:
    """Give the probabilities out as they are, before CatBoost's export makes a dictionary of each row."""
    found = onnx.load(path)
    graph = found.graph
    maps = next(node for node in graph.node if node.op_type == "ZipMap")
    graph.node.remove(maps)
    graph.output.remove(next(output for output in graph.output if output.name == maps.output[0]))
    graph.output.append(onnx.helper.make_tensor_value_info(maps.input[0], onnx.TensorProto.FLOAT, [None, 2]))
    onnx.save(found, path)


def load(library: str, path: Path, columns: int, kept: Path) -> tuple[Callable[[Any], Any], Callable[[Any], Any]]:
    """Return what makes rows ready and what answers them."""
    built = kept / "model.onnx"
    if not built.exists():
        made = kept / "made.onnx"
        convert(library, models.load(library, path), columns, made)
        made.rename(built)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(built, options, providers=["CPUExecutionProvider"])
    name, outputs = session.get_inputs()[0].name, [session.get_outputs()[-1].name]
    return np.ascontiguousarray, lambda rows: session.run(outputs, {name: rows})[0]
