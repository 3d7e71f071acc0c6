#include "cpu/explain.h"

#include <memory>
#include <stdexcept>
#include <string>

#include "bind/coded.h"
#include "bind/forest_spec.h"
#include "bind/register.h"

namespace mlcore::bind {

namespace {

using ExplainerPtr = std::shared_ptr<cpu::Explainer>;

ExplainerPtr make_explainer(const py::array& pred_column, const py::array& pred_code, const py::array& pred_set,
                            const py::array& pred_missing, const py::array& sets, const py::array& tree_start,
                            const py::array& tree_output, const py::array& node_pred, const py::array& node_left,
                            const py::array& node_right, const py::array& node_value, const py::array& n_codes,
                            int32_t n_outputs, const py::array& node_feature, const py::array& node_cover,
                            int64_t n_features) {
  // The GIL stays: what is checked here must not be overwritten before it is copied.
  const char* op = "Explainer";
  return std::make_shared<cpu::Explainer>(
      cpu::prepare_explainer({forest_spec(pred_column, pred_code, pred_set, pred_missing, sets, tree_start, tree_output,
                                          node_pred, node_left, node_right, node_value, n_codes, n_outputs),
                              n_features, input<int32_t>(node_feature, {op, "node_feature"}, node_pred.size()),
                              input<double>(node_cover, {op, "node_cover"}, node_pred.size())}));
}

void explain(const ExplainerPtr& handle, const py::list& codes, const py::list& missing, const py::object& out,
             int threads) {
  const Where where{"explain", "out"};
  py::array values = as_array(out, where);
  if (!is<double>(values) || values.ndim() != 3 || values.shape(1) != handle->outputs ||
      values.shape(2) != handle->features + 1 || !(values.flags() & py::array::c_style) || !values.writeable())
    where.refuse("must be a writeable C-contiguous float64 array of shape (rows, " + std::to_string(handle->outputs) +
                 ", " + std::to_string(handle->features + 1) + ")");
  const auto columns = coded(*handle, codes, missing, values.shape(0), "explain");
  threads_of(threads, {"explain", "threads"});
  auto* target = static_cast<double*>(values.mutable_data());
  const int64_t rows = values.shape(0);
  try {
    const py::gil_scoped_release release;
    cpu::explain(*handle, columns, rows, target, threads);
  } catch (const std::out_of_range& error) {
    Where{"explain", "codes"}.refuse(error.what());
  }
}

}  // namespace

void register_explain(py::module_& module) {
  using py::arg;
  py::class_<cpu::Explainer, ExplainerPtr>(module, "Explainer")
      .def(py::init(&make_explainer), arg("pred_column"), arg("pred_code"), arg("pred_set"), arg("pred_missing"),
           arg("sets"), arg("tree_start"), arg("tree_output"), arg("node_pred"), arg("node_left"), arg("node_right"),
           arg("node_value"), arg("n_codes"), arg("n_outputs"), arg("node_feature"), arg("node_cover"),
           arg("n_features"));
  const auto handle = arg("handle").none(false);  // None would arrive as a null pointer
  module.def("explain", &explain, handle, arg("codes"), arg("missing"), arg("out"), arg("threads"));
}

}  // namespace mlcore::bind
