#include <cstring>

#include "entropy/context_rans/context_kernels.h"

namespace flyweight {

void DecodeContextRow(DecodeContextsArgs& args, size_t count) {
  const uint32_t mask = (1U << args.precision_bits) - 1;
  for (size_t lane = 0; lane < count; ++lane) {
    uint32_t x = args.states[lane];
    size_t table = args.contexts != nullptr ? size_t{args.contexts[lane]} << args.precision_bits : 0;
    uint32_t slot = args.slots[table + (x & mask)];
    x = ((slot >> 20) + 1) * (x >> args.precision_bits) + (slot >> 8 & 0xFFF);
    if (x < 1U << 16) {
      uint16_t word;
      std::memcpy(&word, args.stream, sizeof word);
      x = x << 16 | word;
      args.stream += sizeof word;
    }
    args.states[lane] = x;
    args.values[lane] = static_cast<uint8_t>(slot);
  }
  if (args.stream > args.stream_end) args.stream = args.stream_end + 1;
  args.values += count;
  if (args.contexts != nullptr) args.contexts += count;
}

namespace scalar {

void DecodeContexts(DecodeContextsArgs& args) {
  for (size_t row = 0; row < args.row_count; ++row) DecodeContextRow(args, kContextLanes);
}

}  // namespace scalar

const IsaTable<DecodeContextsFunction> kDecodeContexts = FLYWEIGHT_ISA_TABLE_NEON(DecodeContexts);

}  // namespace flyweight
