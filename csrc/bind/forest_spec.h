#pragma once

#include "bind/checks.h"
#include "cpu/forest.h"

namespace mlcore::bind {

// A forest's arrays as Python gives them, checked for type and length; what is in them `cpu::prepare` checks.
inline cpu::ForestSpec forest_spec(const py::array& pred_column, const py::array& pred_code, const py::array& pred_set,
                                   const py::array& pred_missing, const py::array& sets, const py::array& tree_start,
                                   const py::array& tree_output, const py::array& node_pred, const py::array& node_left,
                                   const py::array& node_right, const py::array& node_value, const py::array& n_codes,
                                   int32_t n_outputs) {
  const char* op = "Forest";
  const int64_t predicates = pred_column.size(), nodes = node_pred.size();
  if (!is<uint64_t>(sets) || sets.ndim() != 2 || !(sets.flags() & py::array::c_style))
    Where{op, "sets"}.refuse("must be a C-contiguous uint64 array of two dimensions");
  if (tree_start.size() < 1) Where{op, "tree_start"}.refuse("must hold at least one entry");
  if ((!is<float>(node_value) && !is<double>(node_value)) || node_value.ndim() != 2 ||
      !(node_value.flags() & py::array::c_style) || node_value.shape(0) != nodes)
    Where{op, "node_value"}.refuse("must be a C-contiguous float32 or float64 array of a row for each node");
  return {
      predicates,
      sets.shape(0),
      sets.shape(1),
      tree_start.size() - 1,
      nodes,
      n_codes.size(),
      input<int32_t>(pred_column, {op, "pred_column"}, predicates),
      input<int32_t>(pred_code, {op, "pred_code"}, predicates),
      input<int32_t>(pred_set, {op, "pred_set"}, predicates),
      input<uint8_t>(pred_missing, {op, "pred_missing"}, predicates),
      static_cast<const uint64_t*>(sets.data()),
      input<int64_t>(tree_start, {op, "tree_start"}),
      input<int32_t>(tree_output, {op, "tree_output"}, tree_start.size() - 1),
      input<int32_t>(node_pred, {op, "node_pred"}, nodes),
      input<int32_t>(node_left, {op, "node_left"}, nodes),
      input<int32_t>(node_right, {op, "node_right"}, nodes),
      node_value.data(),
      is<double>(node_value),
      node_value.shape(1),
      input<int32_t>(n_codes, {op, "n_codes"}),
      n_outputs,
  };
}

}  // namespace mlcore::bind
