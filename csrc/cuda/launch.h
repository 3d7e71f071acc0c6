#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "cuda/status.h"

namespace mlcore::cuda {

constexpr int kThreads = 256;  // a multiple of 64, so that a block writes whole words of missing rows

// Starts a thread a row, and whole blocks.
template <typename... Parameters>
void launch(const char* where, void (*kernel)(Parameters...), int64_t rows, cudaStream_t stream,
            Parameters... arguments) {
  kernel<<<static_cast<unsigned>((rows + kThreads - 1) / kThreads), kThreads, 0, stream>>>(arguments...);
  check(cudaGetLastError(), where);  // an error of the launch itself shows here, without waiting for the kernel
}

}  // namespace mlcore::cuda
