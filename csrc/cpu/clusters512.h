// Rows on their way down a tree of clusters; a part of the AVX-512 engine.
#pragma once

#include <cstdint>
#include <utility>

#include "core/simd512.h"
#include "cpu/clusters.h"

namespace mlcore::cpu {
namespace {

// A row on its way: in the upper half its number, in the lower where its cluster lies, as Cluster::leads says.
using Place = uint64_t;

class ClusterWalk {
 public:
  // `cells` are the rows', kClusterCells each or half as many.
  ClusterWalk(const Cluster* clusters, const uint16_t* cells, bool halved)
      : clusters_(reinterpret_cast<uintptr_t>(clusters) - 1), cells_(cells), halved_(halved) {}

  // The numbers of the leaves that kClusterRows rows reach. All take a step before any takes the next, and none waits
  // for another: what one asks for arrives while others step. Each sets out on the one of `ways` that it has taken.
  void operator()(const uint32_t* ways, const uint8_t* taken, uint32_t* numbers) {
    Place one[kClusterRows], other[kClusterRows];
    Place *from = one, *to = other;
    for (int64_t i = 0; i < kClusterRows; ++i) from[i] = static_cast<Place>(i) << 32 | ways[taken[i]];
    for (int64_t count = kClusterRows; count > 0; std::swap(from, to)) {
      halved_ ? ask<true>(from, count) : ask<false>(from, count);
      count = step(from, count, to, numbers);
    }
    for (int64_t i = 0; i < kClusterRows; ++i) numbers[i] /= 2;
  }

 private:
  const Cluster& cluster(Place place) const {
    return *reinterpret_cast<const Cluster*>(clusters_ + static_cast<uint32_t>(place));
  }

  template <bool Halved>
  void ask(const Place* places, int64_t count) {
    constexpr int64_t apart = Halved ? kClusterCells / 2 : kClusterCells;
#pragma GCC unroll 2
    for (int64_t i = 0; i < count; ++i) {
      const Cluster& asked = cluster(places[i]);
      const uint16_t* cells = cells_ + static_cast<int64_t>(places[i] >> 32) * apart;
      const __m128i bytes = _mm_load_si128(reinterpret_cast<const __m128i*>(asked.cell.data()));
      const __m512i which = _mm512_castsi256_si512(_mm256_cvtepu8_epi16(bytes));
      __m512i found = _mm512_load_si512(cells);
      if constexpr (Halved)
        found = _mm512_permutexvar_epi16(which, found);
      else
        found = _mm512_permutex2var_epi16(found, which, _mm512_load_si512(cells + apart / 2));
      const __m256i held = _mm512_castsi512_si256(found);
      answers_[i] = static_cast<uint16_t>(_mm256_cmpgt_epu16_mask(held, load(asked.code)) |
                                          _mm256_mask_testn_epi16_mask(asked.missing, held, held));
    }
  }

  // Lists the rows that have not reached a leaf, and says how many.
  int64_t step(const Place* from, int64_t count, Place* to, uint32_t* numbers) const {
    Place* next = to;
#pragma GCC unroll 2
    for (int64_t i = 0; i < count; ++i) {
      const Cluster& left = cluster(from[i]);
      const __m256i answers = _mm256_and_si256(_mm256_set1_epi16(static_cast<int16_t>(answers_[i])), load(left.asked));
      const auto way = __builtin_ctz(_mm256_cmpeq_epi16_mask(answers, load(left.right)));
      const uint32_t lead = left.leads[way], place = left.next + lead;
      numbers[from[i] >> 32] = left.leaves + lead;
      *next = (from[i] >> 32 << 32) + place;
      next += lead & 1;
      const char* below = reinterpret_cast<const char*>(clusters_ + place);
      for (int64_t line = 0; line < 3; ++line) __builtin_prefetch(below + 64 * line, 0, 2);
    }
    return next - to;
  }

  static __m256i load(const std::array<uint16_t, 16>& words) {
    return _mm256_load_si256(reinterpret_cast<const __m256i*>(words.data()));
  }

  const uintptr_t clusters_;  // less the one in Cluster::leads
  const uint16_t* const cells_;
  const bool halved_;
  uint16_t answers_[kClusterRows];  // of the nodes of each row's cluster, a bit each
};

}  // namespace
}  // namespace mlcore::cpu
