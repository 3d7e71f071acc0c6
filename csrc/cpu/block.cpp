#include "cpu/block.h"

#include <cstring>
#include <limits>

#include "core/isa.h"

namespace mlcore::cpu {

namespace {

template <typename T>
std::vector<char> two_level(const T* edges, int64_t n) {
  T table[272];
  const T top =
      std::numeric_limits<T>::has_infinity ? std::numeric_limits<T>::infinity() : std::numeric_limits<T>::max();
  for (int64_t i = 0; i < 256; ++i) table[i] = i < n ? edges[i] : top;
  for (int64_t i = 0; i < 16; ++i) table[256 + i] = table[16 * i + 15];
  std::vector<char> bytes(sizeof table);
  std::memcpy(bytes.data(), table, sizeof table);
  return bytes;
}

constexpr uint64_t kDirectSpan = 16384;  // 32 KB; the part in use stays in the L1 cache

template <typename T>
std::vector<uint16_t> direct(const T* edges, int64_t n, int64_t rows) {
  if (n == 0) return {};
  const uint64_t span = static_cast<uint64_t>(edges[n - 1]) - static_cast<uint64_t>(edges[0]);
  if (span >= kDirectSpan || span >= static_cast<uint64_t>(rows)) return {};
  std::vector<uint16_t> codes(span + 2);
  for (int64_t i = 0; i < n; ++i) ++codes[static_cast<uint64_t>(edges[i]) - static_cast<uint64_t>(edges[0]) + 1];
  for (uint64_t i = 1; i < codes.size(); ++i) codes[i] = static_cast<uint16_t>(codes[i] + codes[i - 1]);
  return codes;
}

char* aligned(char*& at, int64_t bytes) {
  char* start = reinterpret_cast<char*>((reinterpret_cast<uintptr_t>(at) + 63) & ~uintptr_t{63});
  at = start + bytes;
  return start;
}

}  // namespace

EdgeTable make_edge_table(Type type, const void* edges, int64_t n, int64_t rows) {
  EdgeTable table{type, static_cast<int32_t>(n), edges, {}, {}};
  if (type == Type::i4) table.direct = direct(static_cast<const int32_t*>(edges), n, rows);
  if (type == Type::i8) table.direct = direct(static_cast<const int64_t*>(edges), n, rows);
  if (n > 255 || !table.direct.empty()) return table;
  switch (type) {
    case Type::f4:
      table.two_level = two_level(static_cast<const float*>(edges), n);
      break;
    case Type::f8:
      table.two_level = two_level(static_cast<const double*>(edges), n);
      break;
    case Type::i4:
      table.two_level = two_level(static_cast<const int32_t*>(edges), n);
      break;
    case Type::i8:
      table.two_level = two_level(static_cast<const int64_t*>(edges), n);
      break;
  }
  return table;
}

const Kernels& kernels() {
  switch (current_isa()) {
#if defined(__x86_64__)
    case Isa::avx512:
      return kernels_avx512();
    case Isa::avx2:
      return kernels_avx2();
#endif
    default:
      return kernels_portable();
  }
}

Scratch::Scratch(int64_t columns, int64_t planes) {
  const int64_t codes_bytes = columns * kBlockRows * 2, missing_bytes = columns * kBlockWords * 8;
  const int64_t plane_bytes = planes * kBlockWords * 8, row_bytes = kBlockRows * 8;
  const int64_t total = codes_bytes + missing_bytes + plane_bytes + 2 * row_bytes + 5 * 64;
  memory_ = std::make_unique<char[]>(total);  // zeroed: unused rows hold code 0
  char* at = memory_.get();
  base_ = reinterpret_cast<uint8_t*>(aligned(at, codes_bytes));
  missing_ = reinterpret_cast<uint64_t*>(aligned(at, missing_bytes));
  planes_ = reinterpret_cast<uint64_t*>(aligned(at, plane_bytes));
  margins_ = reinterpret_cast<float*>(aligned(at, row_bytes));
  gathered_ = aligned(at, row_bytes);
}

}  // namespace mlcore::cpu
