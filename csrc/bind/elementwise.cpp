#include "cpu/elementwise.h"

#include "bind/checks.h"
#include "bind/register.h"

namespace mlcore::bind {

namespace {

void affine(const py::object& x, double center, double scale, const py::object& out) {
  const double* values = input<double>(x, {"affine", "x"});
  const auto n = static_cast<int64_t>(py::len(x));
  double* target = output<double>(out, {"affine", "out"}, n);
  const py::gil_scoped_release release;
  cpu::affine(values, n, center, scale, target);
}

void clip(const py::object& x, double low, double high, const py::object& out) {
  const double* values = input<double>(x, {"clip", "x"});
  const auto n = static_cast<int64_t>(py::len(x));
  double* target = output<double>(out, {"clip", "out"}, n);
  if (!(low <= high)) Where{"clip", "low"}.refuse("must not exceed high");
  const py::gil_scoped_release release;
  cpu::clip(values, n, low, high, target);
}

void fill(const py::object& x, double value, const py::object& out) {
  const double* values = input<double>(x, {"fill", "x"});
  const auto n = static_cast<int64_t>(py::len(x));
  double* target = output<double>(out, {"fill", "out"}, n);
  const py::gil_scoped_release release;
  cpu::fill(values, n, value, target);
}

void sigmoid(const py::object& x, const py::object& out) {
  const float* values = input<float>(x, {"sigmoid", "x"});
  const auto n = static_cast<int64_t>(py::len(x));
  float* target = output<float>(out, {"sigmoid", "out"}, n);
  const py::gil_scoped_release release;
  cpu::sigmoid(values, n, target);
}

void lookup(const py::array& indices, const py::object& bitmap, int64_t offset, const py::object& table, double missing,
            const py::object& out) {
  const ColumnView view = column(indices, bitmap, offset, "lookup");
  if (view.type != Type::i4) Where{"lookup", "indices"}.refuse("must have dtype int32");
  const py::array entries = contiguous<double>(table, {"lookup", "table"});
  const auto* values = static_cast<const double*>(entries.data());
  double* target = output<double>(out, {"lookup", "out"}, view.n);
  const int64_t bad = [&] {
    const py::gil_scoped_release release;
    return cpu::lookup(view, values, entries.shape(0), missing, target);
  }();
  if (bad >= 0) Where{"lookup", "indices"}.refuse("has an index outside the table at row " + std::to_string(bad));
}

}  // namespace

void register_elementwise(py::module_& module) {
  using py::arg;
  module.def("affine", &affine, arg("x"), arg("center"), arg("scale"), arg("out"));
  module.def("clip", &clip, arg("x"), arg("low"), arg("high"), arg("out"));
  module.def("fill", &fill, arg("x"), arg("value"), arg("out"));
  module.def("sigmoid", &sigmoid, arg("x"), arg("out"));
  module.def("lookup", &lookup, arg("indices"), arg("validity"), arg("offset"), arg("table"), arg("missing"),
             arg("out"));
}

}  // namespace mlcore::bind
