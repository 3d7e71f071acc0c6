#pragma once

// Marks the per-row tasks that run on the host and on the device alike.
#ifdef __CUDACC__
#define MLCORE_HD __host__ __device__
#else
#define MLCORE_HD
#endif
