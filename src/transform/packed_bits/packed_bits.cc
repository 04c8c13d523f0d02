#include "transform/packed_bits/packed_bits.h"

#include <cstring>

#include "simd/isa.h"
#include "transform/class_fields/class_kernels.h"

namespace flyweight {
namespace {

constexpr IsaTable<decltype(&scalar::PackBlocks1)> kPack1 = FLYWEIGHT_ISA_TABLE(PackBlocks1);
constexpr IsaTable<decltype(&scalar::PackBlocks4)> kPack4 = FLYWEIGHT_ISA_TABLE(PackBlocks4);
constexpr IsaTable<decltype(&scalar::UnpackBlocks1)> kUnpack1 = FLYWEIGHT_ISA_TABLE(UnpackBlocks1);
constexpr IsaTable<decltype(&scalar::UnpackBlocks4)> kUnpack4 = FLYWEIGHT_ISA_TABLE(UnpackBlocks4);

size_t BlockBytes(size_t count, unsigned bits) { return (count * bits + 7) / 8; }

}  // namespace

size_t PackedBytes(size_t count, unsigned bits) {
  return count / kPackedBlock * BlockBytes(kPackedBlock, bits) + BlockBytes(count % kPackedBlock, bits);
}

void PackBits(const uint8_t* values, size_t count, unsigned bits, uint8_t* packed) {
  const size_t blocks = count / kPackedBlock, tail = count % kPackedBlock, width = BlockBytes(tail, bits);
  (bits == 1 ? kPack1 : kPack4).Pick()(values, blocks, packed);
  if (tail == 0) return;
  values += blocks * kPackedBlock;
  packed += blocks * BlockBytes(kPackedBlock, bits);
  std::memset(packed, 0, width);
  for (size_t e = 0; e < tail; ++e)
    packed[e % width] = static_cast<uint8_t>(packed[e % width] | values[e] << (bits * (e / width)));
}

void UnpackBits(const uint8_t* packed, size_t count, unsigned bits, uint8_t* values) {
  const size_t blocks = count / kPackedBlock, tail = count % kPackedBlock, width = BlockBytes(tail, bits);
  (bits == 1 ? kUnpack1 : kUnpack4).Pick()(packed, blocks, values);
  if (tail == 0) return;
  values += blocks * kPackedBlock;
  packed += blocks * BlockBytes(kPackedBlock, bits);
  for (size_t e = 0; e < tail; ++e)
    values[e] = static_cast<uint8_t>(packed[e % width] >> (bits * (e / width)) & ((1U << bits) - 1));
}

}  // namespace flyweight
