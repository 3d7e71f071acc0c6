#include "cpu/block.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>
#include <utility>

#include "core/isa.h"
#include "ops/bin.h"

namespace mlcore::cpu {

namespace {

template <typename T>
constexpr T highest() {
  return std::numeric_limits<T>::has_infinity ? std::numeric_limits<T>::infinity() : std::numeric_limits<T>::max();
}

template <typename T>
std::vector<char> two_level(const T* edges, int64_t n) {
  T table[272];
  const T top = highest<T>();
  for (int64_t i = 0; i < 256; ++i) table[i] = i < n ? edges[i] : top;
  for (int64_t i = 0; i < 16; ++i) table[256 + i] = table[16 * i + 15];
  std::vector<char> bytes(sizeof table);
  std::memcpy(bytes.data(), table, sizeof table);
  return bytes;
}

// 2^levels entries, at least 32. The edges of the first five levels are a heap that begins at 1; those of a further
// level come in runs of 32, a run for each way from there to the level, an edge for each place that the heap leads to.
template <typename Edge, typename T>
std::vector<char> levels(const T* edges, int64_t n) {
  const int last = std::max(5, static_cast<int>(std::bit_width(static_cast<uint64_t>(n))));
  std::vector<Edge> table(size_t{1} << last, highest<Edge>());
  for (int level = 0; level < last; ++level)
    for (int64_t i = 0; i < int64_t{1} << level; ++i) {
      const int64_t edge = ((2 * i + 1) << (last - level - 1)) - 1, ways = level < 5 ? 1 : int64_t{1} << (level - 5);
      const int64_t at = level < 5 ? i : i % ways * 32 + i / ways;
      if (edge < n) table[static_cast<size_t>((int64_t{1} << level) + at)] = static_cast<Edge>(edges[edge]);
    }
  const char* bytes = reinterpret_cast<const char*>(table.data());
  return {bytes, bytes + table.size() * sizeof(Edge)};
}

// Whether no more edges round to one float than are soon gone through.
bool apart_as_floats(const double* edges, int64_t n) {
  for (int64_t i = kMostInBucket; i < n; ++i)
    if (static_cast<float>(edges[i]) == static_cast<float>(edges[i - kMostInBucket])) return false;
  return true;
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

constexpr int64_t kFewestBuckets = 1024, kMostBuckets = 65536;

template <typename T>
Buckets buckets(const T* edges, int64_t n, int64_t count) {
  using A = std::conditional_t<std::is_same_v<T, float>, float, double>;
  const A low = static_cast<A>(edges[0]), last = static_cast<A>(count - 1);
  const A scale = last / (static_cast<A>(edges[n - 1]) - low);
  if (!std::isfinite(low) || !std::isfinite(scale) || scale <= 0) return {};
  Buckets made{std::vector<uint16_t>(static_cast<size_t>(count)), low, scale, 0};
  int64_t edge = 0;
  for (int64_t b = 0; b < count; ++b) {
    const int64_t first = edge;
    while (edge < n && ops::bucket_of(static_cast<A>(edges[edge]), low, scale, last) == b) ++edge;
    made.start[static_cast<size_t>(b)] = static_cast<uint16_t>(first);
    made.most = std::max(made.most, static_cast<int32_t>(edge - first));
  }
  return made;
}

// Buckets enough that the fullest holds two edges, or nearly; none where the edges lie too unevenly for that.
template <typename T>
Buckets buckets(const T* edges, int64_t n) {
  for (int64_t count = kFewestBuckets; n > 1 && count <= kMostBuckets; count *= 4) {
    if (count < 4 * n && count < kMostBuckets) continue;
    Buckets made = buckets(edges, n, count);
    if (made.start.empty()) break;
    if (made.most > 2 && count < std::max<int64_t>(16 * n, 4 * kFewestBuckets)) continue;
    if (made.most > kMostInBucket) break;
    return made;
  }
  return {};
}

constexpr int64_t kFewestSearched = 16;  // values together

template <typename T>
void lay_out(EdgeTable& table, int64_t rows) {
  const int64_t n = table.n;
  const T pad[kMostInBucket] = {highest<T>(), highest<T>(), highest<T>(), highest<T>()};
  const char* bytes = reinterpret_cast<const char*>(pad);
  table.edges.insert(table.edges.end(), bytes, bytes + sizeof pad);
  const T* edges = table.as<T>();
  if constexpr (std::is_integral_v<T>) table.direct = direct(edges, n, rows);
  if (!table.direct.empty()) return;
  if (rows >= kFewestSearched && n <= 255 && kernels().levels) {
    if constexpr (std::is_same_v<T, double>)
      table.levels = apart_as_floats(edges, n) ? levels<float>(edges, n) : std::vector<char>{};
    else if constexpr (sizeof(T) == 4)
      table.levels = levels<T>(edges, n);
  }
  if (!table.levels.empty()) return;
  if (rows >= kBlockRows && n > 16) table.buckets = buckets(edges, n);
  if (table.buckets.start.empty() && n <= 255) table.two_level = two_level(edges, n);
}

char* aligned(char*& at, int64_t bytes) {
  char* start = reinterpret_cast<char*>((reinterpret_cast<uintptr_t>(at) + 63) & ~uintptr_t{63});
  at = start + bytes;
  return start;
}

}  // namespace

EdgeTable make_edge_table(Type type, std::vector<char> edges, int64_t rows) {
  const auto n = static_cast<int32_t>(static_cast<int64_t>(edges.size()) / size_of(type));
  EdgeTable table{type, n, std::move(edges), {}, {}, {}, {}};
  switch (type) {
    case Type::f4:
      lay_out<float>(table, rows);
      break;
    case Type::f8:
      lay_out<double>(table, rows);
      break;
    case Type::i4:
      lay_out<int32_t>(table, rows);
      break;
    case Type::i8:
      lay_out<int64_t>(table, rows);
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

Scratch::Scratch(const Questions& asked, int64_t rows, int64_t cells, int64_t outputs) : rows_(rows) {
  const auto columns = static_cast<int64_t>(asked.n_codes.size()), planes = static_cast<int64_t>(asked.planes.size());
  const int64_t codes_bytes = columns * rows_ * 2, missing_bytes = columns * rows_ / 8;
  const int64_t slot_bytes = kMuxSlots * kMuxRegisters * kBlockRows / 8;
  const int64_t plane_bytes = planes * rows_ / 8 + slot_bytes, row_bytes = rows_ * 8;
  const int64_t sum_bytes = outputs * row_bytes, cell_bytes = cells * rows_ * 2;
  const int64_t total = codes_bytes + missing_bytes + plane_bytes + cell_bytes + sum_bytes + 5 * 64;
  memory_ = std::make_unique<char[]>(total);  // zeroed: unused rows hold code 0
  char* at = memory_.get();
  base_ = reinterpret_cast<uint8_t*>(aligned(at, codes_bytes));
  missing_ = reinterpret_cast<uint64_t*>(aligned(at, missing_bytes));
  planes_ = reinterpret_cast<uint64_t*>(aligned(at, plane_bytes));
  cells_ = reinterpret_cast<uint16_t*>(aligned(at, cell_bytes));
  sums_ = aligned(at, sum_bytes);
  gathered_ = std::make_unique_for_overwrite<char[]>(static_cast<size_t>(kBeside * (row_bytes + 64)));
}

}  // namespace mlcore::cpu
