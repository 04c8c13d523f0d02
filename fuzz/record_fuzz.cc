#include <optional>

#include "codec/record.h"
#include "record_input.h"
#include "simd/isa.h"

// Hostile records with sound checksums: decoding stays inside the buffers it was given, and all instruction sets agree
// on what is an error and on the bytes of what is not.

namespace flyweight::fuzz {
namespace {

/// Above this a chunk is decoded on one ISA only, so that inputs stay fast.
constexpr uint64_t kSmallChunkBytes = 64 << 10;

/// Decodes twice: from a frame with nothing behind it, and from one with the padding that saves a copy.
Status Decode(const RecordHead& head, uint64_t chunk_index, ByteSpan frame, const ChunkEntry& entry,
              MutableByteSpan target) {
  static CodecScratch scratch;  // reused from input to input, as a thread reuses it from chunk to chunk
  ExactBuffer exact_frame(frame);
  Status exact = DecodeFrame(head, chunk_index, exact_frame.span(), frame.size(), entry, target, scratch);

  ExactBuffer padded_frame(frame.size() + kDecodePaddingBytes);
  std::copy(frame.begin(), frame.end(), padded_frame.span().begin());
  ExactBuffer padded_target(target.size());
  Status padded = DecodeFrame(head, chunk_index, padded_frame.span().first(frame.size()), padded_frame.span().size(),
                              entry, padded_target.span(), scratch);
  FLYWEIGHT_FUZZ_CHECK(exact.ok() == padded.ok());
  FLYWEIGHT_FUZZ_CHECK(!exact.ok() || SameBytes(target, padded_target.span()));
  return exact;
}

/// Gives the frame the checksum of what it decodes to, where it decodes at all. (After a checksum error the target
/// holds, as of now, the decoded bytes.)
void SetDecodedHash(std::vector<std::byte>& frame, ChunkEntry& entry, ByteSpan decoded) {
  entry.decoded_xxh3 = Xxh3(decoded);
  StoreLe(frame.data() + 8, entry.decoded_xxh3);
  SetFrameHash(frame);
}

void CheckFrame(const RecordHead& head, uint64_t chunk_index, std::vector<std::byte> frame, ChunkEntry entry) {
  Status scrubbed = ScrubFrame(frame, entry);
  FLYWEIGHT_FUZZ_CHECK(scrubbed.ok() || scrubbed.error().code != ErrorCode::kChecksumMismatch);
  ExactBuffer target(static_cast<size_t>(head.ChunkDecodedBytes(chunk_index)));
  Status first = Decode(head, chunk_index, frame, entry, target.span());
  if (!first.ok() && first.error().code == ErrorCode::kChecksumMismatch) {
    SetDecodedHash(frame, entry, target.span());
    first = Decode(head, chunk_index, frame, entry, target.span());
  }
  if (target.span().size() > kSmallChunkBytes) return;

  Isa active = ActiveIsa();
  for (Isa isa : SupportedIsas()) {
    if (isa == active || !ForceIsa(isa)) continue;
    ExactBuffer other_target(target.span().size());
    Status other = Decode(head, chunk_index, frame, entry, other_target.span());
    FLYWEIGHT_FUZZ_CHECK(first.ok() == other.ok());
    FLYWEIGHT_FUZZ_CHECK(!first.ok() || SameBytes(target.span(), other_target.span()));
  }
  ForceIsa(active);
}

void CheckRecord(const RecordInput& record) {
  (void)PeekRecordHeadBytes(ExactBuffer(record.head).span());
  Result<RecordHead> head = ParseRecordHead(ExactBuffer(record.head).span());
  if (!head.ok()) {
    FLYWEIGHT_FUZZ_CHECK(head.error().code != ErrorCode::kChecksumMismatch);
    return;
  }
  FLYWEIGHT_FUZZ_CHECK(head.value().chunk_bytes <= kChunkMaxBytes);
  if (head.value().chunk_count > 0) {
    FLYWEIGHT_FUZZ_CHECK(head.value().decoded_bytes > 0);
    FLYWEIGHT_FUZZ_CHECK(head.value().ChunkDecodedBytes(0) <= kChunkMaxBytes);
  }

  ExactBuffer table_bytes(WriteChunkTable(record.table));
  Result<std::vector<ChunkEntry>> table = ParseChunkTable(head.value(), table_bytes.span());
  FLYWEIGHT_FUZZ_CHECK(!table.ok() || table.value().size() == head.value().chunk_count);
  (void)RecordCheck(record.head, table_bytes.span());

  size_t count = static_cast<size_t>(std::min<uint64_t>(record.frames.size(), head.value().chunk_count));
  for (size_t i = 0; i < count; i++) CheckFrame(head.value(), i, record.frames[i], record.table[i]);
}

}  // namespace
}  // namespace flyweight::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size_bytes) {
  using namespace flyweight::fuzz;
  CheckRecord(ReadRecordInput(FuzzInput(data, size_bytes)));
  return 0;
}
