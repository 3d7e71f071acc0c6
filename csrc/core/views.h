#pragma once

#include <cstdint>

namespace mlcore {

// An Arrow validity bitmap: bit (offset + i) is set where row i is valid; null `bits` means that every row is.
struct Validity {
  const uint8_t* bits = nullptr;
  int64_t offset = 0;
};

enum class Type : uint8_t { f4, f8, i4, i8 };

constexpr int64_t size_of(Type type) { return type == Type::f4 || type == Type::i4 ? 4 : 8; }

// A raw column: n values, `stride` bytes apart.
struct ColumnView {
  Type type;
  const char* data;
  int64_t stride;
  int64_t n;
  Validity validity;
};

// Codes of a column: one byte a row up to 256 codes, two above.
struct CodesView {
  void* data;
  bool wide;
};

constexpr int64_t words_for(int64_t rows) { return (rows + 63) / 64; }

}  // namespace mlcore
