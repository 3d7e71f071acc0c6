#pragma once

#include <string>
#include <vector>

#include "bind/checks.h"
#include "cpu/score.h"

namespace mlcore::bind {

inline std::string at(size_t column) { return "column " + std::to_string(column) + ": "; }

inline void check_count(size_t found, const cpu::Questions& asked, const Where& where) {
  if (found != asked.n_codes.size())
    where.refuse("must have " + std::to_string(asked.n_codes.size()) + " entries, not " + std::to_string(found));
}

// Coded columns as Python gives them, checked for type and length.
inline std::vector<cpu::CodedColumn> coded(const cpu::Questions& asked, const py::list& codes, const py::list& missing,
                                           int64_t rows, const char* op) {
  check_count(codes.size(), asked, {op, "codes"});
  check_count(missing.size(), asked, {op, "missing"});
  std::vector<cpu::CodedColumn> columns;
  for (size_t c = 0; c < codes.size(); ++c) {
    const Where where{op, at(c) + "codes"};
    const void* values = asked.wide(static_cast<int64_t>(c))
                             ? static_cast<const void*>(input<uint16_t>(codes[c], where, rows))
                             : input<uint8_t>(codes[c], where, rows);
    const py::object words = missing[c];
    columns.push_back(
        {values, words.is_none() ? nullptr : input<uint64_t>(words, {op, at(c) + "missing"}, words_for(rows))});
  }
  return columns;
}

}  // namespace mlcore::bind
