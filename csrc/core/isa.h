#pragma once

#include <string>
#include <vector>

namespace mlcore {

enum class Isa { portable, avx2, avx512 };

const char* name_of(Isa isa);

// Instruction sets this machine runs, best first.
std::vector<Isa> supported_isas();

// The one in use: the best, or what MLCORE_ISA asks for. Throws std::runtime_error when that cannot run here.
Isa current_isa();

// Whether that is AVX-512 on a machine that has VBMI too: shuffles of 64 bytes.
bool permutes_bytes();

}  // namespace mlcore
