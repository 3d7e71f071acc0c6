// A thread a row: code = number of edges <= value. A warp's 32 answers to "is it missing?" are half a missing word.
#include "cuda/columns.h"
#include "cuda/status.h"
#include "ops/bin.h"

namespace mlcore::cuda {

namespace {

template <typename T, typename Code>
__global__ void bin_rows(const char* data, int64_t stride, int64_t n, Validity validity, const T* edges,
                         int32_t n_edges, Code* codes, uint32_t* halves, int64_t n_halves, unsigned long long* count) {
  const int64_t row = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  bool missing = false;
  if (row < n) {
    const T value = *reinterpret_cast<const T*>(data + row * stride);
    const int64_t bit = validity.offset + row;
    missing = value != value || (validity.bits != nullptr && !((validity.bits[bit >> 3] >> (bit & 7)) & 1));
    codes[row] = missing ? Code{0} : static_cast<Code>(ops::bin_one(value, edges, n_edges));
  }
  const uint32_t half = __ballot_sync(0xffffffffu, missing);  // rows past the end are not missing
  if ((threadIdx.x & 31) == 0 && row / 32 < n_halves) {
    halves[row / 32] = half;
    if (half != 0) atomicAdd(count, static_cast<unsigned long long>(__popc(half)));
  }
}

template <typename T>
void launch(const ColumnView& view, const void* edges, int32_t n_edges, CodesView codes, uint64_t* missing,
            unsigned long long* count, cudaStream_t stream) {
  auto* halves = reinterpret_cast<uint32_t*>(missing);
  const int64_t n_halves = 2 * words_for(view.n);
  const unsigned blocks = blocks_for(64 * words_for(view.n));
  const T* sorted = static_cast<const T*>(edges);
  if (codes.wide)
    bin_rows<<<blocks, kThreads, 0, stream>>>(view.data, view.stride, view.n, view.validity, sorted, n_edges,
                                              static_cast<uint16_t*>(codes.data), halves, n_halves, count);
  else
    bin_rows<<<blocks, kThreads, 0, stream>>>(view.data, view.stride, view.n, view.validity, sorted, n_edges,
                                              static_cast<uint8_t*>(codes.data), halves, n_halves, count);
  check_launch("bin");
}

}  // namespace

void bin(const ColumnView& view, const void* edges, int32_t n_edges, CodesView codes, uint64_t* missing,
         unsigned long long* count, cudaStream_t stream) {
  if (view.n == 0) return;
  switch (view.type) {
    case Type::f4:
      return launch<float>(view, edges, n_edges, codes, missing, count, stream);
    case Type::f8:
      return launch<double>(view, edges, n_edges, codes, missing, count, stream);
    case Type::i4:
      return launch<int32_t>(view, edges, n_edges, codes, missing, count, stream);
    case Type::i8:
      return launch<int64_t>(view, edges, n_edges, codes, missing, count, stream);
  }
}

}  // namespace mlcore::cuda
