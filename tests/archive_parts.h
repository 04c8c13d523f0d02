#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "archive/header.h"
#include "archive/index.h"
#include "archive/reader.h"
#include "archive/section.h"
#include "archive/wire.h"
#include "archive/writer.h"
#include "base/hash.h"
#include "codec/record.h"

// Small archives for tests, whole and in parts.

namespace flyweight::test {

using Bytes = std::vector<std::byte>;

/// A source that is not in memory as far as its reader can tell.
class CopyingSource final : public ByteSource {
 public:
  explicit CopyingSource(ByteSpan bytes) : bytes_(bytes) {}
  uint64_t size() const override { return bytes_.size(); }
  Status ReadAt(uint64_t offset, MutableByteSpan target) const override {
    if (offset > bytes_.size() || target.size() > bytes_.size() - offset)
      return Error{ErrorCode::kTruncated, offset, "past the end"};
    std::copy_n(bytes_.begin() + static_cast<ptrdiff_t>(offset), target.size(), target.begin());
    return Status::Ok();
  }

 private:
  ByteSpan bytes_;
};

inline Bytes Copy(ByteSpan bytes) { return {bytes.begin(), bytes.end()}; }
inline Bytes Copy(std::string_view text) { return Copy(AsBytes(text)); }

/// Bytes that repeat little and differ by seed.
inline Bytes Noise(size_t size_bytes, uint64_t seed) {
  Bytes bytes(size_bytes);
  uint64_t state = seed * 0x9E3779B97F4A7C15 + 1;
  for (std::byte& value : bytes) {
    state = state * 6364136223846793005 + 1442695040888963407;
    value = static_cast<std::byte>(state >> 56);
  }
  return bytes;
}

/// The head of a record without transform, with chunks as small as one likes.
inline Bytes PlainHead(DType dtype, uint32_t chunk_elements, uint64_t decoded_bytes) {
  ByteWriter head;
  head.Write(uint32_t{0x31525746});
  head.Write(uint32_t{40});
  head.Write(static_cast<uint16_t>(dtype));
  head.Write(uint16_t{0});
  head.Write(chunk_elements);
  head.Write(decoded_bytes);
  head.Write(uint64_t{0});
  head.Write(Xxh3(head.bytes()));
  return head.Release();
}

/// A record of stored chunks of `chunk_bytes` opaque bytes.
struct StoredRecord {
  RecordPlan plan;
  std::vector<Bytes> frames;
  std::vector<ChunkEntry> table;

