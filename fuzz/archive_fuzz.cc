#include "archive_input.h"

#include <string>

#include "archive/reader.h"

// Hostile archives with sound checksums: opening and decoding give data or an error, in bounded memory.

namespace flyweight::fuzz {
namespace {

constexpr size_t kMaxExtents = 64;
constexpr uint64_t kWindowBytes = 8192;

void DecodeWindow(const ArchiveReader& reader, const IndexExtent& extent, uint64_t begin, CodecScratch& scratch) {
  ExactBuffer target(static_cast<size_t>(std::min(kWindowBytes, extent.decoded_bytes - begin)));
  (void)reader.DecodeRange(extent, begin, target.span(), scratch);
}

void DecodeChunks(const ArchiveReader& reader, const IndexExtent& extent, CodecScratch& scratch) {
  Result<OpenRecord> record = reader.OpenRecordOf(extent);
  if (!record.ok()) return;
  const RecordHead& head = record.value().head;
  FLYWEIGHT_FUZZ_CHECK(head.decoded_bytes == extent.record_decoded_bytes());
  FLYWEIGHT_FUZZ_CHECK(record.value().frame_offsets.size() == head.chunk_count);
  for (uint64_t i = 0; i < std::min<uint64_t>(head.chunk_count, 2); i++) {
    ExactBuffer target(static_cast<size_t>(head.ChunkDecodedBytes(i)));
    (void)reader.DecodeChunk(record.value(), i, target.span(), scratch);
  }
}

void DecodeExtents(const ArchiveReader& reader, const IndexFile& file, CodecScratch& scratch) {
  uint64_t sum = 0;
  for (const IndexExtent& extent : file.extents) {
    FLYWEIGHT_FUZZ_CHECK(extent.decoded_bytes <= file.file_bytes - sum);
    sum += extent.decoded_bytes;
  }
  FLYWEIGHT_FUZZ_CHECK(sum == file.file_bytes);
  for (size_t i = 0; i < std::min(file.extents.size(), kMaxExtents); i++) {
    const IndexExtent& extent = file.extents[i];
    const IndexExtent& holder = reader.Resolve(extent);
    FLYWEIGHT_FUZZ_CHECK(holder.place != PlaceKind::kSame && holder.place != PlaceKind::kExternal);
    FLYWEIGHT_FUZZ_CHECK(holder.decoded_bytes == extent.decoded_bytes);
    if (extent.has_record()) DecodeChunks(reader, extent, scratch);
    for (uint64_t begin : {uint64_t{0}, extent.decoded_bytes / 3, extent.decoded_bytes}) {
      DecodeWindow(reader, extent, begin, scratch);
    }
    std::byte one{};
    FLYWEIGHT_FUZZ_CHECK(!reader.DecodeRange(extent, extent.decoded_bytes, MutableByteSpan(&one, 1), scratch).ok());
    FLYWEIGHT_FUZZ_CHECK(!reader.DecodeRange(extent, ~uint64_t{0}, MutableByteSpan(&one, 1), scratch).ok());
  }
}

/// What the checksums of an image are: as the fuzzer made them, right in header, footer and index, or right everywhere.
enum class Sealed { kNothing, kIndex, kEverything };

void CheckArchive(ByteSpan image, Sealed sealed) {
  ExactBuffer exact(image);
  MemorySource source(exact.span());
  Result<ArchiveReader> reader = ArchiveReader::Open(source);
  if (!reader.ok()) {
    FLYWEIGHT_FUZZ_CHECK(!reader.error().message.empty());
    FLYWEIGHT_FUZZ_CHECK(sealed != Sealed::kEverything);
    return;
  }
  CodecScratch scratch;
  for (const IndexFile& file : reader.value().index().files) DecodeExtents(reader.value(), file, scratch);
  if (sealed != Sealed::kIndex) return;
  const std::byte* footer = image.data() + image.size() - wire::kFooterBytes;
  uint64_t records_end = LoadLe<uint64_t>(footer + wire::kFooterFirstIndexOffset);
  CheckArchive(SealRecords(image, reader.value().index(), records_end), Sealed::kEverything);
}

std::vector<std::byte> ReadArchiveInput(FuzzInput input) {
  if (input.Read<uint8_t>() % 2 == static_cast<uint8_t>(ArchiveInputKind::kParts)) {
    ByteSpan body = input.Take(input.Read<uint32_t>());
    return AssembleArchive(body, input.Rest());
  }
  ByteSpan rest = input.Rest();
  std::vector<std::byte> image(rest.begin(), rest.end());
  SealImage(image);
  return image;
}

}  // namespace
}  // namespace flyweight::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size_bytes) {
  using namespace flyweight::fuzz;
  CheckArchive(std::as_bytes(std::span(data, size_bytes)), Sealed::kNothing);
  CheckArchive(ReadArchiveInput(FuzzInput(data, size_bytes)), Sealed::kIndex);
  return 0;
}
