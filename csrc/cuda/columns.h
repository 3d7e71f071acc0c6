#pragma once

#include <cuda_runtime.h>

#include "core/views.h"

namespace mlcore::cuda {

// Codes and missing words of one column, all pointers on the device; adds the number of missing rows to *count.
void bin(const ColumnView& view, const void* edges, int32_t n_edges, CodesView codes, uint64_t* missing,
         unsigned long long* count, cudaStream_t stream);

}  // namespace mlcore::cuda
