#pragma once

#include <cuda_runtime.h>

#include <stdexcept>
#include <string>

namespace mlcore::cuda {

inline void check(cudaError_t error, const char* where) {
  if (error != cudaSuccess) throw std::runtime_error(std::string(where) + ": " + cudaGetErrorString(error));
}

// After every launch: an error of the launch itself shows here, without waiting for the kernel.
inline void check_launch(const char* where) { check(cudaGetLastError(), where); }

constexpr int kThreads = 256;  // a multiple of 64, so that a block writes whole words of missing rows

inline unsigned blocks_for(int64_t rows) { return static_cast<unsigned>((rows + kThreads - 1) / kThreads); }

}  // namespace mlcore::cuda
