#include "base/hash.h"

#include <cstring>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/xxh3_kernels.h"

namespace flyweight {
namespace {

// Hashing every byte twice must cost little beside decoding it, so the widest registers there are get used.
struct Xxh3Functions {
  uint64_t (*hash)(const void* bytes, size_t size);
  void (*update)(void* state, const void* bytes, size_t size);
};

const Xxh3Functions& Functions() {
  static const Xxh3Functions picked = []() -> Xxh3Functions {
#if defined(__x86_64__)
    // All that the compiler was told it may use in those files.
    bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2") &&
                __builtin_cpu_supports("lzcnt") && __builtin_cpu_supports("popcnt");
    bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                  __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
                  __builtin_cpu_supports("avx512vbmi") && __builtin_cpu_supports("avx512vbmi2");
    if (avx512) return {Xxh3Avx512, Xxh3UpdateAvx512};
    if (avx2) return {Xxh3Avx2, Xxh3UpdateAvx2};
#endif
    return {Xxh3Baseline, Xxh3UpdateBaseline};
  }();
  return picked;
}

}  // namespace

uint64_t Xxh3Baseline(const void* bytes, size_t size) { return XXH3_64bits(bytes, size); }
void Xxh3UpdateBaseline(void* state, const void* bytes, size_t size) {
  XXH3_64bits_update(static_cast<XXH3_state_t*>(state), bytes, size);
}

uint64_t Xxh3(ByteSpan bytes) { return Functions().hash(bytes.data(), bytes.size()); }

std::array<std::byte, 16> Xxh3Wide(ByteSpan bytes) {
  XXH128_canonical_t canonical;
  XXH128_canonicalFromHash(&canonical, XXH3_128bits(bytes.data(), bytes.size()));
  std::array<std::byte, 16> digest;
  std::memcpy(digest.data(), canonical.digest, digest.size());
  return digest;
}

Xxh3Stream::Xxh3Stream() {
  static_assert(sizeof state_ >= sizeof(XXH3_state_t));
  XXH3_64bits_reset(reinterpret_cast<XXH3_state_t*>(state_));
}
void Xxh3Stream::Update(ByteSpan bytes) { Functions().update(state_, bytes.data(), bytes.size()); }
uint64_t Xxh3Stream::Finish() const { return XXH3_64bits_digest(reinterpret_cast<const XXH3_state_t*>(state_)); }

std::string ToHex(ByteSpan bytes) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  text.reserve(bytes.size() * 2);
  for (std::byte byte : bytes) {
    unsigned value = std::to_integer<unsigned>(byte);
    text.push_back(kDigits[value >> 4]);
    text.push_back(kDigits[value & 15]);
  }
  return text;
}

}  // namespace flyweight
