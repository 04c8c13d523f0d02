#include "archive/section.h"

#include <zstd.h>

#include <string>

#include "archive/wire.h"
#include "base/hash.h"

namespace flyweight {
namespace {

// Small bodies are worth the effort, one of 100,000 tensors is not worth the memory; the smallest are not worth zstd.
constexpr size_t kStoredBodyBytes = 256;
constexpr size_t kLargeBodyBytes = size_t{4} << 20;

int ZstdLevelFor(size_t body_bytes) { return body_bytes < kLargeBodyBytes ? 9 : 3; }

bool ExpandsTooMuch(uint64_t stored_bytes, uint64_t decoded_bytes) {
  return decoded_bytes > wire::kExpansionFreeBytes && decoded_bytes / wire::kExpansionLimit > stored_bytes;
}

uint64_t SectionHash(ByteSpan section) {
  Xxh3Stream hash;
  hash.Update(section.first(wire::kSectionHashOffset));
  hash.Update(section.subspan(wire::kSectionHeadBytes));
  return hash.Finish();
}

Result<std::vector<std::byte>> DecodeZstdBody(ByteSpan stored, uint64_t decoded_bytes, uint64_t offset) {
  auto declared = ZSTD_getFrameContentSize(stored.data(), stored.size());
  if (declared != decoded_bytes) {
    return Error{ErrorCode::kCorrupt, offset, "section: its zstd frame does not have the size that the section says"};
  }
  if (ZSTD_findFrameCompressedSize(stored.data(), stored.size()) != stored.size()) {
    return Error{ErrorCode::kCorrupt, offset, "section: its body is not exactly one zstd frame"};
  }
  if (ExpandsTooMuch(stored.size(), decoded_bytes)) {
    return Error{ErrorCode::kLimitExceeded, offset,
                 "section: " + std::to_string(stored.size()) + " bytes that would grow to " +
                     std::to_string(decoded_bytes) + " are refused"};
  }
  std::vector<std::byte> body(static_cast<size_t>(decoded_bytes));
  if (ZSTD_decompress(body.data(), body.size(), stored.data(), stored.size()) != body.size()) {
    return Error{ErrorCode::kCorrupt, offset, "section: its zstd frame is damaged"};
  }
  return body;
}

}  // namespace

Result<std::vector<std::byte>> WriteSection(uint32_t kind, ByteSpan body) {
  if (body.size() > wire::kSectionBodyMaxBytes) {
    return Error{ErrorCode::kLimitExceeded, 0,
                 "section: a body of " + std::to_string(body.size()) + " bytes is over 1 GiB"};
  }
  std::vector<std::byte> section(wire::kSectionHeadBytes + ZSTD_compressBound(body.size()));
  size_t stored_bytes = body.size();
  if (body.size() > kStoredBodyBytes)
    stored_bytes = ZSTD_compress(section.data() + wire::kSectionHeadBytes, section.size() - wire::kSectionHeadBytes,
                                 body.data(), body.size(), ZstdLevelFor(body.size()));
  if (ZSTD_isError(stored_bytes)) return Error{ErrorCode::kInternal, 0, "section: zstd could not compress the index"};
  uint32_t method = wire::kSectionZstd;
  if (stored_bytes >= body.size() || ExpandsTooMuch(stored_bytes, body.size())) {
    method = wire::kSectionStored;
    stored_bytes = body.size();
    std::copy(body.begin(), body.end(), section.begin() + wire::kSectionHeadBytes);
  }
  section.resize(wire::kSectionHeadBytes + stored_bytes);
  StoreLe(section.data(), kind);
  StoreLe(section.data() + wire::kSectionMethodOffset, method);
  StoreLe(section.data() + wire::kSectionStoredBytesOffset, uint64_t{stored_bytes});
  StoreLe(section.data() + wire::kSectionDecodedBytesOffset, uint64_t{body.size()});
  StoreLe(section.data() + wire::kSectionHashOffset, SectionHash(section));
  return section;
}

bool SectionHashHolds(ByteSpan section) {
  return LoadLe<uint64_t>(section.data() + wire::kSectionHashOffset) == SectionHash(section);
}

Result<std::vector<std::byte>> ReadSectionBody(uint32_t kind, ByteSpan section, uint64_t section_offset) {
  if (section.size() < wire::kSectionHeadBytes)
    return Error{ErrorCode::kTruncated, section_offset, "section: its head is cut off"};
  if (!SectionHashHolds(section))
    return Error{ErrorCode::kChecksumMismatch, section_offset, "section: its checksum does not match"};
  if (LoadLe<uint32_t>(section.data()) != kind) {
    return Error{ErrorCode::kCorrupt, section_offset, "section: it is of another kind than the one that belongs here"};
  }
  auto method = LoadLe<uint32_t>(section.data() + wire::kSectionMethodOffset);
  auto stored_bytes = LoadLe<uint64_t>(section.data() + wire::kSectionStoredBytesOffset);
  auto decoded_bytes = LoadLe<uint64_t>(section.data() + wire::kSectionDecodedBytesOffset);
  ByteSpan stored = section.subspan(wire::kSectionHeadBytes);
  if (stored_bytes != stored.size()) {
    return Error{ErrorCode::kCorrupt, section_offset + wire::kSectionStoredBytesOffset,
                 "section: it says " + std::to_string(stored_bytes) + " bytes but " + std::to_string(stored.size()) +
                     " are there"};
  }
  if (decoded_bytes > wire::kSectionBodyMaxBytes) {
    return Error{ErrorCode::kLimitExceeded, section_offset + wire::kSectionDecodedBytesOffset,
                 "section: a body of " + std::to_string(decoded_bytes) + " bytes is over 1 GiB"};
  }
  if (method == wire::kSectionZstd)
    return DecodeZstdBody(stored, decoded_bytes, section_offset + wire::kSectionHeadBytes);
  if (method != wire::kSectionStored) {
    return Error{ErrorCode::kUnsupportedFeature, section_offset + wire::kSectionMethodOffset,
                 "section: method " + std::to_string(method) + " is unknown"};
  }
  if (decoded_bytes != stored_bytes) {
    return Error{ErrorCode::kCorrupt, section_offset + wire::kSectionDecodedBytesOffset,
                 "section: a stored body must have as many bytes as the body it gives"};
  }
  return std::vector<std::byte>(stored.begin(), stored.end());
}

}  // namespace flyweight
