"""The parts of an ONNX file that importers read: a checked graph, attributes and tensors; nothing else imports `onnx`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from mlcore.errors import ModelFormatError, UnsupportedModel, require
from mlcore.models.ensemble import Array

DOMAINS: Final = {"": "", "ai.onnx": "", "ai.onnx.ml": "ai.onnx.ml"}
ML_VERSIONS: Final = range(1, 6)
TYPES: Final = {1: "float", 6: "int32", 7: "int64", 11: "double"}
MOST_COLUMNS: Final = 1 << 20  # beyond it a number is damaged, not announced
MOST_VALUES: Final = 1 << 27


@dataclass(frozen=True, eq=False)
class Node:
    """One node: what it computes, from which values, under which settings."""

    op: str
    domain: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]

    def __str__(self) -> str:
        return f"{self.op} '{self.outputs[0]}'"

    def only(self, *known: str) -> None:
        """Raise UnsupportedModel where an attribute is set that is none of these."""
        for name in self.attributes:
            if name not in known:
                raise UnsupportedModel(f"{self}: attribute '{name}' is not imported")

    def text(self, name: str, default: str) -> str:
        """Return a string attribute."""
        value = self.attributes.get(name, default)
        if not isinstance(value, str):
            raise ModelFormatError(f"{self}: attribute '{name}' is no string")
        return value

    def number(self, name: str, default: int) -> int:
        """Return an integer attribute."""
        value = self.attributes.get(name, default)
        if not isinstance(value, int):
            raise ModelFormatError(f"{self}: attribute '{name}' is no integer")
        return value

    def texts(self, name: str) -> list[str]:
        """Return an attribute of strings; none where it is not set."""
        values = self.attributes.get(name, [])
        if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
            raise ModelFormatError(f"{self}: attribute '{name}' does not hold strings")
        return values

    def integers(self, name: str, count: int | None = None) -> Array:
        """Return an attribute of integers as int64, which must be `count` where that is given."""
        return self._numbers(name, "iu", count).astype(np.int64)

    def floats(self, name: str, count: int | None = None) -> Array:
        """Return an attribute of floats in its own type, from a list or a tensor."""
        return self._numbers(name, "f", count)

    def _numbers(self, name: str, kinds: str, count: int | None) -> Array:
        found = self.attributes.get(name, [])
        values = found if isinstance(found, np.ndarray) else np.array(found, np.int64 if kinds == "iu" else np.float32)
        if values.size and values.dtype.kind not in kinds:
            raise ModelFormatError(f"{self}: attribute '{name}' is of type {values.dtype}")
        if values.ndim != 1:
            raise ModelFormatError(f"{self}: attribute '{name}' is no list")
        if count is not None and len(values) != count:
            raise ModelFormatError(f"{self}: attribute '{name}' has {len(values)} entries, expected {count}")
        return values


@dataclass(frozen=True, eq=False)
class Graph:
    """A graph's inputs (type and number of columns), constants, nodes in order, and the names of its outputs."""

    inputs: Mapping[str, tuple[str, int]]
    constants: Mapping[str, Array]
    nodes: tuple[Node, ...]
    outputs: tuple[str, ...]


def library() -> Any:
    """Return the `onnx` package.

    Raises:
        MissingExtra: it is not installed.
    """
    return require("onnx", extra="onnx", purpose="read ONNX models")


def graph_of(model: Any) -> Graph:
    """Return the graph of an `onnx.ModelProto`.

    Raises:
        ModelFormatError: it is no graph.
        UnsupportedModel: it holds what is not imported, by name.
    """
    _check_versions(model)
    graph = model.graph
    for part in ("sparse_initializer", "quantization_annotation"):
        if getattr(graph, part):
            raise UnsupportedModel(f"the graph holds '{part}', which is not imported")
    constants = {tensor.name: array(tensor, f"constant '{tensor.name}'") for tensor in graph.initializer}
    inputs = {value.name: _input(value) for value in graph.input if value.name not in constants}
    nodes = []
    for proto in graph.node:
        node = _node(proto)
        if node.op == "Constant":
            constants[node.outputs[0]] = _constant(node)
        else:
            nodes.append(node)
    if not inputs or not graph.output:
        raise ModelFormatError("the graph has no input or no output")
    _check_names(inputs, constants, nodes)
    return Graph(inputs, constants, tuple(nodes), tuple(value.name for value in graph.output))


def _check_versions(model: Any) -> None:
    if model.functions:
        raise UnsupportedModel("the model defines functions of its own, which are not imported")
    for known in model.opset_import:
        if known.domain == "ai.onnx.ml" and known.version not in ML_VERSIONS:
            raise UnsupportedModel(f"opset {known.version} of ai.onnx.ml is not imported; 1 to 5 are")


