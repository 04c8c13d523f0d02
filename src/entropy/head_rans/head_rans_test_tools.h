#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "entropy/head_rans/head_kernels.h"
#include "entropy/head_rans/head_table.h"
#include "support/random.h"

// The head kernels driven as a codec does, on buffers that are exactly as large as the kernels' contract says.

namespace flyweight::test {

using HeadBytesVector = std::vector<uint8_t>;

inline uint16_t LoadHead(HeadKind kind, const HeadBytesVector& heads, size_t index) {
  return kind == HeadKind::k16 ? LoadLe<uint16_t>(heads.data() + 2 * index) : heads[index];
}

inline uint8_t HeadExponent(HeadKind kind, uint16_t head) {
  return static_cast<uint8_t>(kind == HeadKind::k16 ? head >> 7 & 0xFF : head >> 2 & 0x1F);
}

/// The bits of a head that are not its exponent.
inline uint16_t HeadOtherBits(HeadKind kind, uint16_t head) {
  return static_cast<uint16_t>(kind == HeadKind::k16 ? head & 0x807F : head & 0x83);
}

/// Heads with random signs and mantissas. Exponents are drawn from `exponents`, each half as often as the one before,
/// and every `outside_every`-th or so (0: never) is uniform; then the shift is added.
inline HeadBytesVector MakeHeads(HeadKind kind, size_t count, const std::vector<uint8_t>& exponents,
                                 size_t outside_every, const HeadBytesVector& shifts, Random& random) {
  HeadBytesVector heads(count * HeadBytes(kind));
  for (size_t i = 0; i < count; ++i) {
    auto rank = static_cast<size_t>(std::countr_zero(random.Bits() | uint64_t{1} << 40)) % exponents.size();
    uint64_t exponent = exponents[rank];
    if (outside_every != 0 && random.OneIn(outside_every)) exponent = random.Below(256);
    if (!shifts.empty()) exponent += shifts[i];
    uint64_t other = random.Bits();
    if (kind == HeadKind::k16) {
      StoreLe(heads.data() + 2 * i, static_cast<uint16_t>((exponent & 0xFF) << 7 | (other & 0x807F)));
    } else {
      heads[i] = static_cast<uint8_t>((exponent & 0x1F) << 2 | (other & 0x83));
    }
  }
  return heads;
}

inline HeadHistogram CountAll(HeadKind kind, const HeadBytesVector& heads, const HeadBytesVector& shifts) {
  uint32_t tables[kCountTables][512] = {};
  size_t iterations = heads.size() / HeadBytes(kind) / kHeadIteration;
  CountHeads(kind, {heads.data(), shifts.empty() ? nullptr : shifts.data(), iterations, tables[0]});
  HeadHistogram histogram{};
  for (const auto& table : tables) {
    for (size_t s = 0; s < 512; ++s) histogram[s] += table[s];
  }
  return histogram;
}

struct EncodedHeads {
  HeadStates states{};
  HeadBytesVector rest;  ///< the whole plane, the carried bytes too
  HeadBytesVector streams[kHeadStreams];
  std::vector<uint32_t> patched;  ///< sorted
};

/// Encodes whole iterations with the kernels of the active ISA, `batch` iterations at a time.
inline EncodedHeads EncodeHeadsInBatches(HeadKind kind, const HeadCoder& coder, const HeadBytesVector& heads,
                                         const HeadBytesVector& shifts, size_t batch = kHeadBatch) {
  const size_t iterations = heads.size() / HeadBytes(kind) / kHeadIteration;
  const size_t rest_bytes = RestBytesPerIteration(kind);
  EncodedHeads encoded;
  encoded.rest.resize(iterations * rest_bytes);
  HeadBytesVector symbols(batch * kHeadIteration), rooms[kHeadStreams];
  EncodeSymbolsArgs encode{&coder, &encoded.states, nullptr, {}, 0};
  for (size_t s = 0; s < kHeadStreams; ++s) {
    rooms[s].resize(iterations * 256 + kStreamWriteAhead);
    encode.streams[s] = rooms[s].data() + rooms[s].size();
  }
  for (size_t end = iterations; end > 0;) {
    size_t begin = (end - 1) / batch * batch, count = end - begin;
    std::vector<uint32_t> patched(count * kHeadIteration);
    symbols.resize(count * kHeadIteration);
    SplitHeadsArgs split{&coder,
                         heads.data() + begin * kHeadIteration * HeadBytes(kind),
                         shifts.empty() ? nullptr : shifts.data() + begin * kHeadIteration,
                         symbols.data(),
                         encoded.rest.data() + begin * rest_bytes,
                         patched.data(),
                         static_cast<uint32_t>(begin * kHeadIteration),
                         0,
                         count};
    kSplitHeads[static_cast<size_t>(kind)].Pick()(split);
    encoded.patched.insert(encoded.patched.end(), patched.begin(),
                           patched.begin() + static_cast<ptrdiff_t>(split.patched_count));
    if (end == iterations) {
      for (size_t s = 0; s < kHeadStreams; ++s) {
        std::memcpy(encoded.states.low[s], &*encoded.rest.end() - kCarriedBytes + s * kHeadBlock, kHeadBlock);
        std::memset(encoded.states.high[s], 1, kHeadBlock);
      }
    }
    encode.symbols = symbols.data();
    encode.iterations = count;
    kEncodeSymbols.Pick()(encode);
    end = begin;
  }
  for (size_t s = 0; s < kHeadStreams; ++s) {
    encoded.streams[s].assign(encode.streams[s], rooms[s].data() + rooms[s].size());
  }
  std::sort(encoded.patched.begin(), encoded.patched.end());
  return encoded;
}

struct DecodedHeads {
  HeadBytesVector heads;
  HeadStates states{};
  ptrdiff_t stream_left[kHeadStreams] = {};  ///< bytes; under 0: the stream was too short
};

/// Decodes with the kernels of the active ISA, `piece` iterations at a time.
inline DecodedHeads DecodeHeadsInPieces(HeadKind kind, const HeadCoder& coder, const EncodedHeads& encoded,
                                        const HeadBytesVector& shifts, size_t piece) {
  const size_t rest_bytes = RestBytesPerIteration(kind);
  const size_t iterations = encoded.rest.size() / rest_bytes;
  DecodedHeads decoded;
  decoded.heads.resize(iterations * kHeadIteration * HeadBytes(kind));
  decoded.states = encoded.states;
  HeadBytesVector streams[kHeadStreams];
  DecodeHeadsArgs args{&coder, &decoded.states, {}, {}, nullptr, nullptr, nullptr, 0};
  for (size_t s = 0; s < kHeadStreams; ++s) {
    streams[s] = encoded.streams[s];
    streams[s].resize(streams[s].size() + kStreamReadAhead, uint8_t{0x5A});
    args.streams[s] = streams[s].data();
    args.stream_ends[s] = streams[s].data() + encoded.streams[s].size();
  }
  for (size_t begin = 0; begin < iterations; begin += piece) {
    args.iterations = std::min(piece, iterations - begin);
    args.rest = encoded.rest.data() + begin * rest_bytes;
    args.shifts = shifts.empty() ? nullptr : shifts.data() + begin * kHeadIteration;
    args.heads = decoded.heads.data() + begin * kHeadIteration * HeadBytes(kind);
    kDecodeHeads[static_cast<size_t>(kind)].Pick()(args);
  }
  for (size_t s = 0; s < kHeadStreams; ++s) decoded.stream_left[s] = args.stream_ends[s] - args.streams[s];
  return decoded;
}

}  // namespace flyweight::test
