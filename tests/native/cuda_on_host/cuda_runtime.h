// What mlcore's CUDA kernels use of CUDA, on the host: tests of the kernels' results on machines without a GPU. All
// memory counts as the device's. A warp's 32 lanes are coroutines that wait for each other where they vote.
#pragma once

#include <ucontext.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>

#define __global__
#define __device__
#define __host__

struct Index {
  unsigned x = 0;
};
inline thread_local Index threadIdx, blockIdx, blockDim;

using cudaStream_t = void*;
enum cudaError_t { cudaSuccess };
enum cudaMemoryType { cudaMemoryTypeHost, cudaMemoryTypeDevice, cudaMemoryTypeManaged };
struct cudaPointerAttributes {
  cudaMemoryType type = cudaMemoryTypeHost;
};
struct cudaDeviceProp {
  int major = 0, minor = 0;
};

inline const char* cudaGetErrorString(cudaError_t) { return "no error"; }
inline cudaError_t cudaGetLastError() { return cudaSuccess; }
inline cudaError_t cudaGetDeviceCount(int* count) {
  *count = 1;
  return cudaSuccess;
}
inline cudaError_t cudaGetDeviceProperties(cudaDeviceProp*, int) { return cudaSuccess; }
inline cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* found, const void*) {
  found->type = cudaMemoryTypeDevice;
  return cudaSuccess;
}

namespace on_host {

constexpr int kLanes = 32;
constexpr size_t kStack = 64 << 10;

// Runs a kernel's 32 lanes in turns: each until it votes or ends, then the votes are counted and all go on.
class Warp {
 public:
  explicit Warp(unsigned first_thread) : first_(first_thread), stacks_(new char[kLanes * kStack]) {}

  void run(const std::function<void()>& kernel) {
    current = this;
    kernel_ = &kernel;
    for (int lane = 0; lane < kLanes; ++lane) {
      getcontext(&lanes_[lane]);
      lanes_[lane].uc_stack.ss_sp = stacks_.get() + static_cast<size_t>(lane) * kStack;
      lanes_[lane].uc_stack.ss_size = kStack;
      lanes_[lane].uc_link = &scheduler_;
      makecontext(&lanes_[lane], &Warp::enter, 0);
      running_[lane] = true;
    }
    for (bool left = true; left;) {
      left = false;
      uint32_t votes = 0;
      for (lane_ = 0; lane_ < kLanes; ++lane_) {
        if (!running_[lane_]) continue;
        threadIdx.x = first_ + static_cast<unsigned>(lane_);
        vote_ = false;
        swapcontext(&scheduler_, &lanes_[lane_]);
        votes |= static_cast<uint32_t>(vote_) << lane_;
        left |= running_[lane_];
      }
      ballot_ = votes;
    }
  }

  uint32_t vote(bool yes) {
    vote_ = yes;
    swapcontext(&lanes_[lane_], &scheduler_);
    return ballot_;
  }

  static inline thread_local Warp* current = nullptr;

 private:
  static void enter() {
    (*current->kernel_)();
    current->vote_ = false;
    current->running_[current->lane_] = false;
  }

  unsigned first_;
  std::unique_ptr<char[]> stacks_;
  ucontext_t lanes_[kLanes], scheduler_;
  bool running_[kLanes] = {};
  const std::function<void()>* kernel_ = nullptr;
  int lane_ = 0;
  bool vote_ = false;
  uint32_t ballot_ = 0;
};

}  // namespace on_host

inline uint32_t __ballot_sync(uint32_t, bool yes) { return on_host::Warp::current->vote(yes); }
inline int __popc(uint32_t bits) { return __builtin_popcount(bits); }
inline unsigned long long atomicAdd(unsigned long long* at, unsigned long long value) {
  const unsigned long long before = *at;
  *at += value;
  return before;
}
