#define XXH_INLINE_ALL
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wold-style-cast"
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wundef"
#include <xxhash.h>
#pragma GCC diagnostic pop

#include "base/xxh3_kernels.h"

namespace flyweight {

uint64_t Xxh3Avx512(const void* bytes, size_t size) { return XXH3_64bits(bytes, size); }

void Xxh3UpdateAvx512(void* state, const void* bytes, size_t size) {
  XXH3_64bits_update(static_cast<XXH3_state_t*>(state), bytes, size);
}

}  // namespace flyweight
