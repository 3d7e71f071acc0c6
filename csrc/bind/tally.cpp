#include "cpu/tally.h"

#include "bind/checks.h"
#include "bind/register.h"

namespace mlcore::bind {

namespace {

template <typename Code>
void tally_as(const py::array& codes, const py::object& missing, const py::object& counts) {
  const Code* values = input<Code>(codes, {"tally", "codes"});
  const int64_t rows = codes.shape(0);
  const uint64_t* words = missing.is_none() ? nullptr : input<uint64_t>(missing, {"tally", "missing"}, words_for(rows));
  int64_t* out = output<int64_t>(counts, {"tally", "counts"});
  const int64_t slots = py::len(counts);
  if (slots < 1) Where{"tally", "counts"}.refuse("must hold at least one slot, for missing rows");
  bool fits;
  {
    const py::gil_scoped_release release;
    fits = cpu::tally(values, words, rows, slots - 1, out);
  }
  if (!fits) Where{"tally", "codes"}.refuse("holds a code that is not below " + std::to_string(slots - 1));
}

void tally(const py::array& codes, const py::object& missing, const py::object& counts) {
  if (is<uint8_t>(codes)) return tally_as<uint8_t>(codes, missing, counts);
  if (is<uint16_t>(codes)) return tally_as<uint16_t>(codes, missing, counts);
  if (is<int32_t>(codes)) return tally_as<int32_t>(codes, missing, counts);
  Where{"tally", "codes"}.refuse("must have dtype uint8, uint16 or int32");
}

}  // namespace

void register_tally(py::module_& module) {
  module.def("tally", &tally, py::arg("codes"), py::arg("missing"), py::arg("counts"));
}

}  // namespace mlcore::bind
