// Rows on their way down a tree of clusters; a part of the AVX-512 engine.
#pragma once

#include <cstdint>
#include <utility>

#include "core/simd512.h"
#include "cpu/clusters.h"

namespace mlcore::cpu {
namespace {

// Rows on their way, and where their clusters lie, as Cluster::leads says.
struct Walkers {
  uint32_t cluster[kClusterRows];
  uint8_t row[kClusterRows];
  static_assert(kClusterRows <= 256);
};

class ClusterWalk {
 public:
  // `cells` are the rows', kClusterCells each or half as many.
  ClusterWalk(const Cluster* clusters, const uint16_t* cells, bool halved)
      : clusters_(reinterpret_cast<uintptr_t>(clusters)), cells_(cells), halved_(halved) {}

  // The numbers of the leaves that kClusterRows rows reach. All take a step before any takes the next, and none waits
  // for another: what one asks for arrives while others step. Each sets out on the one of `ways` that it has taken.
  void operator()(const uint32_t* ways, const uint8_t* taken, uint32_t* numbers) {
    Walkers one, other;
    Walkers *from = &one, *to = &other;
    for (int64_t row = 0; row < kClusterRows; ++row) {
      one.cluster[row] = ways[taken[row]];
      one.row[row] = static_cast<uint8_t>(row);
    }
    for (int64_t count = kClusterRows; count > 0; std::swap(from, to)) {
      halved_ ? ask<true>(*from, count) : ask<false>(*from, count);
      count = step(*from, count, *to, numbers);
    }
    for (int64_t i = 0; i < kClusterRows; ++i) numbers[i] /= 2;
  }

 private:
  const Cluster& cluster(const Walkers& walkers, int64_t i) const {
    return *reinterpret_cast<const Cluster*>(clusters_ + walkers.cluster[i] - 1);
  }

  // At which nodes of its cluster each row goes right.
  template <bool Halved>
  void ask(const Walkers& walkers, int64_t count) {
#pragma GCC unroll 2
    for (int64_t i = 0; i < count; ++i) {
      const Cluster& asked = cluster(walkers, i);
      const uint16_t* cells = cells_ + int64_t{walkers.row[i]} * (Halved ? kClusterCells / 2 : kClusterCells);
      const __m128i bytes = _mm_load_si128(reinterpret_cast<const __m128i*>(asked.cell.data()));
      const __m256i which = _mm256_cvtepu8_epi16(bytes), less = _mm256_srli_epi16(which, 7);
      const __m512i lanes = _mm512_castsi256_si512(which);
      __m512i found = _mm512_load_si512(cells);
      if constexpr (Halved)
        found = _mm512_permutexvar_epi16(lanes, found);
      else
        found = _mm512_permutex2var_epi16(found, lanes, _mm512_load_si512(cells + kClusterCells / 2));
      const __m256i held = _mm256_sub_epi16(_mm512_castsi512_si256(found), less);
      rights_[i] = _mm256_cmpge_epu16_mask(held, load(asked.code));
    }
  }

  // Lists the rows that have not reached a leaf, and says how many.
  int64_t step(const Walkers& from, int64_t count, Walkers& to, uint32_t* numbers) const {
    int64_t next = 0;
#pragma GCC unroll 2
    for (int64_t i = 0; i < count; ++i) {
      const uint8_t row = from.row[i];
      const Cluster& left = cluster(from, i);
      const __m256i rights = _mm256_and_si256(_mm256_set1_epi16(static_cast<int16_t>(rights_[i])), load(left.asked));
      const auto way = __builtin_ctz(_mm256_cmpeq_epi16_mask(rights, load(left.right)));
      const uint32_t lead = left.leads[way], below = left.next + lead;
      numbers[row] = left.leaves + lead;
      to.cluster[next] = below;
      to.row[next] = row;
      next += lead & 1;
      for (uintptr_t line = 0; line < 3; ++line)
        __builtin_prefetch(reinterpret_cast<const char*>(clusters_ + below + 64 * line), 0, 2);
    }
    return next;
  }

  static __m256i load(const std::array<uint16_t, 16>& words) {
    return _mm256_load_si256(reinterpret_cast<const __m256i*>(words.data()));
  }

  const uintptr_t clusters_;
  const uint16_t* const cells_;
  const bool halved_;
  uint16_t rights_[kClusterRows];  // the nodes of each row's cluster where it goes right, a bit each
};

}  // namespace
}  // namespace mlcore::cpu
