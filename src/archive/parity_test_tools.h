#pragma once

#include <vector>

#include "archive/parity_encode.h"
#include "archive/parity_layout.h"
#include "archive/parity_wire.h"
#include "archive/repair.h"
#include "archive_parts.h"
#include "support/random.h"

// Archives with parity for tests, and ways to damage them.

namespace flyweight::test {

inline ThreadPool& OneThread() {
  static ThreadPool pool(1);
  return pool;
}

/// Records of stored noise, `content_bytes` in all, and their index.
inline Result<ArchiveIndex> WriteNoise(ArchiveWriter& writer, size_t content_bytes, uint64_t seed) {
  ArchiveIndex index;
  std::vector<IndexExtent> extents = {InlineExtent(Noise(20, seed))};
  constexpr size_t kRecordBytes = size_t{1} << 20;
  for (size_t begin = 0; begin < content_bytes; begin += kRecordBytes) {
    Random random(seed + begin);
    StoredRecord record = MakeStoredRecord(random.Bytes(std::min(kRecordBytes, content_bytes - begin)), 100'000);
    FLYWEIGHT_ASSIGN(auto place, Write(writer, record));
    extents.push_back(RecordExtent(place.offset, record));
  }
  index.files.push_back(FileOf("noise", extents));
  return index;
}

/// An archive of noise with parity, as the writer makes it.
inline Result<Bytes> MakeParityArchive(size_t content_bytes, uint32_t permille, uint64_t seed,
                                       ThreadPool& pool = OneThread()) {
  MemorySink sink;
  ArchiveWriter writer(sink);
  FLYWEIGHT_TRY(writer.Begin({.optional_features = permille == 0 ? 0 : wire::kOptionalParity}));
  FLYWEIGHT_ASSIGN(ArchiveIndex index, WriteNoise(writer, content_bytes, seed));
  Bytes written;
  RecoveryOptions recovery;
  recovery.permille = permille;
  recovery.pool = &pool;
  recovery.read_back = [&]() -> Result<std::unique_ptr<ByteSource>> {
    written = sink.bytes();
    return std::unique_ptr<ByteSource>(std::make_unique<MemorySource>(written));
  };
  FLYWEIGHT_TRY(writer.Finish(index, recovery));
  return std::move(sink.bytes());
}

/// The layout of an archive with parity.
inline ParityLayout LayoutOf(const Bytes& archive) {
  ArchiveFooter footer = ParseFooter(ByteSpan(archive).last(wire::kFooterBytes), archive.size()).value();
  uint64_t first_bytes = footer.first_index_offset + footer.index_section_bytes;
  return InferParity(first_bytes, archive.size() - footer.second_index_offset, footer.second_index_offset - first_bytes)
      .value();
}

/// An archive like `plain` (without parity) with a layout of one's own: first_bytes and second_bytes follow from it.
inline Result<Bytes> AddParity(const Bytes& plain, ParityLayout fields) {
  FLYWEIGHT_ASSIGN(ArchiveFooter footer, ParseFooter(ByteSpan(plain).last(wire::kFooterBytes), plain.size()));
  fields.first_bytes = footer.second_index_offset;
  fields.second_bytes = footer.index_section_bytes + wire::kFooterBytes;
  FLYWEIGHT_ASSIGN(ParityLayout layout, CompleteLayout(fields));
  footer.header.optional_features |= wire::kOptionalParity;
  footer.second_index_offset = layout.second_offset;
  footer.archive_bytes = layout.archive_bytes;

  Bytes archive(static_cast<size_t>(layout.archive_bytes));
  HeaderBytes header = WriteHeader(footer.header);
  FooterBytes footer_bytes = WriteFooter(footer);
  std::copy_n(plain.begin(), layout.first_bytes, archive.begin());
  std::copy(header.begin(), header.end(), archive.begin());
  auto second = archive.begin() + static_cast<ptrdiff_t>(layout.second_offset);
  std::copy_n(plain.begin() + static_cast<ptrdiff_t>(footer.first_index_offset), footer.index_section_bytes, second);
  std::copy(footer_bytes.begin(), footer_bytes.end(), archive.end() - wire::kFooterBytes);
  MemorySink area;
  FLYWEIGHT_TRY(AppendParityArea(layout, MemorySource(archive), OneThread(), "", area));
  std::copy(area.bytes().begin(), area.bytes().end(), archive.begin() + static_cast<ptrdiff_t>(layout.first_bytes));
  return archive;
}

inline Result<Bytes> ReadWhole(const ByteSource& source) {
  Bytes bytes(static_cast<size_t>(source.size()));
  FLYWEIGHT_TRY(source.ReadAt(0, bytes));
  return bytes;
}

inline Result<Bytes> Repair(const Bytes& damaged, RepairReport& report, const ByteSource* other = nullptr,
                            ThreadPool& pool = OneThread()) {
  CopyingSource source(damaged);
  FLYWEIGHT_ASSIGN(auto whole, RepairArchive(source, {.other = other, .pool = &pool, .scratch_directory = ""}, report));
  return ReadWhole(*whole);
}

/// Overwrites a range, as far as it is there, so that every byte of it differs.
inline void Damage(Bytes& bytes, uint64_t offset, uint64_t size_bytes) {
  for (uint64_t i = offset; i < std::min<uint64_t>(offset + size_bytes, bytes.size()); ++i) {
    bytes[static_cast<size_t>(i)] ^= std::byte{0x5A};
  }
}

/// Cell `number` of all blocks, parity cells and info cells of a layout.
inline ArchiveRange CellOf(const ParityLayout& layout, uint64_t number) {
  if (number < layout.block_count) return {layout.BlockOffset(number), layout.BlockBytes(number)};
  number -= layout.block_count;
  if (number < layout.parity_cells) return {layout.ParityOffset(number), layout.block_bytes};
  return {layout.InfoOffset(number - layout.parity_cells), layout.block_bytes};
}

inline std::vector<uint64_t> ChooseCells(Random& random, uint64_t cell_count, uint64_t count) {
  std::vector<uint64_t> cells(static_cast<size_t>(cell_count));
  for (size_t i = 0; i < cells.size(); ++i) cells[i] = i;
  for (size_t i = 0; i < count; ++i) std::swap(cells[i], cells[random.Between(i, cells.size() - 1)]);
  cells.resize(static_cast<size_t>(count));
  return cells;
}

}  // namespace flyweight::test