def _check_names(inputs: Iterable[str], constants: Iterable[str], nodes: Iterable[Node]) -> None:
    """Each value is made once, and before it is used: so that there are no cycles."""
    made = {*inputs, *constants}
    for node in nodes:
        for name in node.inputs:
            if name not in made:
                raise ModelFormatError(f"{node}: its input '{name}' is made by nothing before it")
        for name in filter(None, node.outputs):
            if name in made:
                raise ModelFormatError(f"{node}: another node makes '{name}' too")
            made.add(name)


def _node(proto: Any) -> Node:
    domain = DOMAINS.get(proto.domain)
    if domain is None:
        raise UnsupportedModel(f"operator '{proto.op_type}' of domain '{proto.domain}' is not imported")
    if not proto.output or not proto.output[0]:
        raise ModelFormatError(f"a node {proto.op_type} has no output")
    name = proto.op_type
    if len({each.name for each in proto.attribute}) != len(proto.attribute):
        raise ModelFormatError(f"{name} '{proto.output[0]}': an attribute stands twice")
    attributes = {each.name: _attribute(each, name) for each in proto.attribute}
    return Node(name, domain, _given(proto.input), tuple(proto.output), attributes)


def _given(inputs: Iterable[str]) -> tuple[str, ...]:
    """Inputs without those at the end that are left out."""
    names = list(inputs)
    while names and not names[-1]:
        names.pop()
    return tuple(names)


def _attribute(attribute: Any, op: str) -> Any:
    """An attribute's value: a float, an integer, a string, a list of one of them, or an array."""
    kind, what = attribute.type, f"{op}: attribute '{attribute.name}'"
    if attribute.ref_attr_name:
        raise UnsupportedModel(f"{what} refers to one of a function")
    match kind:
        case 1:
            return float(attribute.f)
        case 2:
            return int(attribute.i)
        case 3:
            return _text(attribute.s, what)
        case 4:
            return array(attribute.t, what)
        case 6:
            return np.array(attribute.floats, np.float32)
        case 7:
            return np.array(attribute.ints, np.int64)
        case 8:
            return [_text(value, what) for value in attribute.strings]
    raise UnsupportedModel(f"{what} is of kind {kind}, which is not imported")


def _text(data: bytes, what: str) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise ModelFormatError(f"{what} is not UTF-8") from error


def _constant(node: Node) -> Array:
    node.only("value", "value_float", "value_floats", "value_int", "value_ints", "value_strings")
    if len(node.attributes) != 1:
        raise ModelFormatError(f"{node} has {len(node.attributes)} values")
    value = next(iter(node.attributes.values()))
    if isinstance(value, list):
        return np.array(value, object)
    return np.asarray(value, np.float32 if isinstance(value, float) else None)


def array(tensor: Any, what: str) -> Array:
    """Return a TensorProto as an array; numbers and strings only."""
    if tensor.data_location == 1 or tensor.external_data:
        raise UnsupportedModel(f"{what} lies in another file; save the model in one")
    dims = list(tensor.dims)
    if any(not 0 <= size <= MOST_VALUES for size in dims) or int(np.prod(dims, dtype=object)) > MOST_VALUES:
        raise ModelFormatError(f"{what} is of shape {dims}")
    try:
        found: Array = library().numpy_helper.to_array(tensor)
    except (ValueError, TypeError, KeyError, IndexError) as error:
        raise ModelFormatError(f"{what} is damaged ({error})") from error
    if found.dtype.kind == "O":
        found = np.array([_text(v, what) if isinstance(v, bytes) else v for v in found.reshape(-1)], object)
    elif found.dtype.kind not in "biuf":
        raise UnsupportedModel(f"{what} is of type {found.dtype}")
    return found


def _input(value: Any) -> tuple[str, int]:
    """The type of an input's numbers, and how many columns it has."""
    tensor = value.type.tensor_type
    if value.type.WhichOneof("value") != "tensor_type" or tensor.elem_type not in TYPES:
        raise UnsupportedModel(f"input '{value.name}' is no tensor of {', '.join(TYPES.values())}")
    dims = tensor.shape.dim
    if len(dims) != 2 or not dims[1].dim_value:
        raise UnsupportedModel(f"input '{value.name}' does not say how many columns its rows have: [rows, columns]")
    if not 0 < dims[1].dim_value <= MOST_COLUMNS:
        raise ModelFormatError(f"input '{value.name}' has {dims[1].dim_value} columns")
    return TYPES[tensor.elem_type], int(dims[1].dim_value)
