#include "cpu/tally.h"

#include <algorithm>
#include <cstring>

namespace mlcore::cpu {

namespace {

constexpr int64_t kParts = 4;
constexpr int64_t kSmall = 512;              // slots of the small histogram
constexpr int64_t kSpan = int64_t{1} << 20;  // rows between sums: parts count in 32 bits

// Where a row is counted: at its code, or at n_codes where it is missing.
template <typename Code>
struct Slots {
  const Code* codes;
  const uint64_t* missing;
  uint64_t n_codes;
  bool fit = true;

  uint64_t operator()(int64_t i) {
    const auto code = static_cast<uint64_t>(int64_t{codes[i]});
    const bool absent = missing != nullptr && ((missing[i >> 6] >> (i & 63)) & 1) != 0;
    fit &= absent | (code < n_codes);
    return std::min(absent ? n_codes : code, n_codes);
  }
};

template <typename Code>
struct KnownSlots {
  const Code* codes;

  uint64_t operator()(int64_t i) const { return codes[i]; }
};

// Four histograms side by side: a run of equal codes would otherwise wait for its own last store.
template <typename Slot>
void count(Slot& slot, int64_t rows, int64_t slots, int64_t* counts) {
  if (slots > kSmall) {
    for (int64_t i = 0; i < rows; ++i) ++counts[slot(i)];
    return;
  }
  uint32_t part[kParts][kSmall];
  for (int64_t i = 0; i < rows;) {
    const int64_t end = std::min(rows, i + kSpan);
    for (auto& histogram : part) std::memset(histogram, 0, static_cast<size_t>(slots) * sizeof(uint32_t));
    for (; i + kParts <= end; i += kParts)
      for (int64_t k = 0; k < kParts; ++k) ++part[k][slot(i + k)];
    for (; i < end; ++i) ++part[0][slot(i)];
    for (int64_t s = 0; s < slots; ++s) counts[s] += int64_t{part[0][s]} + part[1][s] + part[2][s] + part[3][s];
  }
}

}  // namespace

template <typename Code>
bool tally(const Code* codes, const uint64_t* missing, int64_t rows, int64_t n_codes, int64_t* counts) {
  Slots<Code> slots{codes, missing, static_cast<uint64_t>(n_codes)};
  count(slots, rows, n_codes + 1, counts);
  return slots.fit;
}

template <typename Code>
void tally_known(const Code* codes, int64_t rows, int64_t n_codes, int64_t* counts) {
  KnownSlots<Code> slots{codes};
  count(slots, rows, n_codes, counts);
}

template void tally_known(const uint8_t*, int64_t, int64_t, int64_t*);
template void tally_known(const uint16_t*, int64_t, int64_t, int64_t*);
template bool tally(const uint8_t*, const uint64_t*, int64_t, int64_t, int64_t*);
template bool tally(const uint16_t*, const uint64_t*, int64_t, int64_t, int64_t*);
template bool tally(const int32_t*, const uint64_t*, int64_t, int64_t, int64_t*);

}  // namespace mlcore::cpu
