#include "cpu/rows.h"

#include <memory>
#include <utility>

#include "bind/checks.h"
#include "bind/forest_spec.h"
#include "bind/register.h"

namespace mlcore::bind {

namespace {

constexpr int64_t kReleaseFrom = 4;  // rows: for fewer, letting the GIL go costs more than it gives

// `forest`: what Forest takes, but for its engine. `edges`: of each column, all float32 or all float64.
std::shared_ptr<cpu::Rows> make_rows(const py::tuple& forest, const py::list& edges, const py::array& base) {
  if (forest.size() != 13) Where{"Rows", "forest"}.refuse("must be the 13 arguments of Forest before its engine");
  auto array = [&](size_t i) { return as_array(forest[i], {"Rows", "forest"}); };
  cpu::ForestSpec spec = forest_spec(array(0), array(1), array(2), array(3), array(4), array(5), array(6), array(7),
                                     array(8), array(9), array(10), array(11), forest[12].cast<int32_t>());
  spec.engine = cpu::Engine::rows;
  cpu::Forest made = cpu::prepare(spec);
  std::vector<cpu::EdgeTable> tables;
  const size_t columns = made.n_codes.size();
  if (columns == 0) Where{"Rows", "forest"}.refuse("must have columns");
  if (edges.size() != columns) Where{"Rows", "edges"}.refuse("must have " + std::to_string(columns) + " entries");
  for (size_t c = 0; c < columns; ++c) {
    const Where where{"Rows", "column " + std::to_string(c) + ": edges"};
    const py::array given = as_array(edges[c], where);
    const Type type = type_of(given, where);
    if ((type != Type::f4 && type != Type::f8) || (c > 0 && type != tables.front().type))
      where.refuse("must be float32 or float64, as those of the other columns");
    std::vector<char> copy = edges_of(type, given, where);
    if (given.shape(0) + 1 != made.n_codes[c])
      where.refuse("must hold " + std::to_string(made.n_codes[c] - 1) + " values");
    tables.push_back(cpu::make_edge_table(type, std::move(copy), 1));
  }
  const auto* first = input<double>(base, {"Rows", "base"}, made.outputs);
  return std::make_shared<cpu::Rows>(std::move(made), std::move(tables),
                                     std::vector<double>(first, first + base.size()));
}

// The margins (rows, outputs), or (rows,) of one output if `flat`, of a C-contiguous matrix of the edges' type; None
// where it is not one, or has so many rows that blocks are sooner done.
py::object margins(const cpu::Rows& rows, const py::array& x, bool flat) {
  const auto columns = static_cast<py::ssize_t>(rows.edges.size());
  const bool wide = rows.edges.front().type == Type::f8;
  if (x.ndim() != 2 || x.shape(0) > rows.most || x.shape(1) != columns || !(wide ? is<double>(x) : is<float>(x)) ||
      !(x.flags() & py::array::c_style))
    return py::none();
  std::vector<py::ssize_t> shape{x.shape(0), rows.forest.outputs};
  if (flat && rows.forest.outputs == 1) shape.pop_back();
  py::array out = rows.forest.doubles ? py::array(py::array_t<double>(shape)) : py::array(py::array_t<float>(shape));
  void* target = out.mutable_data();
  const void* values = x.data();
  const int64_t count = shape[0];
  if (count < kReleaseFrom) {
    cpu::margins(rows, values, count, target);
    return out;
  }
  {
    const py::gil_scoped_release release;
    cpu::margins(rows, values, count, target);
  }
  return out;
}

}  // namespace

void register_rows(py::module_& module) {
  py::class_<cpu::Rows, std::shared_ptr<cpu::Rows>>(module, "Rows")
      .def(py::init(&make_rows), py::arg("forest"), py::arg("edges"), py::arg("base"))
      .def("__call__", &margins, py::arg("x").noconvert(), py::arg("flat") = false);
}

}  // namespace mlcore::bind
