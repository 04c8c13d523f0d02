#pragma once

#include <cstdint>
#include <vector>

#include "entropy/nibble_rans/nibble_coder.h"
#include "support/random.h"

namespace flyweight::test {

/// Symbols in fine contexts: the higher the context, the more symbols are not 0.
struct Nibbles {
  std::vector<uint8_t> contexts, symbols;
  NibbleCounts counts{};
};

inline Nibbles MakeNibbles(size_t count, uint64_t seed) {
  Random random(seed);
  Nibbles made;
  made.contexts.resize(count);
  made.symbols.resize(count);
  for (size_t i = 0; i < count; ++i) {
    const uint64_t context = random.Below(kNibbleContexts);
    uint64_t symbol = 0;
    while (symbol < 15 && random.Below(80) < context) ++symbol;
    made.contexts[i] = static_cast<uint8_t>(context);
    made.symbols[i] = static_cast<uint8_t>(symbol);
  }
  CountNibbles(made.contexts.data(), made.symbols.data(), count, made.counts);
  return made;
}

inline std::vector<uint8_t> TablesOf(const NibbleTables& tables, const std::vector<uint8_t>& contexts) {
  std::vector<uint8_t> numbers(contexts.size());
  for (size_t i = 0; i < contexts.size(); ++i) numbers[i] = tables.table_of_context[contexts[i]];
  return numbers;
}

inline std::vector<uint8_t> PairsOf(const std::vector<uint8_t>& tables, const std::vector<uint8_t>& symbols) {
  std::vector<uint8_t> pairs(symbols.size());
  kPairNibbles.Pick()(tables.data(), symbols.data(), symbols.size(), pairs.data());
  return pairs;
}

inline std::vector<std::byte> EncodedNibbles(const NibbleCoder& coder, const std::vector<uint8_t>& pairs,
                                             ByteSpan carried) {
  std::vector<std::byte> stream(NibbleStreamBound(pairs.size()));
  stream.resize(EncodeNibbles(coder, pairs, carried, stream));
  return stream;
}

/// Decodes `piece` symbols at a time from a buffer that ends where the contract says.
inline Status DecodeNibblesInPieces(const NibbleCoder& coder, ByteSpan stream, const std::vector<uint8_t>& tables,
                                    std::vector<uint8_t>& symbols, MutableByteSpan carried, size_t piece) {
  std::vector<std::byte> padded(stream.begin(), stream.end());
  padded.resize(stream.size() + kNibbleReadAhead, std::byte{0x5A});
  symbols.assign(tables.size(), 0xEE);
  NibbleDecoder decoder;
  FLYWEIGHT_TRY(decoder.Begin(coder, ByteSpan(padded).first(stream.size()), tables.size()));
  for (size_t at = 0; at < tables.size(); at += piece)
    decoder.Next(tables.data() + at, symbols.data() + at, std::min(piece, tables.size() - at), tables.data() + at, 256);
  return decoder.End(carried);
}

}  // namespace flyweight::test
