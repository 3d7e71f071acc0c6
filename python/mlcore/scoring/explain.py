"""Explaining: a model's margins as sums of what each of its features adds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mlcore.errors import UnsupportedModel
from mlcore.models import TreeEnsemble
from mlcore.ops import ExplainerArrays
from mlcore.ops.forest import ForestArrays
from mlcore.scoring.line import Array
from mlcore.scoring.plan import Plan


def explainer_arrays(trees: TreeEnsemble, plan: Plan) -> ExplainerArrays:
    """Return what the `explain` op needs of trees that are compiled to `plan`."""
    # Below a weightless split nothing is added: whatever share of nothing its children have, it stays nothing.
    cover = np.where(_weightless(trees), np.finfo(np.float64).tiny, trees.cover)
    times = trees.value.shape[1]
    return ExplainerArrays(
        _an_output_a_tree(plan.forest), np.tile(trees.feature, times), np.tile(cover, times), trees.n_features
    )


def _an_output_a_tree(forest: ForestArrays) -> ForestArrays:
    """The forest with each tree whose leaves hold vectors as a tree an output, output after output."""
    nodes, outputs = forest.node_value.shape
    if outputs == 1:
        return forest
    starts = forest.tree_start[:-1]
    return replace(
        forest,
        tree_start=np.append((starts + nodes * np.arange(outputs)[:, None]).ravel(), nodes * outputs),
        tree_output=np.repeat(np.arange(outputs, dtype=np.int32), len(starts)),
        node_pred=np.tile(forest.node_pred, outputs),
        node_left=np.tile(forest.node_left, outputs),
        node_right=np.tile(forest.node_right, outputs),
        node_value=np.ascontiguousarray(forest.node_value.T).reshape(-1, 1),
    )


def _weightless(model: TreeEnsemble) -> Array:
    """The splits that no training row passed."""
    return np.asarray((model.feature >= 0) & ~(model.cover > 0))


def refuse_unexplained(model: TreeEnsemble) -> None:
    """Raise UnsupportedModel where leaves are linear, or nobody knows how many training rows passed nodes."""
    if model.linear_leaves is not None:
        raise UnsupportedModel("a model whose leaves are linear is not explained; LightGBM refuses too")
    if model.combinations:
        raise UnsupportedModel(
            "a model with combinations of features is not explained; train with max_ctr_complexity=1"
        )
    if len(model.cover) != model.n_nodes:
        raise UnsupportedModel(
            "the model does not say how many training rows passed each node (its cover), without which SHAP values are "
            "not defined; import it again from its library's own file"
        )
    weightless = _weightless(model)
    empty = weightless | ((model.feature < 0) & ~model.value.any(axis=1))  # nothing is added there, nor below
    children = [empty[model.first_node + child] for child in (model.left, model.right)]
    undefined = np.flatnonzero(weightless & ~(children[0] & children[1]))
    if len(undefined):
        first = int(np.searchsorted(model.tree_start, undefined[0], side="right")) - 1
        node = int(undefined[0] - model.tree_start[first])
        raise UnsupportedModel(f"tree {first}, node {node}: no training rows passed it, so SHAP values are not defined")
