#pragma once

#include <cstddef>
#include <cstdint>

namespace flyweight {

/// Elements of a block; the last may have fewer.
inline constexpr size_t kPackedBlock = 512;

/// Bytes that `count` values of `bits` (1 or 4) each take.
size_t PackedBytes(size_t count, unsigned bits);

/// Packs values under 2^bits, one a byte (docs/format.md section 3.8.2): element e of a block of w bytes lies in byte
/// e mod w, at bit bits * (e div w), so that unpacking is one shift of a whole register. Shapes: values count bytes,
/// packed PackedBytes(count, bits). No overlap.
void PackBits(const uint8_t* values, size_t count, unsigned bits, uint8_t* packed);

/// The inverse.
void UnpackBits(const uint8_t* packed, size_t count, unsigned bits, uint8_t* values);

}  // namespace flyweight
