#pragma once

#include <cstdint>

#include "core/views.h"

namespace mlcore::cpu {

// counts[code] += 1 for each row that is not missing, counts[n_codes] += 1 for each that is; `missing` may be null, and
// the codes of missing rows are not looked at. Returns false, that row counted as missing, when a code is not below
// n_codes.
template <typename Code>
bool tally(const Code* codes, const uint64_t* missing, int64_t rows, int64_t n_codes, int64_t* counts);

// The same for codes that are known to be below n_codes; none is missing.
template <typename Code>
void tally_known(const Code* codes, int64_t rows, int64_t n_codes, int64_t* counts);

}  // namespace mlcore::cpu
