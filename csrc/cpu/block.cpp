#include "cpu/block.h"

#include "core/isa.h"

namespace mlcore::cpu {

namespace {

char* aligned(char*& at, int64_t bytes) {
  char* start = reinterpret_cast<char*>((reinterpret_cast<uintptr_t>(at) + 63) & ~uintptr_t{63});
  at = start + bytes;
  return start;
}

}  // namespace

const Kernels& kernels() {
  switch (current_isa()) {
#if defined(__x86_64__)
    case Isa::avx512vbmi:
      return kernels_vbmi();
    case Isa::avx512:
      return kernels_avx512();
    case Isa::avx2:
      return kernels_avx2();
#endif
    default:
      return kernels_portable();
  }
}

Scratch::Scratch(const Questions& asked, int64_t rows, int64_t cells, int64_t outputs) : rows_(rows) {
  const auto columns = static_cast<int64_t>(asked.n_codes.size()), planes = static_cast<int64_t>(asked.planes.size());
  const int64_t codes_bytes = columns * rows_ * 2, missing_bytes = columns * rows_ / 8;
  const int64_t slot_bytes = kMuxSlots * kMuxRegisters * kBlockRows / 8;
  const int64_t plane_bytes = planes * rows_ / 8 + slot_bytes, row_bytes = rows_ * 8;
  const int64_t sum_bytes = outputs * row_bytes, cell_bytes = cells * rows_ * 2;
  const int64_t total = codes_bytes + missing_bytes + plane_bytes + cell_bytes + sum_bytes + 5 * 64;
  memory_ = std::make_unique<char[]>(total);  // zeroed: unused rows hold code 0
  char* at = memory_.get();
  base_ = reinterpret_cast<uint8_t*>(aligned(at, codes_bytes));
  missing_ = reinterpret_cast<uint64_t*>(aligned(at, missing_bytes));
  planes_ = reinterpret_cast<uint64_t*>(aligned(at, plane_bytes));
  cells_ = reinterpret_cast<uint16_t*>(aligned(at, cell_bytes));
  sums_ = aligned(at, sum_bytes);
  gathered_ = std::make_unique_for_overwrite<char[]>(static_cast<size_t>(kBeside * (row_bytes + 64)));
}

}  // namespace mlcore::cpu
