#pragma once

#include <cstddef>
#include <cstdint>

namespace flyweight {

// XXH3 compiled for one instruction set; use hash.h. The value is the same from all.
uint64_t Xxh3Baseline(const void* bytes, size_t size);
void Xxh3UpdateBaseline(void* state, const void* bytes, size_t size);
uint64_t Xxh3Avx2(const void* bytes, size_t size);
void Xxh3UpdateAvx2(void* state, const void* bytes, size_t size);
uint64_t Xxh3Avx512(const void* bytes, size_t size);
void Xxh3UpdateAvx512(void* state, const void* bytes, size_t size);

}  // namespace flyweight
