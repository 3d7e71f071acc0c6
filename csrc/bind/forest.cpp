#include <pybind11/stl.h>

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "bind/checks.h"
#include "bind/coded.h"
#include "bind/forest_spec.h"
#include "bind/register.h"
#include "cpu/score.h"

namespace mlcore::bind {

namespace {

using ForestPtr = std::shared_ptr<cpu::Forest>;

cpu::Engine engine_named(const std::string& name) {
  if (name == "auto") return cpu::Engine::automatic;
  if (name == "planes") return cpu::Engine::planes;
  if (name == "deep") return cpu::Engine::deep;
  if (name == "walk") return cpu::Engine::walk;
  Where{"Forest", "engine"}.refuse("must be auto, planes, deep or walk, not " + name);
}

// How many trees each way of finding a leaf serves.
std::map<std::string, int64_t> engines_of(const cpu::Forest& forest) {
  const std::map<cpu::Shape, const char*> names{
      {cpu::Shape::oblivious, "oblivious"}, {cpu::Shape::complete, "complete"}, {cpu::Shape::network, "network"},
      {cpu::Shape::deep, "deep"},           {cpu::Shape::clusters, "deep"},     {cpu::Shape::walk, "walk"}};
  std::map<std::string, int64_t> found;
  for (const cpu::Tree& tree : forest.trees) ++found[names.at(tree.shape)];
  return found;
}

ForestPtr make_forest(const py::array& pred_column, const py::array& pred_code, const py::array& pred_set,
                      const py::array& pred_missing, const py::array& sets, const py::array& tree_start,
                      const py::array& tree_output, const py::array& node_pred, const py::array& node_left,
                      const py::array& node_right, const py::array& node_value, const py::array& n_codes,
                      int32_t n_outputs, const std::string& engine) {
  // The GIL stays: what is checked here must not be overwritten before it is copied.
  cpu::ForestSpec spec = forest_spec(pred_column, pred_code, pred_set, pred_missing, sets, tree_start, tree_output,
                                     node_pred, node_left, node_right, node_value, n_codes, n_outputs);
  spec.engine = engine_named(engine);
  return std::make_shared<cpu::Forest>(cpu::prepare(spec));
}

// The margins that leaf values are added to, and how many rows they are.
std::pair<cpu::Margins, int64_t> margins_of(const cpu::Forest& forest, const py::object& out, const char* op) {
  const Where where{op, "out"};
  py::array array = as_array(out, where);
  if ((forest.doubles ? !is<double>(array) : !is<float>(array)) || array.ndim() != 2 ||
      array.shape(1) != forest.outputs || !(array.flags() & py::array::c_style) || !array.writeable())
    where.refuse(std::string("must be a writeable C-contiguous ") + (forest.doubles ? "float64" : "float32") +
                 " array of shape (rows, " + std::to_string(forest.outputs) + ")");
  return {array.mutable_data(), array.shape(0)};
}

void forest(const ForestPtr& handle, const py::list& codes, const py::list& missing, const py::object& out,
            int threads) {
  const auto [margins, rows] = margins_of(*handle, out, "forest");
  const auto columns = coded(*handle, codes, missing, rows, "forest");
  threads_of(threads, {"forest", "threads"});
  try {
    const py::gil_scoped_release release;
    cpu::forest(*handle, columns, rows, margins, threads);
  } catch (const std::out_of_range& error) {
    Where{"forest", "codes"}.refuse(error.what());
  }
}

void leaves(const ForestPtr& handle, const py::list& codes, const py::list& missing, const py::object& out,
            int threads) {
  const Where where{"leaves", "out"};
  py::array nodes = as_array(out, where);
  const auto trees = static_cast<py::ssize_t>(handle->trees.size());
  if (!is<int32_t>(nodes) || nodes.ndim() != 2 || nodes.shape(1) != trees || !(nodes.flags() & py::array::c_style) ||
      !nodes.writeable())
    where.refuse("must be a writeable C-contiguous int32 array of shape (rows, " + std::to_string(trees) + ")");
  const auto columns = coded(*handle, codes, missing, nodes.shape(0), "leaves");
  threads_of(threads, {"leaves", "threads"});
  auto* target = static_cast<int32_t*>(nodes.mutable_data());
  const int64_t rows = nodes.shape(0);
  try {
    const py::gil_scoped_release release;
    cpu::leaves(*handle, columns, rows, target, threads);
  } catch (const std::out_of_range& error) {
    Where{"leaves", "codes"}.refuse(error.what());
  }
}

// What raw columns point at.
struct Tables {
  std::vector<std::unique_ptr<cpu::EdgeTable>> edges;
  std::vector<std::vector<uint16_t>> codes;
};

cpu::RawColumn raw_column(const cpu::Forest& forest, const py::handle& object, size_t c, int64_t rows, Tables& tables) {
  const Where where{"score", at(c) + "columns"};
  const auto refused = "must be (values, validity, offset, edges or table)";
  if (!py::isinstance<py::tuple>(object) || py::len(object) != 4) where.refuse(refused);
  const auto item = py::reinterpret_borrow<py::tuple>(object);
  const py::array values = as_array(item[0], where), aux = as_array(item[3], where);
  const int64_t offset = PyNumber_AsSsize_t(py::object(item[2]).ptr(), PyExc_OverflowError);
  if (PyErr_Occurred() != nullptr) {
    PyErr_Clear();
    where.refuse(refused);
  }
  const ColumnView view = column(values, item[1], offset, "score", at(c));
  if (view.n != rows) where.refuse("must have " + std::to_string(rows) + " rows, not " + std::to_string(view.n));
  const int32_t codes = forest.n_codes[c];
  if (is<uint16_t>(aux)) {
    if (view.type != Type::i4) where.refuse("must have int32 indices beside a table");
    const Where table{"score", at(c) + "table"};
    tables.codes.push_back(
        code_table(aux, codes - 1, table, table, "holds a code that is not below " + std::to_string(codes)));
    return {view, nullptr, tables.codes.back().data(), aux.shape(0), nullptr};
  }
  std::vector<char> edges = edges_of(view.type, aux, {"score", at(c) + "edges"});
  if (aux.shape(0) + 1 != codes)
    Where{"score", at(c) + "edges"}.refuse("must hold " + std::to_string(codes - 1) + " values, not " +
                                           std::to_string(aux.shape(0)));
  {
    const py::gil_scoped_release release;
    tables.edges.push_back(std::make_unique<cpu::EdgeTable>(cpu::make_edge_table(view.type, std::move(edges), view.n)));
  }
  return {view, tables.edges.back().get(), nullptr, 0, nullptr};
}

void score(const ForestPtr& handle, const py::list& columns, const py::object& out, const py::object& counts,
           int threads) {
  const auto [margins, rows] = margins_of(*handle, out, "score");
  check_count(columns.size(), *handle, {"score", "columns"});
  threads_of(threads, {"score", "threads"});
  Tables tables;
  std::vector<cpu::RawColumn> raw;
  for (size_t c = 0; c < columns.size(); ++c) raw.push_back(raw_column(*handle, columns[c], c, rows, tables));
  if (!counts.is_none()) {
    const auto slots = counts.cast<py::list>();
    check_count(slots.size(), *handle, {"score", "counts"});
    for (size_t c = 0; c < raw.size(); ++c)
      if (!py::object(slots[c]).is_none())
        raw[c].counts = output<int64_t>(slots[c], {"score", at(c) + "counts"},
                                        raw[c].edges != nullptr ? raw[c].edges->n + 2 : raw[c].table_size + 1);
  }
  try {
    const py::gil_scoped_release release;
    cpu::score(*handle, raw, rows, margins, threads);
  } catch (const std::out_of_range& error) {
    throw py::value_error(std::string("score: ") + error.what());
  }
}

}  // namespace

void register_forest(py::module_& module) {
  using py::arg;
  py::class_<cpu::Forest, ForestPtr>(module, "Forest")
      .def(py::init(&make_forest), arg("pred_column"), arg("pred_code"), arg("pred_set"), arg("pred_missing"),
           arg("sets"), arg("tree_start"), arg("tree_output"), arg("node_pred"), arg("node_left"), arg("node_right"),
           arg("node_value"), arg("n_codes"), arg("n_outputs"), arg("engine") = "auto")
      .def_property_readonly("engines", &engines_of);
  const auto handle = arg("handle").none(false);  // None would arrive as a null pointer
  module.def("forest", &forest, handle, arg("codes"), arg("missing"), arg("out"), arg("threads"));
  module.def("leaves", &leaves, handle, arg("codes"), arg("missing"), arg("out"), arg("threads"));
  module.def("score", &score, handle, arg("columns"), arg("out"), arg("counts"), arg("threads"));
}

}  // namespace mlcore::bind
