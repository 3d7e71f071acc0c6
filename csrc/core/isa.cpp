#include "core/isa.h"

#include <cstdlib>
#include <stdexcept>

namespace mlcore {

const char* name_of(Isa isa) {
  switch (isa) {
    case Isa::avx512vbmi:
      return "avx512vbmi";
    case Isa::avx512:
      return "avx512";
    case Isa::avx2:
      return "avx2";
    default:
      return "portable";
  }
}

std::vector<Isa> supported_isas() {
  std::vector<Isa> found;
#if defined(__x86_64__)
  __builtin_cpu_init();
#ifdef MLCORE_EMULATE_AVX512
  found = {Isa::avx512vbmi, Isa::avx512};
#else
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2") &&
      __builtin_cpu_supports("popcnt")) {
    if (__builtin_cpu_supports("avx512vbmi")) found.push_back(Isa::avx512vbmi);
    found.push_back(Isa::avx512);
  }
#endif
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("popcnt"))
    found.push_back(Isa::avx2);
#endif
  found.push_back(Isa::portable);
  return found;
}

namespace {

Isa choose() {
  const auto supported = supported_isas();
  const char* wanted = std::getenv("MLCORE_ISA");
  if (wanted == nullptr || *wanted == '\0') return supported.front();
  std::string choices;
  for (const Isa isa : supported) {
    if (std::string(wanted) == name_of(isa)) return isa;
    choices += std::string(choices.empty() ? "" : ", ") + name_of(isa);
  }
  throw std::runtime_error("MLCORE_ISA=" + std::string(wanted) + " cannot run here; choose one of: " + choices);
}

}  // namespace

Isa current_isa() {
  static const Isa chosen = choose();
  return chosen;
}

}  // namespace mlcore
