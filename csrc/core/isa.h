#pragma once

#include <string>
#include <vector>

namespace mlcore {

// avx512 is F, BW, DQ and VL, beside BMI, BMI2 and POPCNT; avx512vbmi has shuffles of 64 bytes too.
enum class Isa { portable, avx2, avx512, avx512vbmi };

const char* name_of(Isa isa);

// Instruction sets this machine runs, best first.
std::vector<Isa> supported_isas();

// The one in use: the best, or what MLCORE_ISA asks for. Throws std::runtime_error when that cannot run here.
Isa current_isa();

}  // namespace mlcore
