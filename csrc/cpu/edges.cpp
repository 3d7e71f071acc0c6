#include "cpu/edges.h"

#include <algorithm>
#include <array>
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
constexpr T lowest() {
  return std::numeric_limits<T>::has_infinity ? -std::numeric_limits<T>::infinity() : std::numeric_limits<T>::lowest();
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

// 64 entries: the edges of five levels are a heap that begins at 1, those of the sixth one for each place it leads to.
template <typename T>
std::vector<char> levels(const T* edges, int64_t n) {
  T table[64];
  std::fill(table, table + 64, highest<T>());
  for (int level = 0; level < 6; ++level)
    for (int64_t i = 0; i < int64_t{1} << level; ++i) {
      const int64_t edge = ((2 * i + 1) << (5 - level)) - 1;
      if (edge < n) table[(int64_t{1} << level) + i] = edges[edge];
    }
  const char* bytes = reinterpret_cast<const char*>(table);
  return {bytes, bytes + sizeof table};
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

// How many of the ascending numbers are equal, at most; 0 for more than `most`.
int32_t most_equal(const std::vector<uint32_t>& numbers, int32_t most) {
  for (int32_t k = 1; k <= most; ++k) {
    uint32_t more = 0;
    for (size_t i = static_cast<size_t>(k); i < numbers.size(); ++i)
      more |= uint32_t{numbers[i] == numbers[i - static_cast<size_t>(k)]};
    if (more == 0) return k;
  }
  return 0;
}

// Makes a table of what `of` says for each of `count` buckets of the first edge in it or after it, by the buckets that
// edges are `found` in. Buckets up to an edge's are mostly few: a line of the table is written at once without counting
// them, and what was too much is written over by the next, or lies past the end, where a line more has room.
template <typename Out, typename Of>
std::vector<char> spread(const std::vector<uint32_t>& found, int64_t count, const Of& of) {
  constexpr int64_t line = 64 / sizeof(Out);
  std::vector<char> table(static_cast<size_t>(count + line) * sizeof(Out));
  Out* out = reinterpret_cast<Out*>(table.data());
  int64_t from = 0;
  const auto write = [&](size_t edge, int64_t to) {
    const Out said = of(edge);
    std::fill(out + from, out + from + line, said);
    if (to - from > line) std::fill(out + from + line, out + to, said);
    from = to;
  };
  for (size_t i = 0; i < found.size(); ++i) write(i, int64_t{found[i]} + 1);
  write(found.size(), count);
  return table;
}

constexpr int64_t kFewestBuckets = 256, kMostBuckets = 262144;
constexpr size_t kMostOfEntries = size_t{2} << 20;  // bytes

// Sorts n edges into `count` buckets; `bucket` says which of them edge i falls into. None where one would get more
// than `most`.
template <typename T, typename Bucket>
Buckets filled(Buckets made, const T* edges, int64_t n, int64_t count, int32_t most, const Bucket& bucket) {
  std::vector<uint32_t> found(static_cast<size_t>(n));
  for (int64_t i = 0; i < n; ++i) found[static_cast<size_t>(i)] = bucket(i);
  made.most = most_equal(found, most);
  if (made.most == 0) return {};
  made.count = static_cast<int32_t>(count);
  if (made.most == 1 && static_cast<size_t>(count) * sizeof(Entry<T>) <= kMostOfEntries) {
    made.entries = spread<Entry<T>>(found, count, [&](size_t i) -> Entry<T> {
      return i < found.size() ? Entry<T>{edges[i], static_cast<uint32_t>(i)}
                              : Entry<T>{lowest<T>(), static_cast<uint32_t>(i - 1)};
    });
  } else {
    made.start = spread<uint16_t>(found, count, [](size_t i) { return static_cast<uint16_t>(i); });
  }
  return made;
}

// The logarithm of how many of a span go to a bucket so that there are `count` buckets, or as many as half of that.
int shift_of(uint64_t span, int64_t count) {
  return std::max(0, static_cast<int>(std::bit_width(span) - std::bit_width(static_cast<uint64_t>(count))) + 1);
}

template <typename T>
Buckets by_width(const T* edges, int64_t n, int64_t count, int32_t most) {
  Buckets made{.of = Buckets::Of::one_width};
  const T low = edges[0], high = edges[n - 1];
  if constexpr (std::is_integral_v<T>) {
    const uint64_t span = ops::integers_above(high, low, high);
    const int shift = made.shift = shift_of(span, count);
    return filled(std::move(made), edges, n, static_cast<int64_t>(span >> shift) + 1, most,
                  [&](int64_t i) { return static_cast<uint32_t>(ops::integers_above(edges[i], low, high) >> shift); });
  } else {
    const T last = static_cast<T>(count - 1), scale = last / (high - low);
    if (!std::isfinite(scale) || scale <= 0) return {};
    made.scale = scale;
    return filled(std::move(made), edges, n, count, most,
                  [&](int64_t i) { return ops::bucket_of(edges[i], low, scale, last); });
  }
}

// How many floats lie between the first edge and each.
template <typename T>
std::vector<uint32_t> places(const T* edges, int64_t n) {
  const auto lowest = static_cast<float>(edges[0]), highest = static_cast<float>(edges[n - 1]);
  std::vector<uint32_t> found(static_cast<size_t>(n));
  for (int64_t i = 0; i < n; ++i)
    found[static_cast<size_t>(i)] = ops::floats_above(static_cast<float>(edges[i]), lowest, highest);
  return found;
}

template <typename T>
Buckets counting_floats(Buckets::Of of, const T* edges, int64_t n) {
  return {.of = of, .lowest = static_cast<float>(edges[0]), .highest = static_cast<float>(edges[n - 1])};
}

template <typename T>
Buckets by_floats(const T* edges, int64_t n, const std::vector<uint32_t>& places, int64_t count, int32_t most) {
  Buckets made = counting_floats(Buckets::Of::floats, edges, n);
  const int shift = made.shift = shift_of(places.back(), count);
  return filled(std::move(made), edges, n, static_cast<int64_t>(places.back() >> shift) + 1, most,
                [&](int64_t i) { return places[static_cast<size_t>(i)] >> shift; });
}

constexpr int64_t kRowsOfBucket = 4;  // compared once, not twice: what one more bucket must save to be worth making

template <typename T>
double distance(T low, T high) {
  if constexpr (std::is_integral_v<T>)
    return static_cast<double>(static_cast<std::make_unsigned_t<T>>(high) - static_cast<std::make_unsigned_t<T>>(low));
  else
    return static_cast<double>(high) - static_cast<double>(low);
}

// The fewest buckets worth a trial to leave `most` in each: a bucket a few times as wide as the narrowest run that it
// has to part has little hope.
template <typename T>
double fewest_to_try(const T* numbers, int64_t n, int32_t most) {
  std::array<double, 8> narrowest;  // of every eighth run: none waits for the one before
  narrowest.fill(std::numeric_limits<double>::infinity());
  const auto look_at = [&](int64_t last, double& least) {
    const double run = distance(numbers[last - most], numbers[last]);
    least = run < least ? run : least;
  };
  int64_t i = most;
  for (; i + 8 <= n; i += 8)
    for (int64_t k = 0; k < 8; ++k) look_at(i + k, narrowest[static_cast<size_t>(k)]);
  for (; i < n; ++i) look_at(i, narrowest[0]);
  return distance(numbers[0], numbers[n - 1]) / (4 * *std::min_element(narrowest.begin(), narrowest.end()));
}

// As few buckets, of one width or of as many floats, as leave one edge in each, else two, else some; none where the
// edges lie too unevenly for that, or where making them would cost more than they save on so many values: a search of
// a value takes as long as making several buckets.
template <typename T>
Buckets even(const T* edges, int64_t n, const std::vector<uint32_t>& places, int64_t rows) {
  const auto wanted = static_cast<uint64_t>(std::clamp(4 * n, kFewestBuckets, kMostBuckets));
  const auto fewest = static_cast<int64_t>(std::bit_ceil(wanted));
  if (fewest > 4 * rows) return {};
  const int64_t largest = std::max(fewest, std::min({kMostBuckets, 16 * fewest, rows / kRowsOfBucket}));
  for (const int32_t most : {1, 2, kMostInBucket}) {
    const double width = fewest_to_try(edges, n, most), floats = fewest_to_try(places.data(), n, most);
    for (int64_t count = fewest; count <= largest; count *= 2) {
      Buckets made;
      if (width <= static_cast<double>(count)) made = by_width(edges, n, count, most);
      if (made.most == 0 && floats <= static_cast<double>(count)) made = by_floats(edges, n, places, count, most);
      if (made.most > 0) return made;
    }
  }
  return {};
}

constexpr int kWayBits = 12;
constexpr uint64_t kBucketsOfEdge = 64;  // at most

// Each way as few buckets as part its edges, but no more than an edge is worth, and all together than so many values.
template <typename T>
Buckets by_ways(const T* edges, int64_t n, const std::vector<uint32_t>& places, int64_t rows) {
  Buckets made = counting_floats(Buckets::Of::ways, edges, n);
  const int shift = made.shift = shift_of(places.back(), int64_t{1} << kWayBits);
  int64_t count = 0;
  size_t edge = 0;
  for (uint32_t way = 0; way <= places.back() >> shift; ++way) {
    const size_t first = edge;
    int size = shift;
    for (; edge < places.size() && places[edge] >> shift == way; ++edge)
      if (edge > first) size = std::min(size, static_cast<int>(std::bit_width(places[edge - 1] ^ places[edge])) - 1);
    if (edge > first) {
      const int most = static_cast<int>(std::bit_width(kBucketsOfEdge * (edge - first))) - 1;
      size = std::max({size, shift - most, 0});
    }
    made.ways.push_back(static_cast<uint32_t>(count) << 5 | static_cast<uint32_t>(size));
    count += int64_t{1} << (shift - size);
    if (count > rows) return {};
  }
  const uint32_t in_way = (uint32_t{1} << shift) - 1;
  const std::vector<uint32_t> ways = made.ways;
  return filled(std::move(made), edges, n, count, kMostInBucket, [&](int64_t i) {
    const uint32_t place = places[static_cast<size_t>(i)], way = ways[place >> shift];
    return (way >> 5) + ((place & in_way) >> (way & 31));
  });
}

// So few that each value is compared with each.
template <typename T>
constexpr bool few_edges(int64_t n) {
  return n <= (sizeof(T) == 4 ? 12 : 6);
}

template <typename T>
Search lay_out(EdgeTable& table, int64_t rows) {
  const int64_t n = table.n;
  T pad[kMostInBucket];
  std::fill(pad, pad + kMostInBucket, std::is_integral_v<T> ? highest<T>() : std::numeric_limits<T>::quiet_NaN());
  const char* bytes = reinterpret_cast<const char*>(pad);
  table.edges.insert(table.edges.end(), bytes, bytes + sizeof pad);
  const T* edges = table.as<T>();
  if constexpr (std::is_integral_v<T>) {
    table.direct = direct(edges, n, rows);
    if (!table.direct.empty()) return Search::direct;
  }
  if constexpr (sizeof(T) == 4)
    if (rows >= kTogether && n <= 63 && kernels().levels) {
      table.levels = levels(edges, n);
      return Search::levels;
    }
  if (rows >= kTogether) {
    if (few_edges<T>(n)) return Search::each;
    const std::vector<uint32_t> found = places(edges, n);
    table.buckets = even(edges, n, found, rows);
    if (table.buckets.most == 0) table.buckets = by_ways(edges, n, found, rows);
    if (table.buckets.most > 0) return Search::buckets;
  }
  if (n <= 255) table.two_level = two_level(edges, n);
  return Search::steps;
}

}  // namespace

EdgeTable make_edge_table(Type type, std::vector<char> edges, int64_t rows) {
  const auto n = static_cast<int32_t>(static_cast<int64_t>(edges.size()) / size_of(type));
  EdgeTable table{.type = type, .n = n, .edges = std::move(edges)};
  switch (type) {
    case Type::f4:
      table.search = lay_out<float>(table, rows);
      break;
    case Type::f8:
      table.search = lay_out<double>(table, rows);
      break;
    case Type::i4:
      table.search = lay_out<int32_t>(table, rows);
      break;
    case Type::i8:
      table.search = lay_out<int64_t>(table, rows);
      break;
  }
  return table;
}

}  // namespace mlcore::cpu
