#include <string>
#include <utility>

#include "bind/checks.h"
#include "bind/register.h"
#include "cpu/score.h"

namespace mlcore::bind {

namespace {

int64_t bin(const py::array& values, const py::object& bitmap, int64_t offset, const py::array& edges,
            const py::object& codes, const py::object& missing) {
  const ColumnView view = column(values, bitmap, offset, "bin");
  std::vector<char> sorted = edges_of(view.type, edges, {"bin", "edges"});
  const int64_t n = edges.shape(0);
  void* out = codes_output(codes, n > 255, view.n, {"bin", "codes"});
  uint64_t* words = output<uint64_t>(missing, {"bin", "missing"}, words_for(view.n));
  const py::gil_scoped_release release;
  const cpu::EdgeTable table = cpu::make_edge_table(view.type, std::move(sorted), view.n);
  return cpu::bin(view, table, out, words);
}

// For the tests, which ask whether they reach every way of binning.
std::string search_of(const py::array& edges, int64_t rows) {
  const Type type = type_of(edges, {"search_of", "edges"});
  const cpu::EdgeTable table = cpu::make_edge_table(type, edges_of(type, edges, {"search_of", "edges"}), rows);
  static constexpr const char* searches[] = {"each", "direct", "levels", "buckets", "steps"};
  static constexpr const char* buckets[] = {"one width", "floats", "ways"};
  if (table.search != cpu::Search::buckets) return searches[static_cast<size_t>(table.search)];
  const std::string apart = table.buckets.most == 1 && table.buckets.entries.empty() ? ", without entries" : "";
  return buckets[static_cast<size_t>(table.buckets.of)] + std::string(" ") + std::to_string(table.buckets.most) + apart;
}

int64_t encode(const py::array& indices, const py::object& bitmap, int64_t offset, const py::object& table,
               const py::object& codes, const py::object& missing) {
  const ColumnView view = column(indices, bitmap, offset, "encode");
  if (view.type != Type::i4) Where{"encode", "indices"}.refuse("must have dtype int32");
  const bool wide = is<uint16_t>(as_array(codes, {"encode", "codes"}));
  const std::vector<uint16_t> entries = code_table(table, wide ? 65535 : 255, {"encode", "table"}, {"encode", "codes"},
                                                   "must have dtype uint16: the table holds codes above 255");
  void* target = codes_output(codes, wide, view.n, {"encode", "codes"});
  uint64_t* words = output<uint64_t>(missing, {"encode", "missing"}, words_for(view.n));
  try {
    const py::gil_scoped_release release;
    return cpu::encode(view, entries.data(), static_cast<int64_t>(entries.size()), wide, target, words);
  } catch (const std::out_of_range& error) {
    Where{"encode", "indices"}.refuse(error.what());
  }
}

}  // namespace

void register_columns(py::module_& module) {
  using py::arg;
  module.def("bin", &bin, arg("values"), arg("validity"), arg("offset"), arg("edges"), arg("codes"), arg("missing"));
  module.def("search_of", &search_of, arg("edges"), arg("rows"));
  module.def("encode", &encode, arg("indices"), arg("validity"), arg("offset"), arg("table"), arg("codes"),
             arg("missing"));
}

}  // namespace mlcore::bind
