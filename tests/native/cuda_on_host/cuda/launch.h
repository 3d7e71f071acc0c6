// Stands before csrc/cuda/launch.h: the same launch, block by block and warp by warp on the calling thread.
#pragma once

#include <cuda_runtime.h>

#include "cuda/status.h"

namespace mlcore::cuda {

constexpr int kThreads = 256;

template <typename... Parameters>
void launch(const char* where, void (*kernel)(Parameters...), int64_t rows, cudaStream_t, Parameters... arguments) {
  blockDim.x = kThreads;
  const int64_t blocks = (rows + kThreads - 1) / kThreads;
  for (int64_t block = 0; block < blocks; ++block)
    for (unsigned first = 0; first < kThreads; first += on_host::kLanes) {
      blockIdx.x = static_cast<unsigned>(block);
      on_host::Warp(first).run([&] { kernel(arguments...); });
    }
  check(cudaGetLastError(), where);
}

}  // namespace mlcore::cuda
