#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace flyweight {

/// Instruction sets that kernels are written for; those of one processor family weakest first.
enum class Isa : uint8_t { kScalar = 0, kAvx2 = 1, kAvx512 = 2, kNeon = 3 };

/// "scalar", "avx2", "avx512", "neon".
std::string_view IsaName(Isa isa);
std::optional<Isa> FindIsa(std::string_view name);

/// The ISAs that this CPU and operating system can run, weakest first. kAvx2 needs AVX2 and BMI2; kAvx512 needs F, BW,
/// VL, DQ, VBMI and VBMI2; kNeon is there on every aarch64.
std::span<const Isa> SupportedIsas();

/// The ISA kernels are picked for: the best supported one, or the one FLYWEIGHT_ISA names when it is supported, or what
/// ForceIsa set.
Isa ActiveIsa();

/// Pins ActiveIsa (tests, benchmarks); nothing restores the default. Returns false, changing nothing, where the CPU
/// lacks it.
bool ForceIsa(std::optional<Isa> isa);

/// One entry an ISA, for kernels that differ by ISA. `Pick` returns the strongest non-null entry of ActiveIsa()'s
/// family that is not above it.
template <typename Function>
struct IsaTable {
  Function scalar = nullptr;
  Function avx2 = nullptr;
  Function avx512 = nullptr;
  Function neon = nullptr;

  Function Pick() const {
    Isa isa = ActiveIsa();
    if (isa == Isa::kNeon) return neon != nullptr ? neon : scalar;
    if (isa >= Isa::kAvx512 && avx512 != nullptr) return avx512;
    if (isa >= Isa::kAvx2 && avx2 != nullptr) return avx2;
    return scalar;
  }
};

}  // namespace flyweight

/// FLYWEIGHT_ISA_TABLE initialises an IsaTable from the functions of one name in the namespaces scalar, avx2 and
/// avx512: loops that the compiler vectorises. Every aarch64 has NEON, so there the scalar ones are the NEON ones.
/// FLYWEIGHT_ISA_TABLE_NEON is for kernels written by hand, which have one in the namespace neon too.
#if defined(__x86_64__)
#define FLYWEIGHT_ISA_TABLE(function) {scalar::function, avx2::function, avx512::function, nullptr}
#define FLYWEIGHT_ISA_TABLE_NEON(function) FLYWEIGHT_ISA_TABLE(function)
#elif defined(__aarch64__)
#define FLYWEIGHT_ISA_TABLE(function) {scalar::function, nullptr, nullptr, nullptr}
#define FLYWEIGHT_ISA_TABLE_NEON(function) {scalar::function, nullptr, nullptr, neon::function}
#else
#define FLYWEIGHT_ISA_TABLE(function) {scalar::function, nullptr, nullptr, nullptr}
#define FLYWEIGHT_ISA_TABLE_NEON(function) FLYWEIGHT_ISA_TABLE(function)
#endif
