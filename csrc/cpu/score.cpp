#include "cpu/score.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <string>

#include "core/pool.h"
#include "cpu/columns.h"
#include "cpu/tally.h"

namespace mlcore::cpu {

namespace {

constexpr int64_t kSpanRows = 16 * kBlockRows;  // that a worker takes at a time, at least

// Rows that a block works on: whole granules.
int64_t padded(int64_t rows) { return (rows + kBlockRows - 1) / kBlockRows * kBlockRows; }

// How rows are cut: workers take spans, and work on a block at a time. Results do not depend on it.
struct Cut {
  int64_t n, block, span;
  int workers;

  Cut(const Forest& forest, int64_t rows, int threads) : n(rows) {
    const int64_t share = padded(std::max<int64_t>(1, (n + threads - 1) / threads));
    block = std::min(forest.block_rows, static_cast<int64_t>(std::bit_ceil(static_cast<uint64_t>(share))));
    span = std::max(kSpanRows, block);
    workers = static_cast<int>(std::max<int64_t>(1, std::min<int64_t>(threads, spans())));
  }

  int64_t spans() const { return (n + span - 1) / span; }
};

// Calls work(first row, rows, worker) for each block, spans side by side.
template <typename Work>
void for_blocks(const Cut& cut, Work work) {
  parallel_for(cut.spans(), cut.workers, [&](int64_t span, int worker) {
    const int64_t end = std::min(cut.n, (span + 1) * cut.span);
    for (int64_t first = span * cut.span; first < end; first += cut.block)
      work(first, std::min(cut.block, end - first), worker);
  });
}

// Scratch and counts of one worker.
struct Worker {
  Worker(const Forest& forest, const std::vector<RawColumn>& raw, int64_t block)
      : scratch(forest, block, forest.room_for_cells(), forest.outputs),
        columns(block_columns(forest, scratch)),
        counts(raw.size()) {
    for (size_t c = 0; c < raw.size(); ++c)
      if (raw[c].counts != nullptr)
        counts[c].assign(static_cast<size_t>(raw[c].edges ? raw[c].edges->n + 2 : raw[c].table_size + 1), 0);
  }

  Scratch scratch;
  std::vector<BlockColumn> columns;
  std::vector<std::vector<int64_t>> counts;
};

// Workers, each made by the thread that begins to work as it: several at a time, and their memory where it is used.
class Workers {
 public:
  Workers(const Forest& forest, const std::vector<RawColumn>& raw, const Cut& cut)
      : forest_(forest), raw_(raw), block_(cut.block), made_(static_cast<size_t>(cut.workers)) {}

  Worker& operator[](int number) {
    std::unique_ptr<Worker>& worker = made_[static_cast<size_t>(number)];
    if (worker == nullptr) worker = std::make_unique<Worker>(forest_, raw_, block_);
    return *worker;
  }

  const std::vector<std::unique_ptr<Worker>>& made() const { return made_; }  // null where none was needed