  Bytes Whole() const {
    Bytes bytes = plan.head_bytes;
    for (const Bytes& frame : frames) bytes.insert(bytes.end(), frame.begin(), frame.end());
    Bytes rows = WriteChunkTable(table);
    bytes.insert(bytes.end(), rows.begin(), rows.end());
    return bytes;
  }
  uint64_t Check() const { return RecordCheck(plan.head_bytes, WriteChunkTable(table)); }
};

inline Bytes MakeFrame(uint8_t codec, ByteSpan payload, ByteSpan decoded) {
  ByteWriter start;
  start.Write(static_cast<uint32_t>(payload.size()));
  start.Write(static_cast<uint32_t>(codec));
  start.Write(Xxh3(decoded));
  ByteWriter hashed;
  hashed.Append(start.bytes());
  hashed.Write(Xxh3(payload));
  start.Write(Xxh3(hashed.bytes()));
  start.Append(payload);
  return start.Release();
}

inline StoredRecord MakeStoredRecord(ByteSpan content, uint32_t chunk_bytes) {
  StoredRecord record;
  record.plan.head_bytes = PlainHead(DType::kOpaque, chunk_bytes, content.size());
  record.plan.head.decoded_bytes = content.size();
  record.plan.head.chunk_bytes = chunk_bytes;
  record.plan.head.chunk_count = (content.size() + chunk_bytes - 1) / chunk_bytes;
  for (size_t begin = 0; begin < content.size(); begin += chunk_bytes) {
    ByteSpan chunk = content.subspan(begin, std::min<size_t>(chunk_bytes, content.size() - begin));
    record.frames.push_back(MakeFrame(0, chunk, chunk));
    record.table.push_back({static_cast<uint32_t>(record.frames.back().size()), Xxh3(chunk)});
  }
  return record;
}

inline IndexExtent InlineExtent(ByteSpan content) {
  IndexExtent extent;
  extent.decoded_bytes = content.size();
  extent.inline_bytes = Copy(content);
  return extent;
}

inline IndexExtent RecordExtent(uint64_t offset, const StoredRecord& record) {
  IndexExtent extent;
  extent.place = PlaceKind::kRecord;
  extent.decoded_bytes = record.plan.head.decoded_bytes;
  extent.record_offset = offset;
  extent.record_bytes = record.Whole().size();
  extent.record_check = record.Check();
  return extent;
}

inline IndexExtent SameExtent(uint64_t number, uint64_t decoded_bytes) {
  IndexExtent extent;
  extent.place = PlaceKind::kSame;
  extent.decoded_bytes = decoded_bytes;
  extent.same_as = number;
  return extent;
}

inline IndexExtent AsTensor(IndexExtent extent, std::string name, DType dtype, Shape shape) {
  extent.is_tensor = true;
  extent.name = std::move(name);
  extent.dtype = dtype;
  extent.shape = std::move(shape);
  return extent;
}

inline IndexFile FileOf(std::string name, std::vector<IndexExtent> extents) {
  IndexFile file;
  file.name = std::move(name);
  file.extents = std::move(extents);
  for (const IndexExtent& extent : file.extents) file.file_bytes += extent.decoded_bytes;
  return file;
}

/// A section with a body as it is, stored.
inline Bytes StoredSection(uint32_t kind, ByteSpan body) {
  ByteWriter section;
  section.Write(kind);
  section.Write(uint32_t{0});
  section.Write(uint64_t{body.size()});
  section.Write(uint64_t{body.size()});
  Bytes message = Copy(section.bytes());
  message.insert(message.end(), body.begin(), body.end());
  section.Write(Xxh3(message));
  section.Append(body);
  return section.Release();
}

/// header | records | index section twice | footer, whatever the sections say.
inline Bytes AssembleSections(ByteSpan records, ByteSpan first, ByteSpan second) {
  ByteWriter out;
  out.Append(WriteHeader({}));
  out.Append(records);
  ArchiveFooter footer;
  footer.first_index_offset = out.size();
  footer.second_index_offset = out.size() + first.size();
  footer.index_section_bytes = first.size();
  out.Append(first);
  out.Append(second);
  footer.archive_bytes = out.size() + wire::kFooterBytes;
  out.Append(WriteFooter(footer));
  return out.Release();
}

inline Bytes AssembleBody(ByteSpan records, ByteSpan index_body) {
  Bytes section = StoredSection(wire::kSectionKindIndex, index_body);
  return AssembleSections(records, section, section);
}

/// Does not check the index, so it may be a bad one.
inline Bytes Assemble(ByteSpan records, const ArchiveIndex& index) {
  return AssembleBody(records, SerializeIndex(index));
}

/// Every file of an archive, all extents decoded.
struct Decoded {
  std::vector<Bytes> files;
  std::vector<std::string> damage;
};

/// The rows of a base table, one behind the other in memory that must outlive it.
class RowsInMemory final : public BaseContent {
 public:
  RowsInMemory(const BaseTable& table, ByteSpan bytes) : bytes_(bytes) {
    uint64_t begin = 0;
    for (const BaseRow& row : table.rows) {
      begins_.push_back(begin);
      begin += row.size_bytes;
    }
  }
  Status Read(uint64_t row, uint64_t begin, MutableByteSpan target, CodecScratch&) const override {
    return MemorySource(bytes_).ReadAt(begins_.at(static_cast<size_t>(row)) + begin, target);
  }

