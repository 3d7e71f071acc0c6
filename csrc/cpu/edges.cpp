#include "cpu/edges.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>
#include <utility>

#include "cpu/block.h"
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

// Sorts edges into buckets from the first on that `bucket` names, `count` of them.
template <typename T, typename Bucket>
void fill(Buckets& made, const T* edges, int64_t n, int64_t count, const Bucket& bucket) {
  made.start.resize(static_cast<size_t>(count));
  int64_t next = 0, in_last = 0;
  for (int64_t i = 0; i < n; ++i) {
    const int64_t at = bucket(edges[i]);
    in_last = at < next ? in_last + 1 : 1;
    for (; next <= at; ++next) made.start[static_cast<size_t>(next)] = static_cast<uint16_t>(i);
    made.most = std::max(made.most, static_cast<int32_t>(in_last));
  }
  for (; next < count; ++next) made.start[static_cast<size_t>(next)] = static_cast<uint16_t>(n);
}

// The logarithm of how many of a span go to a bucket so that there are `count` buckets, or as many as half of that.
int shift_of(uint64_t span, int64_t count) {
  return std::max(0, static_cast<int>(std::bit_width(span) - std::bit_width(static_cast<uint64_t>(count))) + 1);
}

template <typename T>
Buckets by_width(const T* edges, int64_t n, int64_t count) {
  Buckets made{.of = Buckets::Of::one_width};
  const T low = edges[0], high = edges[n - 1];
  if constexpr (std::is_integral_v<T>) {
    const uint64_t span = ops::integers_above(high, low, high);
    made.shift = shift_of(span, count);
    fill(made, edges, n, static_cast<int64_t>(span >> made.shift) + 1,
         [&](T edge) { return ops::integers_above(edge, low, high) >> made.shift; });
  } else {
    const T last = static_cast<T>(count - 1), scale = last / (high - low);
    if (!std::isfinite(low) || !std::isfinite(scale) || scale <= 0) return {};
    made.scale = scale;
    fill(made, edges, n, count, [&](T edge) { return ops::bucket_of(edge, low, scale, last); });
  }
  return made;
}

template <typename T>
Buckets by_floats(const T* edges, int64_t n, int64_t count) {
  Buckets made{
      .of = Buckets::Of::floats, .lowest = static_cast<float>(edges[0]), .highest = static_cast<float>(edges[n - 1])};
  const auto place = [&](T edge) { return ops::floats_above(static_cast<float>(edge), made.lowest, made.highest); };
  const uint32_t span = place(edges[n - 1]);
  made.shift = shift_of(span, count);
  fill(made, edges, n, (span >> made.shift) + 1, [&](T edge) { return place(edge) >> made.shift; });
  return made;
}

constexpr int64_t kFewestBuckets = 1024, kMostBuckets = 262144;
constexpr int64_t kBucketsInCache = 16384;  // of 32 KB: past it, a second edge is had sooner than a larger table

// As few buckets, of one width or of as many floats, as leave one edge in each, or two; none where the edges lie too
// unevenly for that, or where making them would cost more than they save on so many values.
template <typename T>
Buckets even(const T* edges, int64_t n, int64_t rows) {
  Buckets best{.most = 3};
  const auto good = [&](Buckets made, int64_t count) {
    if (!made.start.empty() && made.most < best.most) best = std::move(made);
    return best.most == 1 || (best.most == 2 && count >= kBucketsInCache);
  };
  const int64_t fewest = std::min(kMostBuckets, std::max(kFewestBuckets, 4 * n));
  for (int64_t count = static_cast<int64_t>(std::bit_ceil(static_cast<uint64_t>(fewest)));
       count <= std::min({kMostBuckets, 4 * fewest, rows}); count *= 2)
    if (good(by_width(edges, n, count), count) || good(by_floats(edges, n, count), count)) break;
  return best;
}

constexpr int kWayBits = 12;
constexpr uint64_t kBucketsOfEdge = 32;  // at most

// Each way as few buckets as part its edges, but no more than an edge is worth.
template <typename T>
Buckets by_ways(const T* edges, int64_t n, int64_t rows) {
  if (rows < (int64_t{1} << kWayBits) + 4 * n) return {};
  Buckets made{
      .of = Buckets::Of::ways, .lowest = static_cast<float>(edges[0]), .highest = static_cast<float>(edges[n - 1])};
  std::vector<uint32_t> place(static_cast<size_t>(n));
  for (int64_t i = 0; i < n; ++i)
    place[static_cast<size_t>(i)] = ops::floats_above(static_cast<float>(edges[i]), made.lowest, made.highest);
  made.shift = std::max(0, static_cast<int>(std::bit_width(place.back())) - kWayBits);
  size_t edge = 0;
  for (uint32_t way = 0; way <= place.back() >> made.shift; ++way) {
    size_t end = edge;
    int size = made.shift;
    for (; end < place.size() && place[end] >> made.shift == way; ++end)
      if (end > edge) size = std::min(size, static_cast<int>(std::bit_width(place[end - 1] ^ place[end])) - 1);
    const int most = static_cast<int>(std::bit_width(kBucketsOfEdge * (end - edge)));
    size = std::max({size, made.shift - most, 0});
    made.ways.push_back(static_cast<uint32_t>(made.start.size()) << 5 | static_cast<uint32_t>(size));
    for (uint32_t b = 0; b < uint32_t{1} << (made.shift - size); ++b) {
      const size_t first = edge;
      while (edge < end && (place[edge] & ((uint32_t{1} << made.shift) - 1)) >> size == b) ++edge;
      made.start.push_back(static_cast<uint16_t>(first));
      made.most = std::max(made.most, static_cast<int32_t>(edge - first));
    }
  }
  return made.most <= kMostInBucket ? made : Buckets{};
}

constexpr int64_t kFewestSearched = 16;  // values together

template <typename T>
void lay_out(EdgeTable& table, int64_t rows) {
  const int64_t n = table.n;
  T pad[kMostInBucket];
  std::fill(pad, pad + kMostInBucket, std::is_integral_v<T> ? highest<T>() : std::numeric_limits<T>::quiet_NaN());
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
  if (!few<T>(n)) {
    table.buckets = even(edges, n, rows);
    if (table.buckets.start.empty()) table.buckets = by_ways(edges, n, rows);
  }
  if (table.buckets.start.empty() && n <= 255) table.two_level = two_level(edges, n);
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

}  // namespace mlcore::cpu
