#pragma once

// AVX-512 intrinsics: the processor's, or, in the tests of machines without them, SIMDe's portable ones.
#ifdef MLCORE_EMULATE_AVX512
#define SIMDE_ENABLE_NATIVE_ALIASES
#include "simde_more.h"
#else
#include <immintrin.h>
#endif
