// A thread a row: code = number of edges <= value. A warp's 32 answers to "is it missing?" are half a missing word.
#include "cuda/columns.h"
#include "cuda/launch.h"
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

template <typename T, typename Code>
void bin_as(const ColumnView& view, const void* edges, int32_t n_edges, void* codes, uint64_t* missing,
            unsigned long long* count, cudaStream_t stream) {
  const int64_t words = words_for(view.n);
  launch("bin", bin_rows<T, Code>, 64 * words, stream, view.data, view.stride, view.n, view.validity,
         static_cast<const T*>(edges), n_edges, static_cast<Code*>(codes), reinterpret_cast<uint32_t*>(missing),
         2 * words, count);
}

template <typename T>
void bin_of(const ColumnView& view, const void* edges, int32_t n_edges, CodesView codes, uint64_t* missing,
            unsigned long long* count, cudaStream_t stream) {
  if (codes.wide)
    bin_as<T, uint16_t>(view, edges, n_edges, codes.data, missing, count, stream);
  else
    bin_as<T, uint8_t>(view, edges, n_edges, codes.data, missing, count, stream);
}

}  // namespace

void bin(const ColumnView& view, const void* edges, int32_t n_edges, CodesView codes, uint64_t* missing,
         unsigned long long* count, cudaStream_t stream) {
  if (view.n == 0) return;
  switch (view.type) {
    case Type::f4:
      return bin_of<float>(view, edges, n_edges, codes, missing, count, stream);
    case Type::f8:
      return bin_of<double>(view, edges, n_edges, codes, missing, count, stream);
    case Type::i4:
      return bin_of<int32_t>(view, edges, n_edges, codes, missing, count, stream);
    case Type::i8:
      return bin_of<int64_t>(view, edges, n_edges, codes, missing, count, stream);
  }
}

}  // namespace mlcore::cuda
