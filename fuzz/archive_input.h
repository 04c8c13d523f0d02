#pragma once

#include <algorithm>
#include <vector>

#include "archive/header.h"
#include "archive/index.h"
#include "archive/section.h"
#include "archive/wire.h"
#include "base/hash.h"
#include "record_input.h"

namespace flyweight::fuzz {

/// How an archive is written as a fuzz input: `u8 kind`, then for kParts `u32 body_bytes, index body, records`, for
/// kImage the archive's bytes.
enum class ArchiveInputKind : uint8_t { kParts = 0, kImage = 1 };

/// A whole archive around an index body and the bytes between header and index.
inline std::vector<std::byte> AssembleArchive(ByteSpan body, ByteSpan records) {
  ByteWriter section;
  section.Write(wire::kSectionKindIndex);
  section.Write(wire::kSectionStored);
  section.Write<uint64_t>(body.size());
  section.Write<uint64_t>(body.size());
  std::vector<std::byte> hashed(section.bytes().begin(), section.bytes().end());
  hashed.insert(hashed.end(), body.begin(), body.end());
  section.Write(Xxh3(hashed));
  section.Append(body);

  ArchiveFooter footer;
  footer.header.required_features =
      wire::kFeatureShared | wire::kFeaturePatches;  // so that the index may say everything
  footer.first_index_offset = wire::kHeaderBytes + records.size();
  footer.index_section_bytes = section.size();
  footer.second_index_offset = footer.first_index_offset + section.size();
  footer.archive_bytes = footer.second_index_offset + section.size() + wire::kFooterBytes;

  ByteWriter archive;
  archive.Append(WriteHeader(footer.header));
  archive.Append(records);
  archive.Append(section.bytes());
  archive.Append(section.bytes());
  archive.Append(WriteFooter(footer));
  return archive.Release();
}

inline void SealSection(std::vector<std::byte>& image, uint64_t offset, uint64_t section_bytes) {
  if (section_bytes < wire::kSectionHeadBytes || section_bytes > image.size()) return;
  if (offset > image.size() - section_bytes) return;
  std::byte* section = image.data() + offset;
  std::vector<std::byte> hashed(section, section + wire::kSectionHashOffset);
  hashed.insert(hashed.end(), section + wire::kSectionHeadBytes, section + section_bytes);
  StoreLe(section + wire::kSectionHashOffset, Xxh3(hashed));
}

/// Sets the hashes of header, footer and index sections, wherever the footer says they are.
inline void SealImage(std::vector<std::byte>& image) {
  if (image.size() < wire::kHeaderBytes + wire::kFooterBytes) return;
  std::byte* footer = image.data() + image.size() - wire::kFooterBytes;
  for (std::byte* header : {image.data(), footer}) {
    StoreLe(header + wire::kHeaderHashOffset, Xxh3(ByteSpan(header, wire::kHeaderHashOffset)));
  }
  uint64_t section_bytes = LoadLe<uint64_t>(footer + wire::kFooterIndexBytesOffset);
  SealSection(image, LoadLe<uint64_t>(footer + wire::kFooterFirstIndexOffset), section_bytes);
  SealSection(image, LoadLe<uint64_t>(footer + wire::kFooterSecondIndexOffset), section_bytes);
  StoreLe(footer + wire::kFooterHashOffset, Xxh3(ByteSpan(footer, wire::kFooterHashOffset)));
}

/// Sets the hashes of a record's frames as far as its table gives them a place.
inline void SealFrames(MutableByteSpan record, size_t head_bytes, ByteSpan table) {
  size_t at = head_bytes;
  for (size_t row = 0; row + kChunkEntryBytes <= table.size(); row += kChunkEntryBytes) {
    uint32_t frame_bytes = LoadLe<uint32_t>(table.data() + row);
    if (frame_bytes < kFrameHeaderBytes || frame_bytes > record.size() - at) return;
    SetFrameHash(record.subspan(at, frame_bytes));
    at += frame_bytes;
  }
}

/// Sets a record's hashes and returns its record_check.
inline uint64_t SealRecord(MutableByteSpan record) {
  if (record.size() < kRecordHeadMinBytes) return 0;
  size_t head_bytes = LoadLe<uint32_t>(record.data() + 4);
  if (head_bytes < kRecordHeadMinBytes || head_bytes > record.size()) return 0;
  StoreLe(record.data() + head_bytes - 8, Xxh3(record.first(head_bytes - 8)));
  Result<RecordHead> head = ParseRecordHead(record.first(head_bytes));
  if (!head.ok() || head.value().chunk_count > (record.size() - head_bytes) / kChunkEntryBytes) return 0;
  size_t table_bytes = static_cast<size_t>(head.value().chunk_count) * kChunkEntryBytes;
  ByteSpan table = record.last(table_bytes);
  SealFrames(record.first(record.size() - table_bytes), head_bytes, table);
  return RecordCheck(record.first(head_bytes), table);
}

/// An opened archive once more, with the hashes inside its records and in its index as they must be.
inline std::vector<std::byte> SealRecords(ByteSpan image, ArchiveIndex index, uint64_t first_index_offset) {
  std::vector<std::byte> records(image.begin(), image.begin() + static_cast<std::ptrdiff_t>(first_index_offset));
  for (IndexFile& file : index.files) {
    for (IndexExtent& extent : file.extents) {
      if (!extent.has_record()) continue;
      extent.record_check = SealRecord(MutableByteSpan(records).subspan(static_cast<size_t>(extent.record_offset),
                                                                        static_cast<size_t>(extent.record_bytes)));
    }
  }
  return AssembleArchive(SerializeIndex(index), ByteSpan(records).subspan(wire::kHeaderBytes));
}

}  // namespace flyweight::fuzz
