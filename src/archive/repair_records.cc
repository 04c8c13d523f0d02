#include "archive/repair_records.h"

#include <optional>

#include "archive/repair_parts.h"
#include "base/aligned_buffer.h"
#include "codec/record.h"

namespace flyweight {
namespace {

using Sources = std::vector<const ByteSource*>;

constexpr size_t kPeekBytes = 8;

struct FoundHead {
  RecordHead head;
  std::vector<std::byte> bytes;
  size_t source = 0;
};

struct FoundTable {
  std::vector<ChunkEntry> entries;
  uint64_t size_bytes = 0;
  size_t source = 0;
};

std::optional<FoundHead> HeadIn(const ByteSource& source, const IndexExtent& extent) {
  FoundHead found;
  std::byte first[kPeekBytes];
  if (!ReadIfThere(source, extent.record_offset, first)) return std::nullopt;
  auto head_bytes = PeekRecordHeadBytes(first);
  if (!head_bytes.ok() || head_bytes.value() > extent.record_bytes) return std::nullopt;
  found.bytes.resize(head_bytes.value());
  if (!ReadIfThere(source, extent.record_offset, found.bytes)) return std::nullopt;
  auto head = ParseRecordHead(found.bytes);
  if (!head.ok() || head.value().decoded_bytes != extent.record_decoded_bytes()) return std::nullopt;
  found.head = std::move(head).value();
  if (found.head.chunk_count > (extent.record_bytes - found.bytes.size()) / (kChunkEntryBytes + kFrameHeaderBytes)) {
    return std::nullopt;
  }
  return found;
}

/// The chunk table of a source, where it and the head are those that the index names and add up to the record.
std::optional<FoundTable> TableIn(const ByteSource& source, const IndexExtent& extent, const FoundHead& head) {
  FoundTable found;
  found.size_bytes = head.head.chunk_count * kChunkEntryBytes;
  std::vector<std::byte> bytes(static_cast<size_t>(found.size_bytes));
  if (!ReadIfThere(source, extent.record_offset + extent.record_bytes - found.size_bytes, bytes)) return std::nullopt;
  if (RecordCheck(head.bytes, bytes) != extent.record_check) return std::nullopt;
  auto entries = ParseChunkTable(head.head, bytes);
  if (!entries.ok()) return std::nullopt;
  found.entries = std::move(entries).value();
  uint64_t sum = head.bytes.size() + found.size_bytes;
  for (const ChunkEntry& entry : found.entries) sum += entry.frame_bytes;
  if (sum != extent.record_bytes) return std::nullopt;
  return found;
}

bool FrameHolds(const ByteSource& source, uint64_t offset, const ChunkEntry& entry, AlignedBuffer& buffer) {
  buffer.Resize(entry.frame_bytes);
  MutableByteSpan frame(buffer.data(), entry.frame_bytes);
  return ReadIfThere(source, offset, frame) && ScrubFrame(frame, entry).ok();
}

void AddPiece(std::vector<RecordPiece>& pieces, const RecordPiece& piece) {
  if (!pieces.empty() && pieces.back().source == piece.source) {
    pieces.back().size_bytes += piece.size_bytes;
  } else {
    pieces.push_back(piece);
  }
}

/// Any head with any table that belong together.
bool FindEnds(const Sources& sources, const IndexExtent& extent, FoundHead& head, FoundTable& table) {
  for (size_t h = 0; h < sources.size(); ++h) {
    std::optional<FoundHead> found_head = HeadIn(*sources[h], extent);
    if (!found_head.has_value()) continue;
    for (size_t t = 0; t < sources.size(); ++t) {
      std::optional<FoundTable> found_table = TableIn(*sources[t], extent, *found_head);
      if (!found_table.has_value()) continue;
      head = std::move(*found_head);
      head.source = h;
      table = std::move(*found_table);
      table.source = t;
      return true;
    }
  }
  return false;
}

}  // namespace

RecordChoice ChoosePieces(const Sources& sources, const IndexExtent& extent, std::vector<ArchiveRange>& lost) {
  FoundHead head;
  FoundTable table;
  if (!FindEnds(sources, extent, head, table)) {
    AddRange(lost, extent.record_offset, extent.record_bytes);
    return {};
  }
  RecordChoice choice{{{extent.record_offset, head.bytes.size(), head.source}}, 0};
  uint64_t offset = extent.record_offset + head.bytes.size();
  AlignedBuffer buffer;
  for (const ChunkEntry& entry : table.entries) {
    size_t source = 0;
    while (source < sources.size() && !FrameHolds(*sources[source], offset, entry, buffer)) ++source;
    if (source == sources.size()) {
      AddRange(lost, offset, entry.frame_bytes);
    } else {
      AddPiece(choice.pieces, {offset, entry.frame_bytes, source});
      if (source == 0) choice.first_bytes += entry.frame_bytes;
    }
    offset += entry.frame_bytes;
  }
  AddPiece(choice.pieces, {offset, table.size_bytes, table.source});
  return choice;
}

}  // namespace flyweight
