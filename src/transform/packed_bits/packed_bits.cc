#include "transform/packed_bits/packed_bits.h"

#include <algorithm>
#include <cstring>

namespace flyweight {
namespace {

size_t BlockBytes(size_t count, unsigned bits) { return (count * bits + 7) / 8; }

// One whole block; constant counts let the compiler use vectors.
template <unsigned kBits>
void PackBlock(const uint8_t* __restrict values, uint8_t* __restrict packed) {
  constexpr size_t kBytes = kPackedBlock * kBits / 8;
  for (size_t j = 0; j < kBytes; ++j) packed[j] = values[j];
  for (unsigned t = 1; t < 8 / kBits; ++t) {
    for (size_t j = 0; j < kBytes; ++j)
      packed[j] = static_cast<uint8_t>(packed[j] | values[t * kBytes + j] << (kBits * t));
  }
}

template <unsigned kBits>
void UnpackBlock(const uint8_t* __restrict packed, uint8_t* __restrict values) {
  constexpr size_t kBytes = kPackedBlock * kBits / 8;
  constexpr uint8_t kMask = (1U << kBits) - 1;
  for (unsigned t = 0; t < 8 / kBits; ++t) {
    for (size_t j = 0; j < kBytes; ++j) values[t * kBytes + j] = static_cast<uint8_t>(packed[j] >> (kBits * t) & kMask);
  }
}

void PackTail(const uint8_t* values, size_t count, unsigned bits, uint8_t* packed) {
  size_t width = BlockBytes(count, bits);
  std::memset(packed, 0, width);
  for (size_t e = 0; e < count; ++e)
    packed[e % width] = static_cast<uint8_t>(packed[e % width] | values[e] << (bits * (e / width)));
}

void UnpackTail(const uint8_t* packed, size_t count, unsigned bits, uint8_t* values) {
  size_t width = BlockBytes(count, bits);
  for (size_t e = 0; e < count; ++e)
    values[e] = static_cast<uint8_t>(packed[e % width] >> (bits * (e / width)) & ((1U << bits) - 1));
}

template <unsigned kBits>
void Pack(const uint8_t* values, size_t count, uint8_t* packed) {
  for (; count >= kPackedBlock; count -= kPackedBlock) {
    PackBlock<kBits>(values, packed);
    values += kPackedBlock;
    packed += BlockBytes(kPackedBlock, kBits);
  }
  if (count != 0) PackTail(values, count, kBits, packed);
}

template <unsigned kBits>
void Unpack(const uint8_t* packed, size_t count, uint8_t* values) {
  for (; count >= kPackedBlock; count -= kPackedBlock) {
    UnpackBlock<kBits>(packed, values);
    values += kPackedBlock;
    packed += BlockBytes(kPackedBlock, kBits);
  }
  if (count != 0) UnpackTail(packed, count, kBits, values);
}

}  // namespace

size_t PackedBytes(size_t count, unsigned bits) {
  return count / kPackedBlock * BlockBytes(kPackedBlock, bits) + BlockBytes(count % kPackedBlock, bits);
}

void PackBits(const uint8_t* values, size_t count, unsigned bits, uint8_t* packed) {
  bits == 1   ? Pack<1>(values, count, packed)
  : bits == 2 ? Pack<2>(values, count, packed)
              : Pack<4>(values, count, packed);
}

void UnpackBits(const uint8_t* packed, size_t count, unsigned bits, uint8_t* values) {
  bits == 1   ? Unpack<1>(packed, count, values)
  : bits == 2 ? Unpack<2>(packed, count, values)
              : Unpack<4>(packed, count, values);
}

}  // namespace flyweight
