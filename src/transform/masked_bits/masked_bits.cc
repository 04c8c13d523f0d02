#include "transform/masked_bits/masked_bits.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace flyweight {
namespace {

constexpr size_t kRunBytes = 4;
constexpr size_t kMaxRuns = 65535;
constexpr size_t kMaxBlocksPerRun = 65535;
constexpr uint64_t kEveryByte = 0x0101010101010101;

struct Block {
  uint64_t words[8];
};

// Loads block `index`; the last one is filled up with zero bytes.
Block LoadBlock(ByteSpan plane, size_t index) {
  Block block{};
  size_t begin = index * kMaskedBlockBytes;
  std::memcpy(block.words, plane.data() + begin, std::min(kMaskedBlockBytes, plane.size() - begin));
  return block;
}

uint8_t FoldOr(uint64_t word) {
  word |= word >> 32;
  word |= word >> 16;
  return static_cast<uint8_t>(word | word >> 8);
}

uint8_t FoldAnd(uint64_t word) {
  word &= word >> 32;
  word &= word >> 16;
  return static_cast<uint8_t>(word & word >> 8);
}

size_t BlockDataBytes(uint8_t mask) {
  return mask == 0xFF ? kMaskedBlockBytes : 8 * static_cast<size_t>(std::popcount(mask));
}

// Bit `bit` of the eight bytes of `word`, gathered into one byte: a multiplication moves bit 8j to bit 56 + j.
uint8_t GatherBit(uint64_t word, int bit) {
  return static_cast<uint8_t>((((word >> bit) & kEveryByte) * 0x0102040810204080) >> 56);
}

// The inverse: bit j of `bits` becomes the lowest bit of byte j.
uint64_t ScatterBits(uint8_t bits) {
  uint64_t one_bit_a_byte = (bits * kEveryByte) & 0x8040201008040201;
  return ((one_bit_a_byte + 0x7F7F7F7F7F7F7F7F) >> 7) & kEveryByte;
}

std::byte* EncodeBlock(const Block& block, uint8_t mask, std::byte* out) {
  if (mask == 0xFF) {
    std::memcpy(out, block.words, kMaskedBlockBytes);
    return out + kMaskedBlockBytes;
  }
  for (int bit = 0; bit < 8; ++bit) {
    if (!(mask >> bit & 1)) continue;
    for (uint64_t word : block.words) *out++ = static_cast<std::byte>(GatherBit(word, bit));
  }
  return out;
}

const std::byte* DecodeBlock(const std::byte* in, const MaskedRun& run, Block& block) {
  if (run.mask == 0xFF) {
    std::memcpy(block.words, in, kMaskedBlockBytes);
    return in + kMaskedBlockBytes;
  }
  std::fill(std::begin(block.words), std::end(block.words), run.base * kEveryByte);
  for (int bit = 0; bit < 8; ++bit) {
    if (!(run.mask >> bit & 1)) continue;
    for (uint64_t& word : block.words) word |= ScatterBits(static_cast<uint8_t>(*in++)) << bit;
  }
  return in;
}

// Checks one run against what is left of blocks and data. Returns the bytes of its data.
Result<size_t> CheckRun(const MaskedRun& run, size_t blocks_left, size_t data_left) {
  if (run.block_count == 0 || run.block_count > blocks_left) {
    return Error{ErrorCode::kCorrupt, 0, "masked bits: the runs do not add up to the plane"};
  }
  if ((run.base & run.mask) != 0) return Error{ErrorCode::kCorrupt, 0, "masked bits: base and mask overlap"};
  size_t run_bytes = run.block_count * BlockDataBytes(run.mask);
  if (run_bytes > data_left) return Error{ErrorCode::kTruncated, 0, "masked bits: the data ends inside a run"};
  return run_bytes;
}

}  // namespace

bool PlanMaskedBits(ByteSpan plane, MaskedPlan& plan) {
  plan.runs.clear();
  plan.encoded_bytes = 2;
  size_t block_count = (plane.size() + kMaskedBlockBytes - 1) / kMaskedBlockBytes;
  for (size_t b = 0; b < block_count; ++b) {
    Block block = LoadBlock(plane, b);
    uint64_t any = 0, all = ~uint64_t{0};
    for (uint64_t word : block.words) any |= word, all &= word;
    uint8_t base = FoldAnd(all);
    auto mask = static_cast<uint8_t>(FoldOr(any) & ~base);
    // A full mask costs the same whatever is constant by chance.
    if (std::popcount(mask) == 8) base = 0;
    bool extends = !plan.runs.empty() && plan.runs.back().mask == mask && plan.runs.back().base == base &&
                   plan.runs.back().block_count < kMaxBlocksPerRun;
    if (extends) {
      ++plan.runs.back().block_count;
    } else {
      if (plan.runs.size() == kMaxRuns) return false;
      plan.runs.push_back({mask, base, 1});
      plan.encoded_bytes += kRunBytes;
    }
    plan.encoded_bytes += BlockDataBytes(mask);
  }
  return true;
}

size_t EncodeMaskedBits(ByteSpan plane, const MaskedPlan& plan, MutableByteSpan target) {
  std::byte* out = target.data();
  StoreLe(out, static_cast<uint16_t>(plan.runs.size()));
  out += 2;
  for (const MaskedRun& run : plan.runs) {
    StoreLe(out, run.mask);
    StoreLe(out + 1, run.base);
    StoreLe(out + 2, run.block_count);
    out += kRunBytes;
  }
  size_t b = 0;
  for (const MaskedRun& run : plan.runs) {
    for (size_t i = 0; i < run.block_count; ++i) out = EncodeBlock(LoadBlock(plane, b++), run.mask, out);
  }
  return static_cast<size_t>(out - target.data());
}

Status DecodeMaskedBits(ByteSpan source, MutableByteSpan plane) {
  ReadCursor cursor(source);
  FLYWEIGHT_ASSIGN(uint16_t run_count, cursor.Read<uint16_t>());
  FLYWEIGHT_ASSIGN(ByteSpan run_table, cursor.Take(uint64_t{run_count} * kRunBytes));
  FLYWEIGHT_ASSIGN(ByteSpan data, cursor.Take(cursor.remaining()));

  const std::byte* in = data.data();
  size_t data_left = data.size();
  size_t blocks_left = (plane.size() + kMaskedBlockBytes - 1) / kMaskedBlockBytes;
  std::byte* out = plane.data();
  size_t bytes_left = plane.size();
  for (size_t r = 0; r < run_count; ++r) {
    const std::byte* row = run_table.data() + r * kRunBytes;
    MaskedRun run{LoadLe<uint8_t>(row), LoadLe<uint8_t>(row + 1), LoadLe<uint16_t>(row + 2)};
    FLYWEIGHT_ASSIGN(size_t run_bytes, CheckRun(run, blocks_left, data_left));
    data_left -= run_bytes;
    blocks_left -= run.block_count;
    for (size_t i = 0; i < run.block_count; ++i) {
      Block block;
      in = DecodeBlock(in, run, block);
      size_t block_bytes = std::min(kMaskedBlockBytes, bytes_left);
      std::memcpy(out, block.words, block_bytes);
      out += block_bytes;
      bytes_left -= block_bytes;
    }
  }
  if (blocks_left != 0) return Error{ErrorCode::kCorrupt, 0, "masked bits: the runs do not cover the plane"};
  if (data_left != 0) return Error{ErrorCode::kCorrupt, 0, "masked bits: bytes are left over"};
  return {};
}

}  // namespace flyweight
