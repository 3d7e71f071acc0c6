// The forest on plain 64-bit words: any processor, and the reference the wider engines are checked against.
#include "cpu/engine.h"

namespace mlcore::cpu {
namespace {

struct Portable {
  using Reg = uint64_t;
  static constexpr int64_t rows = 64;
  static constexpr bool two_level = false;
  static constexpr bool levels = false;
  static constexpr bool clusters = false;
  static constexpr int bits_of_short_pieces = kMostBits + 1;
  static constexpr int64_t register_bytes = 8;

  static Reg load(const uint64_t* plane) { return *plane; }
  static Reg mux(Reg choose, Reg one, Reg zero) { return zero ^ ((zero ^ one) & choose); }
  static Reg none() { return 0; }
  static Reg all() { return ~uint64_t{0}; }
  template <typename Sum>
  static int64_t position(int64_t row) {
    return row;
  }

  static uint64_t nan_bits(const float* x) {
    return static_cast<uint64_t>(x[0] != x[0]) | static_cast<uint64_t>(x[1] != x[1]) << 1;
  }
  static uint64_t nan_bits(const double* x) { return *x != *x; }

  template <typename Code>
  static void thresholds(const Code* codes, const Plane* plane, int64_t count, uint64_t* out, int64_t stride) {
    for (int64_t p = 0; p < count; ++p)
      for (int64_t w = 0; w < kBlockWords; ++w) {
        uint64_t word = 0;
        for (int64_t i = 0; i < 64; ++i) word |= static_cast<uint64_t>(codes[64 * w + i] >= plane[p].code) << i;
        out[p * stride + w] = word;
      }
  }

  static void members(const uint8_t* codes, const uint64_t* set, int64_t, int64_t words, uint64_t* plane) {
    for (int64_t w = 0; w < words; ++w) {
      uint64_t word = 0;
      for (int64_t i = 0; i < 64; ++i) {
        const uint32_t code = codes[64 * w + i];
        word |= ((set[code >> 6] >> (code & 63)) & 1) << i;
      }
      plane[w] = word;
    }
  }

  template <int Bits, typename Sum>
  static void add_leaves(const Reg* bit, const LeafValues<Sum>& values, int64_t table, Sum* sums) {
    add<Bits>(bit, values.tables.data() + table, sums);
  }

  // 8 rows' doubles, two a register.
  using Two = double __attribute__((vector_size(16)));
  using Bits2 = int64_t __attribute__((vector_size(16)));
  struct Eight {
    Two part[4];
  };
  struct Mask {
    Bits2 part[4];
  };

  static Mask mask(uint8_t bits) {
    Mask made;
    for (int i = 0; i < 4; ++i) made.part[i] = Bits2{-((bits >> (2 * i)) & 1), -((bits >> (2 * i + 1)) & 1)};
    return made;
  }
  static Eight take(const double* x) {
    Eight taken;
    for (int i = 0; i < 4; ++i) taken.part[i] = *reinterpret_cast<const Two*>(x + 2 * i);
    return taken;
  }
  static void put(double* target, Eight x) {
    for (int i = 0; i < 4; ++i) *reinterpret_cast<Two*>(target + 2 * i) = x.part[i];
  }
  static Eight all(double x) { return {{Two{x, x}, Two{x, x}, Two{x, x}, Two{x, x}}}; }
  static Eight scale(Eight x, double by) {
    for (Two& part : x.part) part *= by;
    return x;
  }
  static Eight plus(Eight x, Eight y) {
    for (int i = 0; i < 4; ++i) x.part[i] += y.part[i];
    return x;
  }
  // Where the mask is set, y scaled; else x.
  static Eight replace(Eight x, Mask where, Eight y, double by) {
    for (int i = 0; i < 4; ++i)
      x.part[i] = reinterpret_cast<Two>((reinterpret_cast<Bits2>(y.part[i] * by) & where.part[i]) |
                                        (reinterpret_cast<Bits2>(x.part[i]) & ~where.part[i]));
    return x;
  }
  static Eight plus_where(Eight x, Mask where, Eight y) {
    for (int i = 0; i < 4; ++i) x.part[i] += reinterpret_cast<Two>(reinterpret_cast<Bits2>(y.part[i]) & where.part[i]);
    return x;
  }

 private:
  template <int Bits, typename Sum>
  static void add(const Reg* bit, const Sum* leaves, Sum* sums) {
    for (int64_t i = 0; i < 64; ++i) {
      uint64_t leaf = 0;
      for (int b = 0; b < Bits; ++b) leaf = 2 * leaf + ((bit[b] >> i) & 1);
      sums[i] += leaves[leaf];
    }
  }
};

}  // namespace

const Kernels& kernels_portable() {
  static constexpr Kernels table = kernels_over<Portable>();
  return table;
}

}  // namespace mlcore::cpu
