"""Explaining: a model's margins as sums of what each of its features adds."""

from __future__ import annotations

import numpy as np

from mlcore.errors import UnsupportedModel
from mlcore.models import TreeEnsemble
from mlcore.ops import ExplainerArrays
from mlcore.scoring.line import Array
from mlcore.scoring.plan import Plan


def explainer_arrays(trees: TreeEnsemble, plan: Plan) -> ExplainerArrays:
    """Return what the `explain` op needs of trees that are compiled to `plan`."""
    # Below a weightless split nothing is added: whatever share of nothing its children have, it stays nothing.
    cover = np.where(_weightless(trees), np.finfo(np.float64).tiny, trees.cover)
    return ExplainerArrays(plan.forest, trees.feature, cover, trees.n_features)


def _weightless(model: TreeEnsemble) -> Array:
    """The splits that no training row passed."""
    return np.asarray((model.feature >= 0) & ~(model.cover > 0))


def refuse_unexplained(model: TreeEnsemble) -> None:
    """Raise UnsupportedModel where leaves hold vectors or are linear, or nobody knows how many training rows passed nodes."""
    if model.value.shape[1] != 1:
        raise UnsupportedModel(
            "a model whose leaves hold a value for each output is not explained yet; train one tree an output"
        )
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
    empty = weightless | ((model.feature < 0) & (model.value[:, 0] == 0))  # nothing is added there, nor below
    children = [empty[model.first_node + child] for child in (model.left, model.right)]
    undefined = np.flatnonzero(weightless & ~(children[0] & children[1]))
    if len(undefined):
        first = int(np.searchsorted(model.tree_start, undefined[0], side="right")) - 1
        node = int(undefined[0] - model.tree_start[first])
        raise UnsupportedModel(f"tree {first}, node {node}: no training rows passed it, so SHAP values are not defined")
