#include "codec/palette_codec.h"

#include <algorithm>
#include <cstring>

#include "codec/element_patches.h"
#include "codec/scratch.h"
#include "transform/palette/palette.h"

namespace flyweight {
namespace {

constexpr size_t kHeaderBytes = 4;
// Of 64 elements one may be patched.
constexpr size_t kPatchDivisor = 64;
constexpr uint16_t kNoIndex = 0xFFFF;

// The commonest values in ascending order, and each value's index among them.
struct Palette {
  std::vector<uint64_t> values;
  std::vector<uint16_t> index_of_place;
  size_t patched_count = 0;
};

Palette ChoosePalette(std::span<const CountedValue> values) {
  std::vector<uint16_t> order(values.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = static_cast<uint16_t>(i);
  std::sort(order.begin(), order.end(), [&](uint16_t a, uint16_t b) {
    if (values[a].count != values[b].count) return values[a].count > values[b].count;
    return values[a].value < values[b].value;
  });
  Palette palette;
  palette.index_of_place.assign(values.size(), kNoIndex);
  const size_t kept = std::min(order.size(), kMaxPaletteEntries);
  for (size_t i = kept; i < order.size(); ++i) palette.patched_count += values[order[i]].count;
  order.resize(kept);
  std::sort(order.begin(), order.end(), [&](uint16_t a, uint16_t b) { return values[a].value < values[b].value; });
  for (size_t i = 0; i < kept; ++i) {
    palette.values.push_back(values[order[i]].value);
    palette.index_of_place[order[i]] = static_cast<uint16_t>(i);
  }
  return palette;
}

// The differences of neighbours, cut into planes.
size_t EncodePaletteValues(const Palette& palette, size_t element_bytes, MutableByteSpan target,
                           PlaneScratch& scratch) {
  size_t size = 0;
  for (size_t p = 0; p < element_bytes; ++p) {
    std::byte plane[kMaxPaletteEntries];
    uint64_t previous = 0;
    for (size_t i = 0; i < palette.values.size(); ++i) {
      plane[i] = static_cast<std::byte>((palette.values[i] - previous) >> (8 * p));
      previous = palette.values[i];
    }
    size += EncodePlane({plane, palette.values.size()}, target.subspan(size), scratch);
  }
  return size;
}

// Replaces the places by indices; elements that the palette lacks get the index before theirs.
void IndexElements(const Palette& palette, const uint16_t* places, std::byte* indices, size_t count,
                   std::vector<uint32_t>& patched) {
  patched.clear();
  auto last = std::byte{0};
  for (size_t i = 0; i < count; ++i) {
    const uint16_t index = palette.index_of_place[places[i]];
    if (index == kNoIndex) {
      patched.push_back(static_cast<uint32_t>(i));
    } else {
      last = static_cast<std::byte>(index);
    }
    indices[i] = last;
  }
}

Status ReadPalette(ReadCursor& cursor, size_t entry_count, size_t element_bytes, uint64_t* palette,
                   PlaneScratch& scratch) {
  for (size_t p = 0; p < element_bytes; ++p) {
    std::byte plane[kMaxPaletteEntries];
    FLYWEIGHT_ASSIGN(CodedPlane coded, ReadCodedPlane(cursor, entry_count));
    FLYWEIGHT_TRY(DecodePlane(coded, {plane, entry_count}, scratch));
    for (size_t i = 0; i < entry_count; ++i) palette[i] |= static_cast<uint64_t>(plane[i]) << (8 * p);
  }
  // Sums wrap around at the element's width, to which the entries are cut off when they are written.
  for (size_t i = 1; i < entry_count; ++i) palette[i] += palette[i - 1];
  return {};
}

}  // namespace

size_t EncodePaletteChunk(ByteSpan chunk, size_t element_bytes, MutableByteSpan payload, CodecScratch::Impl& scratch) {
  const size_t count = chunk.size() / element_bytes;
  ValueTable& table = scratch.values;
  if (count == 0 || !scratch.distinct.AtMost(chunk, element_bytes, kMaxPaletteEntries)) return 0;
  scratch.symbols.Resize(count * sizeof(uint16_t));
  auto* places = scratch.symbols.as<uint16_t>();
  table.Clear();
  if (!table.Add(chunk, element_bytes, ValueTable::kMaxValues, places)) return 0;
  Palette palette = ChoosePalette(table.values());
  if (palette.patched_count > count / kPatchDivisor) return 0;

  scratch.low.Resize(count);
  IndexElements(palette, places, scratch.low.data(), count, scratch.patched_elements);
  const size_t bound =
      kHeaderBytes + (kPlaneHeaderBytes + kMaxPaletteEntries) * element_bytes + kPlaneHeaderBytes + count;
  scratch.streams.Resize(bound);
  MutableByteSpan out(scratch.streams.data(), bound);
  StoreLe(out.data(), static_cast<uint32_t>(palette.values.size() - 1));
  size_t size = kHeaderBytes;
  size += EncodePaletteValues(palette, element_bytes, out.subspan(size), scratch.planes);
  size += EncodePlane({scratch.low.data(), count}, out.subspan(size), scratch.planes);
  ByteWriter patches;
  WriteElementPatches(scratch.patched_elements, chunk, element_bytes, patches);
  if (size + patches.size() > payload.size()) return 0;
  std::memcpy(payload.data(), out.data(), size);
  if (patches.size() != 0) std::memcpy(payload.data() + size, patches.bytes().data(), patches.size());
  return size + patches.size();
}

Status DecodePaletteChunk(ByteSpan payload, size_t element_bytes, MutableByteSpan chunk, CodecScratch::Impl& scratch) {
  ReadCursor cursor(payload);
  FLYWEIGHT_ASSIGN(uint8_t last_index, cursor.Read<uint8_t>());
  FLYWEIGHT_ASSIGN(ByteSpan reserved, cursor.Take(kHeaderBytes - 1));
  if (reserved[0] != std::byte{0} || reserved[1] != std::byte{0} || reserved[2] != std::byte{0})
    return Error{ErrorCode::kCorrupt, 1, "palette: reserved fields are in use"};
  if (element_bytes < 2) return Error{ErrorCode::kCorrupt, 0, "palette: the elements are single bytes"};
  uint64_t palette[kMaxPaletteEntries] = {};
  FLYWEIGHT_TRY(ReadPalette(cursor, last_index + size_t{1}, element_bytes, palette, scratch.planes));

  const size_t count = chunk.size() / element_bytes;
  FLYWEIGHT_ASSIGN(CodedPlane coded, ReadCodedPlane(cursor, count));
  ByteSpan indices = coded.stored;
  if (coded.method != PlaneMethod::kStored) {
    scratch.low.Resize(count);
    FLYWEIGHT_TRY(DecodePlane(coded, {scratch.low.data(), count}, scratch.planes));
    indices = {scratch.low.data(), count};
  }
  if (LargestByte(indices) > last_index) return Error{ErrorCode::kCorrupt, 0, "palette: an index has no entry"};
  ExpandPalette(palette, element_bytes, indices, chunk.data());
  return ApplyElementPatches(cursor, element_bytes, chunk);
}

}  // namespace flyweight