 private:
  ByteSpan bytes_;
  std::vector<uint64_t> begins_;
};

inline Result<ArchiveReader> OpenWithBase(const ByteSource& source, ByteSpan base) {
  FLYWEIGHT_ASSIGN(ArchiveReader reader, ArchiveReader::Open(source));
  if (!base.empty()) reader.set_base(std::make_shared<RowsInMemory>(*reader.base_table(), base));
  return reader;
}

inline Result<Decoded> DecodeOnly(const ByteSource& source, ByteSpan base = {}) {
  FLYWEIGHT_ASSIGN(ArchiveReader reader, OpenWithBase(source, base));
  Decoded decoded;
  decoded.damage = reader.damage();
  CodecScratch scratch;
  for (const IndexFile& file : reader.index().files) {
    Bytes content;
    for (const IndexExtent& extent : file.extents) {
      if (extent.place == PlaceKind::kRecord) FLYWEIGHT_TRY(reader.OpenRecordOf(extent));
      if (extent.decoded_bytes > (uint64_t{64} << 20))
        return Error{ErrorCode::kLimitExceeded, 0, "the test's own limit"};
      Bytes part(static_cast<size_t>(extent.decoded_bytes));
      FLYWEIGHT_TRY(reader.DecodeRange(extent, 0, part, scratch));
      content.insert(content.end(), part.begin(), part.end());
    }
    decoded.files.push_back(std::move(content));
  }
  return decoded;
}

/// The same, and the stored bytes of every chunk compared with their checksum, which decoding alone does not look at
/// where the decoded bytes are right.
inline Result<Decoded> DecodeAll(const ByteSource& source, ByteSpan base = {}) {
  FLYWEIGHT_ASSIGN(Decoded decoded, DecodeOnly(source, base));
  FLYWEIGHT_ASSIGN(ArchiveReader reader, ArchiveReader::Open(source));
  for (const IndexFile& file : reader.index().files) {
    for (const IndexExtent& extent : file.extents) {
      if (extent.place != PlaceKind::kRecord) continue;
      FLYWEIGHT_ASSIGN(OpenRecord record, reader.OpenRecordOf(extent));
      for (uint64_t i = 0; i < record.head.chunk_count; ++i) FLYWEIGHT_TRY(reader.ScrubChunk(record, i));
    }
  }
  return decoded;
}

inline Result<Decoded> DecodeAll(const Bytes& archive, ByteSpan base = {}) {
  return DecodeAll(MemorySource(archive), base);
}

/// Writes a record through the archive writer.
inline Result<ArchiveWriter::RecordPlace> Write(ArchiveWriter& writer, const StoredRecord& record) {
  FLYWEIGHT_TRY(writer.BeginRecord(record.plan));
  for (size_t i = 0; i < record.frames.size(); ++i)
    FLYWEIGHT_TRY(writer.AppendFrame(record.frames[i], record.table[i]));
  return writer.EndRecord();
}

struct Sample {
  Bytes archive;
  std::vector<Bytes> files;
};

/// Every kind of extent in two files: inline, records of one and of several chunks, the same as an earlier one, without
/// bytes.
inline Result<Sample> MakeSample(uint64_t seed) {
  MemorySink sink;
  ArchiveWriter writer(sink);
  FLYWEIGHT_TRY(writer.Begin());
  Bytes large = Noise(200, seed);
  Bytes other = Noise(64, seed + 1);
  StoredRecord large_record = MakeStoredRecord(large, 64);
  StoredRecord other_record = MakeStoredRecord(other, 64);
  FLYWEIGHT_ASSIGN(auto large_place, Write(writer, large_record));
  FLYWEIGHT_ASSIGN(auto other_place, Write(writer, other_record));

  ArchiveIndex index;
  IndexExtent head = InlineExtent(Noise(24, seed + 2));
  index.files.push_back(FileOf(
      "model", {head, AsTensor(RecordExtent(large_place.offset, large_record), "w", DType::kF32, {5, 10}),
                AsTensor(InlineExtent({}), "none", DType::kF32, {0}), RecordExtent(other_place.offset, other_record)}));
  index.files[0].has_sha256 = true;
  index.files[0].sha256 = Sha256(large);  // the reader passes it on, who writes the file checks it
  index.files.push_back(FileOf("tied", {SameExtent(1, large.size()), SameExtent(0, head.decoded_bytes)}));
  FLYWEIGHT_TRY(writer.Finish(index));

  Sample sample{std::move(sink.bytes()), {head.inline_bytes, large}};
  sample.files[0].insert(sample.files[0].end(), large.begin(), large.end());
  sample.files[0].insert(sample.files[0].end(), other.begin(), other.end());
  sample.files[1].insert(sample.files[1].end(), head.inline_bytes.begin(), head.inline_bytes.end());
  return sample;
}

}  // namespace flyweight::test
