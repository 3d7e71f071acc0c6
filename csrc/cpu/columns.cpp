#include "cpu/columns.h"

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <string>
#include <type_traits>

namespace mlcore::cpu {

namespace {

// missing |= not valid, 64 rows at a time; bits of the bitmap are read bytewise, never beyond the last one in use.
void add_nulls(const Validity& validity, int64_t first, int64_t rows, uint64_t* missing) {
  if (validity.bits == nullptr) return;
  for (int64_t w = 0; w < words_for(rows); ++w) {
    const int64_t count = std::min<int64_t>(64, rows - 64 * w);
    const int64_t bit = validity.offset + first + 64 * w, byte = bit >> 3;
    const int shift = static_cast<int>(bit & 7);
    const int64_t last_byte = (bit + count - 1) >> 3;
    uint64_t low = 0, high = 0;
    std::memcpy(&low, validity.bits + byte, static_cast<size_t>(std::min<int64_t>(8, last_byte - byte + 1)));
    if (last_byte - byte == 8) high = validity.bits[byte + 8];
    uint64_t valid = low >> shift;
    if (shift > 0) valid |= high << (64 - shift);
    const uint64_t mask = count == 64 ? ~uint64_t{0} : (uint64_t{1} << count) - 1;
    missing[w] |= ~valid & mask;
  }
}

constexpr int64_t kVector = 16;
using Bytes = uint8_t __attribute__((vector_size(kVector)));
using Shorts = uint16_t __attribute__((vector_size(kVector)));
using Words = uint64_t __attribute__((vector_size(kVector)));

// All ones where the row of a code is not missing, for the codes from the lowest bit on.
Bytes kept(const uint8_t*, uint64_t missing) {
  const Bytes power = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
  constexpr uint64_t eight_times = 0x0101010101010101ULL;
  const Words bytes = {(missing & 255) * eight_times, (missing >> 8 & 255) * eight_times};
  return (Bytes)(((Bytes)bytes & power) == 0);
}
Shorts kept(const uint16_t*, uint64_t missing) {
  const Shorts power = {1, 2, 4, 8, 16, 32, 64, 128};
  return (Shorts)(((Shorts{} + static_cast<uint16_t>(missing & 255)) & power) == 0);
}

template <typename Code>
void zero_missing(const uint64_t* missing, int64_t rows, Code* codes) {
  constexpr int64_t together = kVector / static_cast<int64_t>(sizeof(Code));
  int64_t w = 0;
  for (; 64 * (w + 1) <= rows; ++w) {
    if (missing[w] == 0) continue;
    for (int64_t i = 0; i < 64; i += together) {
      const auto mask = kept(codes, missing[w] >> i);
      std::remove_const_t<decltype(mask)> some;
      std::memcpy(&some, codes + 64 * w + i, kVector);
      some &= mask;
      std::memcpy(codes + 64 * w + i, &some, kVector);
    }
  }
  for (int64_t i = 64 * w; i < rows; ++i)
    if ((missing[w] >> (i & 63)) & 1) codes[i] = 0;
}

template <typename Code>
void encode_as(const int32_t* indices, const uint64_t* missing, const uint16_t* table, int64_t table_size,
               int64_t first, int64_t rows, Code* codes) {
  for (int64_t i = 0; i < rows; ++i) {
    if ((missing[i >> 6] >> (i & 63)) & 1) {
      codes[i] = 0;
      continue;
    }
    const int32_t index = indices[i];
    if (index < 0 || index >= table_size)
      throw std::out_of_range("row " + std::to_string(first + i) + ": index " + std::to_string(index) +
                              " outside the table of " + std::to_string(table_size));
    codes[i] = static_cast<Code>(table[index]);
  }
}

// Four columns of four rows, 4 bytes a value.
void gather_four(const char* start, int64_t stride, char* out, int64_t apart) {
  using Four = uint32_t __attribute__((vector_size(16)));
  Four row[4];
  for (int64_t i = 0; i < 4; ++i) std::memcpy(&row[i], start + i * stride, sizeof(Four));
  const Four low01 = __builtin_shufflevector(row[0], row[1], 0, 4, 1, 5),
             high01 = __builtin_shufflevector(row[0], row[1], 2, 6, 3, 7),
             low23 = __builtin_shufflevector(row[2], row[3], 0, 4, 1, 5),
             high23 = __builtin_shufflevector(row[2], row[3], 2, 6, 3, 7);
  const Four column[4] = {
      __builtin_shufflevector(low01, low23, 0, 1, 4, 5), __builtin_shufflevector(low01, low23, 2, 3, 6, 7),
      __builtin_shufflevector(high01, high23, 0, 1, 4, 5), __builtin_shufflevector(high01, high23, 2, 3, 6, 7)};
  for (int64_t k = 0; k < 4; ++k) std::memcpy(out + k * apart, &column[k], sizeof(Four));
}

// Row after row, so that a line of the matrix is read once for all columns. Size bytes a value.
template <int64_t Size>
void gather(const char* start, int64_t stride, int64_t count, int64_t rows, char* out) {
  const int64_t apart = gathered_apart(rows, Size);
  int64_t i = 0;
  for (; Size == 4 && i + 4 <= rows; i += 4) {
    int64_t k = 0;
    for (; k + 4 <= count; k += 4)
      gather_four(start + i * stride + k * Size, stride, out + k * apart + i * Size, apart);
    for (; k < count; ++k)
      for (int64_t row = i; row < i + 4; ++row)
        std::memcpy(out + k * apart + row * Size, start + row * stride + k * Size, Size);
  }
  for (; i < rows; ++i)
    for (int64_t k = 0; k < count; ++k) std::memcpy(out + k * apart + i * Size, start + i * stride + k * Size, Size);
}

}  // namespace

const char* contiguous(const ColumnView& view, int64_t count, int64_t first, int64_t rows, char* gathered) {
  const int64_t size = size_of(view.type);
  const char* start = view.data + first * view.stride;
  if (view.stride == size) return start;
  size == 4 ? gather<4>(start, view.stride, count, rows, gathered)
            : gather<8>(start, view.stride, count, rows, gathered);
  return gathered;
}

int64_t bin_block(const ColumnView& view, const EdgeTable& edges, int64_t first, int64_t rows, const char* values,
                  void* codes, uint64_t* missing) {
  const Kernels& isa = kernels();
  if (view.type == Type::f4 || view.type == Type::f8)
    isa.nan(view.type, values, rows, missing);
  else
    std::memset(missing, 0, static_cast<size_t>(words_for(rows)) * 8);
  add_nulls(view.validity, first, rows, missing);
  isa.bin(edges, values, rows, codes);
  if (view.validity.bits != nullptr)  // NaN has code 0 already, what lies under a null any
    edges.n > 255 ? zero_missing(missing, rows, static_cast<uint16_t*>(codes))
                  : zero_missing(missing, rows, static_cast<uint8_t*>(codes));
  return isa.count(missing, rows);
}

int64_t encode_block(const ColumnView& view, const uint16_t* table, int64_t table_size, bool wide, int64_t first,
                     int64_t rows, const char* values, void* codes, uint64_t* missing) {
  const int32_t* indices = reinterpret_cast<const int32_t*>(values);
  std::memset(missing, 0, static_cast<size_t>(words_for(rows)) * 8);
  add_nulls(view.validity, first, rows, missing);
  if (wide)
    encode_as(indices, missing, table, table_size, first, rows, static_cast<uint16_t*>(codes));
  else
    encode_as(indices, missing, table, table_size, first, rows, static_cast<uint8_t*>(codes));
  return kernels().count(missing, rows);
}

int64_t bin(const ColumnView& view, const EdgeTable& edges, void* codes, uint64_t* missing) {
  alignas(64) char gathered[kBlockRows * 8];
  const int64_t width = edges.n > 255 ? 2 : 1;
  int64_t count = 0;
  for (int64_t first = 0; first < view.n; first += kBlockRows) {
    const int64_t rows = std::min(kBlockRows, view.n - first);
    count += bin_block(view, edges, first, rows, contiguous(view, 1, first, rows, gathered),
                       static_cast<char*>(codes) + first * width, missing + first / 64);
  }
  return count;
}

int64_t encode(const ColumnView& view, const uint16_t* table, int64_t table_size, bool wide, void* codes,
               uint64_t* missing) {
  alignas(64) char gathered[kBlockRows * 8];
  int64_t count = 0;
  for (int64_t first = 0; first < view.n; first += kBlockRows) {
    const int64_t rows = std::min(kBlockRows, view.n - first);
    count += encode_block(view, table, table_size, wide, first, rows, contiguous(view, 1, first, rows, gathered),
                          static_cast<char*>(codes) + first * (wide ? 2 : 1), missing + first / 64);
  }
  return count;
}

}  // namespace mlcore::cpu
