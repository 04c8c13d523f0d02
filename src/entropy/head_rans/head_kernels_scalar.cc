// The reference: the plain reading of docs/format.md section 3.5. The other ISAs must give the same bytes.
#include <algorithm>
#include <cstring>

#include "base/bytes.h"
#include "entropy/head_rans/head_kernels.h"

namespace flyweight::scalar {
namespace {

struct Head16 {
  using Word = uint16_t;
  static constexpr size_t kRestBytes = RestBytesPerIteration(HeadKind::k16);
  static uint8_t Exponent(Word head) { return static_cast<uint8_t>(head >> 7); }
  static uint8_t Bit(Word head) { return head >> 6 & 1; }
  static uint8_t Rest(Word head) { return static_cast<uint8_t>((head & 63) << 1 | head >> 15); }
  static Word Join(unsigned exponent, unsigned bit, unsigned rest) {
    return static_cast<Word>((rest & 1) << 15 | (exponent & 0xFF) << 7 | bit << 6 | rest >> 1);
  }
  static uint8_t LoadRest(const uint8_t* rest, size_t block, size_t position) {
    if (block < 7) return rest[64 * block + position] & 0x7F;
    uint8_t value = 0;
    for (size_t r = 0; r < 7; ++r) value = static_cast<uint8_t>(value | (rest[64 * r + position] >> 7) << r);
    return value;
  }
  static void StoreRest(uint8_t* rest, size_t block, size_t position, uint8_t value) {
    if (block < 7) {
      rest[64 * block + position] = static_cast<uint8_t>((rest[64 * block + position] & 0x80) | value);
    } else {
      for (size_t r = 0; r < 7; ++r) {
        rest[64 * r + position] = static_cast<uint8_t>((rest[64 * r + position] & 0x7F) | (value >> r & 1) << 7);
      }
    }
  }
};

struct Head8 {
  using Word = uint8_t;
  static constexpr size_t kRestBytes = RestBytesPerIteration(HeadKind::k8);
  static uint8_t Exponent(Word head) { return head >> 2 & 0x1F; }
  static uint8_t Bit(Word head) { return head >> 1 & 1; }
  static uint8_t Rest(Word head) { return static_cast<uint8_t>(head >> 7 << 1 | (head & 1)); }
  static Word Join(unsigned exponent, unsigned bit, unsigned rest) {
    return static_cast<Word>((rest & 2) << 6 | (exponent & 0x1F) << 2 | bit << 1 | (rest & 1));
  }
  static uint8_t LoadRest(const uint8_t* rest, size_t block, size_t position) {
    return rest[64 * (block / 4) + position] >> (2 * (block % 4)) & 3;
  }
  static void StoreRest(uint8_t* rest, size_t block, size_t position, uint8_t value) {
    uint8_t& byte = rest[64 * (block / 4) + position];
    byte = static_cast<uint8_t>(byte | value << (2 * (block % 4)));
  }
};

template <typename Head>
void Decode(DecodeHeadsArgs& args) {
  const HeadCoder& coder = *args.coder;
  auto* out = static_cast<std::byte*>(args.heads);
  for (size_t i = 0; i < args.iterations; ++i) {
    const uint8_t* rest = args.rest + i * Head::kRestBytes;
    for (size_t block = 0; block < 8; ++block) {
      size_t stream = block % kHeadStreams;
      for (size_t p = 0; p < kHeadBlock; ++p) {
        uint8_t& low = args.states->low[stream][p];
        uint8_t& high = args.states->high[stream][p];
        uint8_t symbol = coder.slot_symbol[low];
        unsigned state = unsigned{coder.frequency[symbol]} * high + low - coder.first_slot[symbol];
        low = static_cast<uint8_t>(state);
        high = static_cast<uint8_t>(state >> 8);
        if (high == 0) {
          high = low;
          low = *args.streams[stream]++;
        }
        size_t at = i * kHeadIteration + block * kHeadBlock + p;
        size_t element = HeadElement(at);
        uint8_t shift = args.shifts != nullptr ? args.shifts[element] : uint8_t{0};
        auto exponent = static_cast<uint8_t>(coder.exponent[symbol] + shift);
        auto head = Head::Join(exponent, symbol & 1, Head::LoadRest(rest, block, p));
        StoreLe(out + element * sizeof head, head);
      }
      args.streams[stream] = std::min(args.streams[stream], args.stream_ends[stream] + 1);
    }
  }
}

template <typename Head>
void Split(SplitHeadsArgs& args) {
  const HeadCoder& coder = *args.coder;
  const auto* heads = static_cast<const std::byte*>(args.heads);
  std::memset(args.rest, 0, args.iterations * Head::kRestBytes);
  args.patched_count = 0;
  for (size_t i = 0; i < args.iterations; ++i) {
    uint8_t* rest = args.rest + i * Head::kRestBytes;
    for (size_t at = i * kHeadIteration; at < (i + 1) * kHeadIteration; ++at) {
      size_t element = HeadElement(at);
      auto head = LoadLe<typename Head::Word>(heads + element * sizeof(typename Head::Word));
      uint8_t shift = args.shifts != nullptr ? args.shifts[element] : uint8_t{0};
      uint8_t rank = coder.rank_of_exponent[static_cast<uint8_t>(Head::Exponent(head) - shift)];
      if (rank == 0xFF) {
        rank = coder.default_rank;
        args.patched[args.patched_count++] = args.first_number + static_cast<uint32_t>(element);
      }
      args.symbols[at] = static_cast<uint8_t>(2 * rank + Head::Bit(head));
      Head::StoreRest(rest, at % kHeadIteration / kHeadBlock, at % kHeadBlock, Head::Rest(head));
    }
  }
}

}  // namespace

void DecodeHeads16(DecodeHeadsArgs& args) { Decode<Head16>(args); }
void DecodeHeads8(DecodeHeadsArgs& args) { Decode<Head8>(args); }
void SplitHeads16(SplitHeadsArgs& args) { Split<Head16>(args); }
void SplitHeads8(SplitHeadsArgs& args) { Split<Head8>(args); }

void EncodeSymbols(EncodeSymbolsArgs& args) {
  const HeadCoder& coder = *args.coder;
  for (size_t at = args.iterations * kHeadIteration; at-- > 0;) {
    size_t stream = at / kHeadBlock % kHeadStreams;
    uint8_t& low = args.states->low[stream][at % kHeadBlock];
    uint8_t& high = args.states->high[stream][at % kHeadBlock];
    uint8_t symbol = args.symbols[at];
    unsigned frequency = coder.frequency[symbol];
    if (high >= frequency) {
      *--args.streams[stream] = low;
      low = high;
      high = 0;
    }
    unsigned state = unsigned{high} << 8 | low;
    high = static_cast<uint8_t>(state / frequency);
    low = static_cast<uint8_t>(state % frequency + coder.first_slot[symbol]);
  }
}

}  // namespace flyweight::scalar