 private:
  const Forest& forest_;
  const std::vector<RawColumn>& raw_;
  int64_t block_;
  std::vector<std::unique_ptr<Worker>> made_;
};

void finish_block(const Forest& forest, Worker& worker, int64_t first, int64_t rows, Margins out) {
  const int64_t at = first * forest.outputs;
  const BlockRoom room = worker.scratch.room();
  if (forest.doubles)
    kernels().exact_margins(forest, worker.columns.data(), room, rows, static_cast<double*>(out) + at);
  else
    kernels().margins(forest, worker.columns.data(), room, rows, static_cast<float*>(out) + at);
}

// How many columns from `first` on lie side by side in a matrix.
int64_t beside(const std::vector<RawColumn>& columns, size_t first) {
  const ColumnView& one = columns[first].view;
  const int64_t size = size_of(one.type);
  int64_t count = 1;
  while (one.stride > size && count < kBeside && first + static_cast<size_t>(count) < columns.size()) {
    const ColumnView& next = columns[first + static_cast<size_t>(count)].view;
    if (size_of(next.type) != size || next.stride != one.stride || next.data != one.data + count * size) break;
    ++count;
  }
  return count;
}

void code_block(const RawColumn& raw, bool wide, int64_t column, int64_t first, int64_t rows, const char* values,
                Worker& worker) {
  uint8_t* codes = worker.scratch.codes(column);
  uint64_t* missing = worker.scratch.missing(column);
  int64_t count;
  if (raw.edges != nullptr)
    count = bin_block(raw.view, *raw.edges, first, rows, values, codes, missing);
  else
    count = encode_block(raw.view, raw.table, raw.table_size, wide, first, rows, values, codes, missing);
  worker.columns[static_cast<size_t>(column)].any_missing = count > 0;
  if (rows < padded(rows)) {
    const int64_t width = wide ? 2 : 1, words = padded(rows) / 64;
    std::memset(codes + rows * width, 0, static_cast<size_t>((padded(rows) - rows) * width));
    std::memset(missing + words_for(rows), 0, static_cast<size_t>(words - words_for(rows)) * sizeof(uint64_t));
  }
  std::vector<int64_t>& counts = worker.counts[static_cast<size_t>(column)];
  if (counts.empty()) return;
  const int64_t slots = static_cast<int64_t>(counts.size()) - 1;
  if (raw.edges == nullptr) {
    const auto* indices = reinterpret_cast<const int32_t*>(values);
    tally(indices, count > 0 ? missing : nullptr, rows, slots, counts.data());
    return;
  }
  if (wide)
    tally_known(reinterpret_cast<const uint16_t*>(codes), rows, slots, counts.data());
  else
    tally_known(codes, rows, slots, counts.data());
  counts[0] -= count;  // missing rows hold code 0
  counts.back() += count;
}

}  // namespace

std::vector<BlockColumn> block_columns(const Questions& asked, Scratch& scratch) {
  std::vector<BlockColumn> columns;
  for (int64_t c = 0; c < static_cast<int64_t>(asked.n_codes.size()); ++c)
    columns.push_back({{scratch.codes(c), asked.wide(c)}, scratch.missing(c), false});
  return columns;
}

void load_codes(const Questions& asked, const std::vector<CodedColumn>& columns, int64_t first, int64_t rows,
                Scratch& scratch, std::vector<BlockColumn>& block) {
  const int64_t words = padded(rows) / 64;
  for (size_t c = 0; c < columns.size(); ++c) {
    const auto column = static_cast<int64_t>(c);
    const size_t width = asked.wide(column) ? 2 : 1, used = static_cast<size_t>(rows) * width;
    uint8_t* codes = scratch.codes(column);
    std::memcpy(codes, static_cast<const char*>(columns[c].codes) + static_cast<size_t>(first) * width, used);
    std::memset(codes + used, 0, static_cast<size_t>(padded(rows)) * width - used);
    for (int64_t i = 0; i < rows; ++i) {
      const int32_t code = width == 2 ? reinterpret_cast<const uint16_t*>(codes)[i] : codes[i];
      if (code >= asked.n_codes[c])
        throw std::out_of_range("column " + std::to_string(c) + ", row " + std::to_string(first + i) + ": code " +
                                std::to_string(code) + " is not below " + std::to_string(asked.n_codes[c]));
    }
    uint64_t* missing = scratch.missing(column);
    std::memset(missing, 0, static_cast<size_t>(words) * sizeof(uint64_t));
    if (columns[c].missing != nullptr)
      std::memcpy(missing, columns[c].missing + first / 64, static_cast<size_t>(words_for(rows)) * sizeof(uint64_t));
    if (rows % 64 != 0) missing[rows / 64] &= (uint64_t{1} << (rows % 64)) - 1;
    block[c].any_missing = std::any_of(missing, missing + words, [](uint64_t w) { return w != 0; });
    for (int64_t w = 0; w < words; ++w)  // a missing row compares as code 0
      for (uint64_t left = missing[w]; left != 0; left &= left - 1) {
        const int64_t row = 64 * w + __builtin_ctzll(left);
        std::memset(codes + static_cast<size_t>(row) * width, 0, width);
      }
  }
}

void forest(const Forest& forest, const std::vector<CodedColumn>& columns, int64_t n, Margins out, int threads) {
  const Cut cut(forest, n, threads);
  const std::vector<RawColumn> raw;
  Workers workers(forest, raw, cut);
  for_blocks(cut, [&](int64_t first, int64_t rows, int w) {
    Worker& worker = workers[w];
    load_codes(forest, columns, first, rows, worker.scratch, worker.columns);
    finish_block(forest, worker, first, rows, out);
  });
}

void leaves(const Forest& forest, const std::vector<CodedColumn>& columns, int64_t n, int32_t* out, int threads) {
  const Cut cut(forest, n, threads);
  const std::vector<RawColumn> raw;
  Workers workers(forest, raw, cut);
  const auto trees = static_cast<int64_t>(forest.trees.size());
  for_blocks(cut, [&](int64_t first, int64_t rows, int w) {
    std::vector<BlockColumn>& block = workers[w].columns;
    load_codes(forest, columns, first, rows, workers[w].scratch, block);
    for (int64_t row = 0; row < rows; ++row)
      for (int64_t t = 0; t < trees; ++t)
        out[(first + row) * trees + t] = ops::leaf_one(
            forest.nodes.data() + forest.trees[static_cast<size_t>(t)].root, forest.sets.data(), forest.set_words,
            [&](int32_t c) -> uint32_t {
              const void* codes = block[static_cast<size_t>(c)].codes.data;
              return block[static_cast<size_t>(c)].codes.wide ? static_cast<const uint16_t*>(codes)[row]
                                                              : static_cast<const uint8_t*>(codes)[row];
            },
            [&](int32_t c) { return ((block[static_cast<size_t>(c)].missing[row >> 6] >> (row & 63)) & 1) != 0; });
  });
}

void score(const Forest& forest, const std::vector<RawColumn>& columns, int64_t n, Margins out, int threads) {
  const Cut cut(forest, n, threads);
  Workers workers(forest, columns, cut);
  for_blocks(cut, [&](int64_t first, int64_t rows, int w) {
    Worker& worker = workers[w];
    const char* values = nullptr;
    int64_t left = 0;  // of the columns gathered together
    for (size_t c = 0; c < columns.size(); ++c) try {
        const auto column = static_cast<int64_t>(c);
        if (left == 0) {
          left = beside(columns, c);
          values = contiguous(columns[c].view, left, first, rows, worker.scratch.gathered());
        }
        code_block(columns[c], forest.wide(column), column, first, rows, values, worker);
        values += gathered_apart(rows, size_of(columns[c].view.type));
        --left;
      } catch (const std::out_of_range& error) {
        throw std::out_of_range("column " + std::to_string(c) + ": indices " + error.what());
      }
    finish_block(forest, worker, first, rows, out);
  });
  for (size_t c = 0; c < columns.size(); ++c)
    for (const auto& worker : workers.made())
      for (size_t i = 0; worker != nullptr && i < worker->counts[c].size(); ++i)
        columns[c].counts[i] += worker->counts[c][i];
}

}  // namespace mlcore::cpu
