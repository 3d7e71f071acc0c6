// Many threads with one forest: each must find what one thread alone finds. Built with ThreadSanitizer by make
// sanitize, which reports what they share without order.
#include <cstdio>
#include <cstring>
#include <random>
#include <thread>
#include <vector>

#include "cpu/rows.h"
#include "cpu/score.h"

namespace {

using namespace mlcore;
using namespace mlcore::cpu;

constexpr int32_t kColumns = 4, kEdges = 200, kTrees = 30, kPredicates = 300;
constexpr int64_t kRows = 20'000;

struct Model {
  std::vector<int32_t> pred_column, pred_code, pred_set, tree_output, node_pred, left, right, n_codes;
  std::vector<uint8_t> pred_missing;
  std::vector<int64_t> tree_start{0};
  std::vector<float> value;

  explicit Model(std::mt19937& random) : pred_set(kPredicates, -1), n_codes(kColumns, kEdges + 1) {
    for (int p = 0; p < kPredicates; ++p) {
      pred_column.push_back(static_cast<int32_t>(random() % kColumns));
      pred_code.push_back(static_cast<int32_t>(1 + random() % kEdges));
      pred_missing.push_back(random() & 1);
    }
    for (int t = 0; t < kTrees; ++t) {
      grow(random, 20 + 30 * t);
      tree_output.push_back(0);
    }
  }

  // Leaves are split at random until there are enough: some trees are complete, some networks, some deep.
  void grow(std::mt19937& random, int nodes) {
    const size_t first = node_pred.size();
    std::vector<size_t> leaves{add()};
    while (static_cast<int>(node_pred.size() - first) < nodes) {
      std::swap(leaves[random() % leaves.size()], leaves.back());
      const size_t node = leaves.back();
      leaves.pop_back();
      node_pred[node] = static_cast<int32_t>(random() % kPredicates);
      for (auto* side : {&left, &right}) {
        leaves.push_back(add());
        (*side)[node] = static_cast<int32_t>(leaves.back() - first);
      }
    }
    for (size_t i = first; i < node_pred.size(); ++i) value.push_back(static_cast<float>(random() % 1000) / 7);
    tree_start.push_back(static_cast<int64_t>(node_pred.size()));
  }

  size_t add() {
    node_pred.push_back(-1);
    left.push_back(0);
    right.push_back(0);
    return node_pred.size() - 1;
  }

  ForestSpec spec(Engine engine) const {
    static const uint64_t no_sets = 0;
    return {kPredicates,
            0,
            1,
            kTrees,
            static_cast<int64_t>(node_pred.size()),
            kColumns,
            pred_column.data(),
            pred_code.data(),
            pred_set.data(),
            pred_missing.data(),
            &no_sets,
            tree_start.data(),
            tree_output.data(),
            node_pred.data(),
            left.data(),
            right.data(),
            value.data(),
            false,
            1,
            n_codes.data(),
            1,
            engine};
  }
};

bool same(const std::vector<float>& a, const std::vector<float>& b) {
  return std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

}  // namespace

int main() {
  std::mt19937 random(7);
  const Model model(random);
  const Forest forest_here = prepare(model.spec(Engine::automatic));
  std::vector<float> edges;
  for (int i = 0; i < kEdges; ++i) edges.push_back(static_cast<float>(i));
  const auto* bytes = reinterpret_cast<const char*>(edges.data());
  const std::vector<char> held(bytes, bytes + edges.size() * sizeof(float));
  const EdgeTable table = make_edge_table(Type::f4, held, kRows), of_one_row = make_edge_table(Type::f4, held, 1);
  std::vector<std::vector<float>> values(kColumns);
  std::vector<float> matrix(kRows * kColumns);
  std::vector<RawColumn> columns;
  for (size_t c = 0; c < kColumns; ++c) {
    for (int64_t row = 0; row < kRows; ++row) {
      const float x = random() % 20 == 0 ? NAN : static_cast<float>(random() % 2100) / 10;
      values[c].push_back(x);
      matrix[static_cast<size_t>(row) * kColumns + c] = x;
    }
    columns.push_back(
        {{Type::f4, reinterpret_cast<const char*>(values[c].data()), 4, kRows, {}}, &table, nullptr, 0, nullptr});
  }
  const Rows rows(prepare(model.spec(Engine::rows)), std::vector<EdgeTable>(kColumns, of_one_row), {0.0});
  std::vector<float> expected(kRows, 0);
  score(forest_here, columns, kRows, expected.data(), 1);

  std::vector<int> wrong(8, 0);
  std::vector<std::thread> threads;
  for (size_t t = 0; t < wrong.size(); ++t)
    threads.emplace_back([&, t] {
      for (int round = 0; round < 4; ++round) {
        std::vector<float> found(kRows, 0);
        if (t % 2 == 0)
          score(forest_here, columns, kRows, found.data(), static_cast<int>(1 + t));
        else
          margins(rows, matrix.data(), kRows, found.data());
        wrong[t] += !same(found, expected);
      }
    });
  for (std::thread& thread : threads) thread.join();
  for (const int count : wrong)
    if (count != 0) return std::puts("threads disagree"), 1;
  return std::puts("threads agree"), 0;
}
