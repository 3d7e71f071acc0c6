"""Import of ONNX models: one tree operator, linear model or dense network, and what converters put around it.

The graph is read in order, each value as what it is: columns of the input, scores of the model, probabilities, labels.
What a node does that none of these say is refused by name. The oracle is ONNX Runtime's CPU provider.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from mlcore.errors import ModelFormatError, UnsupportedModel
from mlcore.models import onnx_graph
from mlcore.models.damage import reading
from mlcore.models.imported import Imported
from mlcore.models.onnx_graph import Graph, Node
from mlcore.models.onnx_layers import LAYERS, activation
from mlcore.models.onnx_models import MODELS
from mlcore.models.onnx_steps import STEPS, through_link
from mlcore.models.onnx_values import Both, Columns, Constant, Labels, Maps, Scores, Value, scores_of

_ML: Final = frozenset({*MODELS, "ArrayFeatureExtractor", "Normalizer", "Scaler", "ZipMap"})
_OPERATORS: Final[dict[str, Callable[..., tuple[Value, ...]]]] = {**STEPS, **MODELS, **LAYERS}
_FIRST_BYTE = b"\x08"  # the tag of ModelProto's first field, which every writer sets


def is_source(source: Any) -> bool:
    """Return whether `source` is an ONNX model: a ModelProto, the bytes of one, or the path of a file `.onnx`."""
    if isinstance(source, bytes | bytearray):
        return source[:1] == _FIRST_BYTE
    if isinstance(source, str | Path):
        return Path(source).suffix == ".onnx"
    return type(source).__module__.split(".")[0] == "onnx" and hasattr(source, "graph")


def read(source: Any) -> Imported:
    """Return an ONNX model in neutral form, and what its labels are.

    Raises:
        ModelFormatError: a file that cannot be read, or is damaged.
        UnsupportedModel: an operator or a setting that is not imported; named in the message.
        MissingExtra: the package `onnx` is not installed.
    """
    if isinstance(source, str | Path):
        try:
            return _parse(Path(source).read_bytes(), f"model file {source}")
        except OSError as error:
            raise ModelFormatError(f"model file {source}: {error.strerror}") from error
    if isinstance(source, bytes | bytearray):
        return _parse(bytes(source), "ONNX model")
    return _read(source, "ONNX model")


def _parse(data: bytes, where: str) -> Imported:
    model = onnx_graph.library().ModelProto()
    try:
        model.ParseFromString(data)
    except importlib.import_module("google.protobuf.message").DecodeError as error:  # what `onnx` is read with
        raise ModelFormatError(f"{where}: not a whole ONNX model ({error})") from error
    return _read(model, where)


def _read(model: Any, where: str) -> Imported:
    with reading(where, "ONNX model"):
        return _imported(onnx_graph.graph_of(model))


def _imported(graph: Graph) -> Imported:
    values: dict[str, Value] = {name: Constant(array) for name, array in graph.constants.items()}
    values |= _columns(graph)
    for node in graph.nodes:
        made = _apply(node, [values[name] for name in node.inputs])
        values.update(zip(filter(None, node.outputs), made, strict=False))
    missing = [name for name in graph.outputs if name not in values]
    if missing:
        raise ModelFormatError(f"output '{missing[0]}' is made by no node")
    return _answers({name: values[name] for name in graph.outputs})


def _columns(graph: Graph) -> dict[str, Value]:
    """Each input: the one matrix, or one column of several."""
    if len(graph.inputs) == 1:
        name, (kind, count) = next(iter(graph.inputs.items()))
        return {name: Columns(tuple(f"f{i}" for i in range(count)), False, kind)}
    wide = [name for name, (_, count) in graph.inputs.items() if count != 1]
    if wide:
        raise UnsupportedModel(f"input '{wide[0]}' is one of several and has more than one column; not imported")
    return {name: Columns((name,), True, kind) for name, (kind, _) in graph.inputs.items()}


def _apply(node: Node, given: list[Value]) -> tuple[Value, ...]:
    operator = _OPERATORS.get(node.op)
    if operator is None or (node.domain == "ai.onnx.ml") != (node.op in _ML):
        raise UnsupportedModel(f"operator '{node.op}' is not imported; these are: {', '.join(sorted(_OPERATORS))}")
    if operator is activation and node.op == "Sigmoid" and isinstance(given[0], Scores):
        operator = through_link
    try:
        inspect.signature(operator).bind(node, *given)
    except TypeError as error:
        raise ModelFormatError(f"{node}: {len(given)} inputs ({error})") from error
    made = operator(node, *given)
    if len(node.outputs) > len(made):
        raise ModelFormatError(f"{node}: {len(node.outputs)} outputs; it has {len(made)}")
    return made


def _answers(outputs: dict[str, Value]) -> Imported:
    """What the graph's outputs are together: one model's scores, labels, or both."""
    labels = [value for value in outputs.values() if isinstance(value, Labels)]
    given = {name: _scores(name, value) for name, value in outputs.items() if not isinstance(value, Labels)}
    every = [*given.values(), *(label.of for label in labels)]
    if len({each.make for each in every}) != 1:
        raise UnsupportedModel("the graph gives the answers of more than one model")
    if len(labels) > 1 or len({(each.link, each.flat) for each in given.values()}) > 1:
        raise UnsupportedModel(f"the graph gives one answer several times: {', '.join(outputs)}")
    scores = every[0]
    _check_labels(outputs, labels)
    classes = labels[0].classes if labels else scores.classes
    if classes is not None:
        return Imported(scores.make(scores.link), classes, scores.cutoff)
    return Imported(scores.make(scores.link), flat=scores.flat)


def _scores(name: str, value: Value) -> Scores:
    if isinstance(value, Maps):
        value = value.of
    return value.of if isinstance(value, Both) else scores_of(value, f"output '{name}'")


def _check_labels(outputs: Mapping[str, Value], labels: list[Labels]) -> None:
    """Dictionaries of probabilities have the keys that labels have; those of two classes have labels beside them."""
    for name, value in outputs.items():
        if isinstance(value, Maps) and (not labels or value.classes.tolist() != labels[0].classes.tolist()):
            raise UnsupportedModel("ZipMap: its labels are not those that the model gives")
        if isinstance(value, Both) and not labels:
            raise UnsupportedModel(f"'{name}' gives the probabilities of two classes, and no output their labels")
