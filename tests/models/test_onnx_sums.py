"""ONNX's linear operators, layers and what stands around them, node by node, against ONNX Runtime."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import mlcore
from mlcore.errors import ModelFormatError, UnsupportedModel
from mlcore.testing.onnx import ensemble, model_of, run

RNG = np.random.default_rng(29)
X = RNG.normal(size=(200, 2)).astype(np.float32)
X[:5] = 0


def linear_classifier(coefficients: Any, intercepts: Any, labels: Any, post: str = "NONE") -> onnx.ModelProto:
    """A model of one LinearClassifier."""
    node = helper.make_node(
        "LinearClassifier", ["X"], ["label", "scores"], domain="ai.onnx.ml", classlabels_ints=labels,
        coefficients=coefficients, intercepts=intercepts, post_transform=post,
    )  # fmt: skip
    return model_of([node], {"label": TensorProto.INT64, "scores": TensorProto.FLOAT})


def layer(weights: Any, bias: Any, nodes: Any, outputs: Any) -> onnx.ModelProto:
    """A model of one layer `sums` and the nodes after it."""
    constants = [
        ("weights", np.array(weights, np.float32)), ("bias", np.array(bias, np.float32)),
        ("one", np.ones(1, np.float32)), ("known", np.array([3, 9])), ("rows", np.array([-1])),
    ]  # fmt: skip
    first = helper.make_node("Gemm", ["X", "weights", "bias"], ["sums"])
    return model_of([first, *nodes], outputs, constants=constants)


SHARES = [
    helper.make_node("Sigmoid", ["sums"], ["second"]),
    helper.make_node("Sub", ["one", "second"], ["first"]),
    helper.make_node("Concat", ["first", "second"], ["both"], axis=1),
]
LABELS = [
    helper.make_node("ArgMax", ["both"], ["number"], axis=1),
    helper.make_node("ArrayFeatureExtractor", ["known", "number"], ["found"], domain="ai.onnx.ml"),
    helper.make_node("Reshape", ["found", "rows"], ["label"]),
]


@pytest.mark.parametrize("post", ["NONE", "LOGISTIC", "SOFTMAX"])
@pytest.mark.parametrize("classes", [1, 2, 3])
def test_a_linear_classifier_of_one_score_or_one_a_class(post: str, classes: int) -> None:
    model = linear_classifier(RNG.normal(size=2 * classes), [0.0] * classes, [3, 9, 4][: max(2, classes)], post)
    labels, scores = run(model, X)
    scorer: Any = mlcore.compile(model)
    assert np.array_equal(scorer.predict(X), labels)
    np.testing.assert_allclose(scorer.predict_proba(X), scores, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("post", ["NONE", "LOGISTIC"])
def test_a_linear_classifier_of_one_class_is_refused(post: str) -> None:
    with pytest.raises(UnsupportedModel, match="1 classes with 1 intercepts are not imported"):
        mlcore.compile(linear_classifier([1.0, 2.0], [0.5], [3], post))


def test_classes_that_tie_get_the_first_ones_label() -> None:
    model = layer([[1], [-1]], [0], [*SHARES, *LABELS], {"label": TensorProto.INT64, "both": TensorProto.FLOAT})
    labels, shares = run(model, X)
    scorer: Any = mlcore.compile(model)
    assert shares[0].tolist() == [0.5, 0.5] and labels[0] == 3
    assert np.array_equal(scorer.predict(X), labels)
    np.testing.assert_allclose(scorer.predict_proba(X), shares, rtol=1e-6, atol=1e-6)


def test_two_classes_without_their_labels_are_refused() -> None:
    with pytest.raises(
        UnsupportedModel, match="'both' gives the probabilities of two classes, and no output their labels"
    ):
        mlcore.compile(layer([[1], [-1]], [0], SHARES, {"both": TensorProto.FLOAT}))


@pytest.mark.parametrize("op", ["Mul", "Div"])
def test_a_number_that_adds_an_axis_to_scores_is_refused(op: str) -> None:
    deep = helper.make_node("Constant", [], ["deep"], value_floats=[1.0])
    deep.attribute[0].CopyFrom(
        helper.make_attribute("value", onnx.numpy_helper.from_array(np.ones((1, 1, 1), np.float32)))
    )
    model = layer([[1], [-1]], [0], [deep, helper.make_node(op, ["sums", "deep"], ["Y"])], {"Y": TensorProto.FLOAT})
    assert run(model, X)[0].shape == (1, 200, 1)
    with pytest.raises(UnsupportedModel, match=f"{op} of"):
        mlcore.compile(model)


def chain(op: str, count: int, weights: Any) -> onnx.ModelProto:
    """A node that is made of the one before and of the same constant, so many times."""
    nodes = [helper.make_node(op, [f"v{i}" if i else "X", "w"], [f"v{i + 1}"]) for i in range(count)]
    return model_of(nodes, {f"v{count}": TensorProto.FLOAT}, width=len(weights), constants=[("w", weights)])


def test_a_constant_that_is_the_weights_of_many_layers_does_not_fill_the_memory() -> None:
    with pytest.raises(UnsupportedModel, match="more than 1000 layers, or 134217728 weights, are not imported"):
        mlcore.compile(chain("MatMul", 1001, np.ones((2, 2), np.float32)))
    with pytest.raises(UnsupportedModel, match="or 134217728 weights, are not imported"):
        mlcore.compile(chain("MatMul", 200, np.ones((1000, 1000), np.float32)))


def test_columns_after_too_many_steps_are_refused() -> None:
    with pytest.raises(UnsupportedModel, match="after more than 64 steps"):
        mlcore.compile(chain("Add", 65, np.ones(2, np.float32)))


def test_columns_that_are_joined_with_themselves_are_refused() -> None:
    nodes = [helper.make_node("Concat", [f"v{i}", f"v{i}"], [f"v{i + 1}"], axis=1) for i in range(60)]
    inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, 1]) for name in ("v0", "other")]
    outputs = [helper.make_tensor_value_info("v60", TensorProto.FLOAT, None)]
    graph = helper.make_graph(nodes, "g", inputs, outputs)
    with pytest.raises(UnsupportedModel, match="Concat 'v1': a column that stands twice"):
        mlcore.compile(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9))


def test_the_mean_of_no_trees_is_refused() -> None:
    model = ensemble([{0: 1.0}], aggregate_function="AVERAGE", base_values=[2.5])
    for attribute in model.graph.node[0].attribute:
        if attribute.name.startswith(("nodes_", "target_")):
            for part in ("ints", "floats", "strings"):
                del getattr(attribute, part)[:]
    assert np.isnan(run(model, X)[0]).all()
    with pytest.raises(ModelFormatError, match="divisor 0"):
        mlcore.compile(model)


def test_constants_that_are_nodes_have_the_types_of_their_attributes() -> None:
    words = helper.make_node("Constant", [], ["words"], value_strings=["no", "yes"])
    half = helper.make_node("Constant", [], ["half"], value_float=0.1)
    less = helper.make_node("Sub", ["X", "half"], ["less"])
    nodes = [SHARES[0], *SHARES[1:], LABELS[0], words, helper.make_node(
        "ArrayFeatureExtractor", ["words", "number"], ["found"], domain="ai.onnx.ml"), LABELS[2]]  # fmt: skip
    model = layer([[1], [-1]], [0], nodes, {"label": TensorProto.STRING})
    model.graph.node[0].input[0] = "less"
    model.graph.node.insert(0, less)
    model.graph.node.insert(0, half)
    scorer: Any = mlcore.compile(model)
    assert np.array_equal(scorer.predict(X[5:]), run(model, X[5:])[0])


def test_what_labels_are_not_picked_from_is_named() -> None:
    first = helper.make_node("ArrayFeatureExtractor", ["sums", "known"], ["Y"], domain="ai.onnx.ml")
    with pytest.raises(UnsupportedModel, match="ArrayFeatureExtractor of a layer's values is not imported"):
        mlcore.compile(layer([[1], [-1]], [0], [first], {"Y": TensorProto.FLOAT}))
