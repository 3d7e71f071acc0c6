#include <pybind11/stl.h>

#include "bind/device.h"
#include "bind/forest_spec.h"
#include "cuda/columns.h"
#include "cuda/forest.h"

namespace mlcore::bind {

namespace {

// Any error, a missing driver's too, means that there is no device.
int device_count() {
  int count = 0;
  if (cudaGetDeviceCount(&count) == cudaSuccess) return count;
  cudaGetLastError();
  return 0;
}

std::string architecture(int device) {
  cudaDeviceProp found{};
  if (cudaGetDeviceProperties(&found, device) != cudaSuccess)
    throw py::value_error("device " + std::to_string(device) + " does not exist");
  return "sm_" + std::to_string(found.major) + std::to_string(found.minor);
}

cudaStream_t stream_of(uintptr_t stream) { return reinterpret_cast<cudaStream_t>(stream); }

// `count`, uint64 (1), grows by the missing rows; edges are known to ascend.
void bin(const py::object& values, const py::object& bitmap, int64_t offset, const py::object& edges,
         const py::object& codes, const py::object& missing, const py::object& count, uintptr_t stream) {
  const DeviceArray rows = device_array(values, {"bin", "values"});
  const Type type = device_type(rows, {"bin", "values"});
  const DeviceArray sorted = device_array(edges, {"bin", "edges"});
  if (sorted.type != rows.type) Where{"bin", "edges"}.refuse("must have one dimension and the dtype of values");
  if (sorted.rows > 1 && sorted.stride != size_of(type)) Where{"bin", "edges"}.refuse("must be contiguous");
  if (sorted.rows > 65535) Where{"bin", "edges"}.refuse("must hold at most 65535 values");
  Validity validity{};
  if (!bitmap.is_none()) {
    const Where where{"bin", "validity"};
    const DeviceArray bits = device_array(bitmap, where);
    if (offset < 0) where.refuse("has a negative bit offset");
    if (bits.type != "|u1" || bits.stride != 1) where.refuse("must be contiguous uint8");
    if (too_few_bits(bits.rows, offset, rows.rows)) where.refuse("has too few bytes");
    validity = {reinterpret_cast<const uint8_t*>(bits.data), offset};
  }
  const bool wide = sorted.rows > 255;
  void* out = wide ? static_cast<void*>(on_device<uint16_t>(codes, {"bin", "codes"}, rows.rows, true))
                   : on_device<uint8_t>(codes, {"bin", "codes"}, rows.rows, true);
  auto* words = on_device<uint64_t>(missing, {"bin", "missing"}, words_for(rows.rows), true);
  auto* total = reinterpret_cast<unsigned long long*>(on_device<uint64_t>(count, {"bin", "count"}, 1, true));
  const py::gil_scoped_release release;
  cuda::bin({type, rows.data, rows.stride, rows.rows, validity}, sorted.data, static_cast<int32_t>(sorted.rows),
            {out, wide}, words, total, stream_of(stream));
}

// The forest's nodes as the kernels read them, for the caller to put on the device; every index is checked here.
py::bytes nodes(const py::array& pred_column, const py::array& pred_code, const py::array& pred_set,
                const py::array& pred_missing, const py::array& sets, const py::array& tree_start,
                const py::array& tree_output, const py::array& node_pred, const py::array& node_left,
                const py::array& node_right, const py::array& node_value, const py::array& n_codes, int32_t n_outputs) {
  cpu::ForestSpec spec = forest_spec(pred_column, pred_code, pred_set, pred_missing, sets, tree_start, tree_output,
                                     node_pred, node_left, node_right, node_value, n_codes, n_outputs);
  spec.engine = cpu::Engine::walk;  // which lays nothing else out
  const cpu::Forest found = cpu::prepare(spec);
  return {reinterpret_cast<const char*>(found.nodes.data()), found.nodes.size() * sizeof(ops::Node)};
}

// What a forest's arrays say, each on the device: nodes, tree_start, tree_output, flat values, width, outputs, flat
// sets, their row length, n_codes.
cuda::Forest forest_of(const char* op, const py::tuple& given) {
  if (given.size() != 9) Where{op, "forest"}.refuse("is not what Forest made");
  const DeviceArray starts = device_array(given[1], {op, "tree_start"});
  const DeviceArray values = device_array(given[3], {op, "values"});
  const DeviceArray columns = device_array(given[8], {op, "n_codes"});
  const auto width = given[4].cast<int32_t>(), outputs = given[5].cast<int32_t>();
  const auto set_words = given[7].cast<int64_t>();
  if (starts.rows < 1 || set_words < 0 || width < 1 || outputs < 1)
    Where{op, "forest"}.refuse("is not what Forest made");
  const auto* packed = on_device<uint8_t>(given[0], {op, "nodes"}, -1);
  const bool doubles = values.type == "<f8";
  return {reinterpret_cast<const ops::Node*>(packed),
          on_device<int64_t>(given[1], {op, "tree_start"}, -1),
          on_device<int32_t>(given[2], {op, "tree_output"}, starts.rows - 1),
          starts.rows - 1,
          doubles ? static_cast<const void*>(on_device<double>(given[3], {op, "values"}, -1))
                  : on_device<float>(given[3], {op, "values"}, -1),
          doubles,
          width,
          outputs,
          on_device<uint64_t>(given[6], {op, "sets"}, -1),
          set_words,
          on_device<int32_t>(given[8], {op, "n_codes"}, -1),
          static_cast<int32_t>(columns.rows)};
}

cuda::Columns columns_of(const char* op, const cuda::Forest& forest, const py::object& codes,
                         const py::object& missing) {
  const auto* pointers = on_device<uint64_t>(codes, {op, "codes"}, forest.columns);
  const auto* words = on_device<uint64_t>(missing, {op, "missing"}, forest.columns);
  return {reinterpret_cast<const void* const*>(pointers), reinterpret_cast<const uint64_t* const*>(words)};
}

// The address of a column's codes or missing words, checked against the rows and the width its n_codes asks for.
uintptr_t codes_at(const py::object& codes, bool wide, int64_t rows, const std::string& argument) {
  const Where where{"forest", argument};
  return wide ? reinterpret_cast<uintptr_t>(on_device<uint16_t>(codes, where, rows))
              : reinterpret_cast<uintptr_t>(on_device<uint8_t>(codes, where, rows));
}

uintptr_t missing_at(const py::object& missing, int64_t rows, const std::string& argument) {
  if (missing.is_none()) return 0;
  return reinterpret_cast<uintptr_t>(on_device<uint64_t>(missing, {"forest", argument}, words_for(rows)));
}

void forest(const py::tuple& given, const py::object& codes, const py::object& missing, int64_t rows,
            const py::object& out, const py::object& bad, uintptr_t stream) {
  const cuda::Forest model = forest_of("forest", given);
  const cuda::Columns columns = columns_of("forest", model, codes, missing);
  if (rows < 0) Where{"forest", "rows"}.refuse("must not be negative");
  const Where where{"forest", "out"};
  void* margins = model.doubles ? static_cast<void*>(on_device<double>(out, where, rows * model.outputs, true))
                                : on_device<float>(out, where, rows * model.outputs, true);
  auto* flag = on_device<int32_t>(bad, {"forest", "bad"}, 1, true);
  const py::gil_scoped_release release;
  cuda::forest(model, columns, rows, margins, flag, stream_of(stream));
}

void leaves(const py::tuple& given, const py::object& codes, const py::object& missing, int64_t rows,
            const py::object& out, const py::object& bad, uintptr_t stream) {
  const cuda::Forest model = forest_of("leaves", given);
  const cuda::Columns columns = columns_of("leaves", model, codes, missing);
  if (rows < 0) Where{"leaves", "rows"}.refuse("must not be negative");
  auto* found = on_device<int32_t>(out, {"leaves", "out"}, rows * model.trees, true);
  auto* flag = on_device<int32_t>(bad, {"leaves", "bad"}, 1, true);
  const py::gil_scoped_release release;
  cuda::leaves(model, columns, rows, found, flag, stream_of(stream));
}

}  // namespace

}  // namespace mlcore::bind

PYBIND11_MODULE(_cuda, module) {
  namespace bind = mlcore::bind;
  module.doc() = "mlcore's CUDA kernels on device pointers; mlcore.backend.cuda calls them with CuPy's arrays.";
  module.def("device_count", &bind::device_count);
  module.def("architecture", &bind::architecture);
  module.def("bin", &bind::bin);
  module.def("nodes", &bind::nodes);
  module.def("codes_at", &bind::codes_at);
  module.def("missing_at", &bind::missing_at);
  module.def("forest", &bind::forest);
  module.def("leaves", &bind::leaves);
}
