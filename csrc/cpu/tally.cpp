#include "cpu/tally.h"

#include <cstring>

namespace mlcore::cpu {

namespace {

constexpr int64_t kParts = 4;
constexpr int64_t kSmall = 256;              // codes of the small histogram
constexpr int64_t kSpan = int64_t{1} << 20;  // rows between sums: parts count in 32 bits

// Four histograms side by side: a run of equal codes would otherwise wait for its own last store.
template <bool known, typename Code>
bool count_small(const Code* codes, int64_t rows, int64_t n_codes, int64_t* counts) {
  uint32_t part[kParts][kSmall];
  const int64_t used = sizeof(Code) == 1 && !known ? kSmall : n_codes;
  for (auto& histogram : part) std::memset(histogram, 0, static_cast<size_t>(used) * sizeof(uint32_t));
  bool fits = true;
  int64_t i = 0;
  const auto add = [&](int64_t k, int64_t code) {
    if constexpr (sizeof(Code) > 1 && !known) fits &= code >= 0 && code < n_codes;
    if (fits) ++part[k][code];
  };
  for (; i + kParts <= rows; i += kParts)
    for (int64_t k = 0; k < kParts; ++k) add(k, codes[i + k]);
  for (; i < rows; ++i) add(0, codes[i]);
  for (int64_t c = 0; c < used; ++c) {
    const int64_t count = int64_t{part[0][c]} + part[1][c] + part[2][c] + part[3][c];
    if (count == 0) continue;
    if (c >= n_codes) return false;
    counts[c] += count;
  }
  return fits;
}

template <typename Code>
bool count_large(const Code* codes, int64_t rows, int64_t n_codes, int64_t* counts) {
  for (int64_t i = 0; i < rows; ++i) {
    const int64_t code = codes[i];
    if (code < 0 || code >= n_codes) return false;
    ++counts[code];
  }
  return true;
}

template <typename Code>
bool count_all(const Code* codes, int64_t rows, int64_t n_codes, int64_t* counts) {
  for (int64_t first = 0; first < rows; first += kSpan) {
    const int64_t count = rows - first < kSpan ? rows - first : kSpan;
    const bool fits = n_codes <= kSmall ? count_small<false>(codes + first, count, n_codes, counts)
                                        : count_large(codes + first, count, n_codes, counts);
    if (!fits) return false;
  }
  return true;
}

template <typename Code>
bool count_present(const Code* codes, uint64_t missing, int64_t rows, int64_t n_codes, int64_t* counts) {
  for (int64_t i = 0; i < rows; ++i) {
    if ((missing >> i) & 1)
      ++counts[n_codes];
    else if (!count_large(codes + i, 1, n_codes, counts))
      return false;
  }
  return true;
}

}  // namespace

template <typename Code>
bool tally(const Code* codes, const uint64_t* missing, int64_t rows, int64_t n_codes, int64_t* counts) {
  if (missing == nullptr) return count_all(codes, rows, n_codes, counts);
  const int64_t words = words_for(rows);
  for (int64_t w = 0; w < words;) {
    int64_t end = w;
    while (end < words && missing[end] == 0) ++end;
    const int64_t first = 64 * w, whole = (end == words ? rows : 64 * end) - first;
    if (!count_all(codes + first, whole, n_codes, counts)) return false;
    if (end < words) {
      const int64_t count = rows - 64 * end < 64 ? rows - 64 * end : 64;
      if (!count_present(codes + 64 * end, missing[end], count, n_codes, counts)) return false;
      ++end;
    }
    w = end;
  }
  return true;
}

template <typename Code>
void tally_known(const Code* codes, int64_t rows, int64_t n_codes, int64_t* counts) {
  if (n_codes <= kSmall)
    count_small<true>(codes, rows, n_codes, counts);
  else
    for (int64_t i = 0; i < rows; ++i) ++counts[codes[i]];
}

template void tally_known(const uint8_t*, int64_t, int64_t, int64_t*);
template void tally_known(const uint16_t*, int64_t, int64_t, int64_t*);
template bool tally(const uint8_t*, const uint64_t*, int64_t, int64_t, int64_t*);
template bool tally(const uint16_t*, const uint64_t*, int64_t, int64_t, int64_t*);
template bool tally(const int32_t*, const uint64_t*, int64_t, int64_t, int64_t*);

}  // namespace mlcore::cpu
