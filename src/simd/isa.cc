#include "simd/isa.h"

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdlib>

namespace flyweight {
namespace {

constexpr std::array<std::string_view, 4> kNames = {"scalar", "avx2", "avx512", "neon"};

// The builtin asks the CPU and also whether the operating system saves the registers.
bool CpuHas(Isa isa) {
#if defined(__x86_64__)
  bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2") &&
              __builtin_cpu_supports("lzcnt") && __builtin_cpu_supports("popcnt");
  if (isa == Isa::kAvx2) return avx2;
  if (isa == Isa::kAvx512) {
    return avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vbmi") && __builtin_cpu_supports("avx512vbmi2");
  }
#elif defined(__aarch64__)
  if (isa == Isa::kNeon) return true;
#endif
  return isa == Isa::kScalar;
}

struct IsaList {
  std::array<Isa, kNames.size()> isas{};
  size_t count = 0;

  IsaList() {
    for (Isa isa : {Isa::kScalar, Isa::kAvx2, Isa::kAvx512, Isa::kNeon}) {
      if (CpuHas(isa)) isas[count++] = isa;
    }
  }
};

bool IsSupported(Isa isa) {
  for (Isa supported : SupportedIsas()) {
    if (supported == isa) return true;
  }
  return false;
}

Isa DefaultIsa() {
  const char* wanted = std::getenv("FLYWEIGHT_ISA");
  if (wanted != nullptr) {
    std::optional<Isa> isa = FindIsa(wanted);
    if (isa.has_value() && IsSupported(*isa)) return *isa;
  }
  return SupportedIsas().back();
}

constexpr int kNotForced = -1;
std::atomic<int> forced_isa{kNotForced};

}  // namespace

std::string_view IsaName(Isa isa) { return kNames[static_cast<size_t>(isa)]; }

std::optional<Isa> FindIsa(std::string_view name) {
  for (size_t i = 0; i < kNames.size(); ++i) {
    if (kNames[i] == name) return static_cast<Isa>(i);
  }
  return std::nullopt;
}

std::span<const Isa> SupportedIsas() {
  static const IsaList list;
  return {list.isas.data(), list.count};
}

Isa ActiveIsa() {
  int forced = forced_isa.load(std::memory_order_relaxed);
  if (forced != kNotForced) return static_cast<Isa>(forced);
  static const Isa default_isa = DefaultIsa();
  return default_isa;
}

bool ForceIsa(std::optional<Isa> isa) {
  if (isa.has_value() && !IsSupported(*isa)) return false;
  forced_isa.store(isa.has_value() ? static_cast<int>(*isa) : kNotForced, std::memory_order_relaxed);
  return true;
}

}  // namespace flyweight
