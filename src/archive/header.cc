#include "archive/header.h"

#include <algorithm>
#include <string>

#include "base/checked.h"
#include "base/hash.h"

namespace flyweight {
namespace {

bool AllZero(ByteSpan bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](std::byte value) { return value == std::byte{0}; });
}

Status CheckIndexPlaces(const ArchiveFooter& footer, uint64_t footer_offset) {
  if (footer.index_section_bytes < wire::kSectionHeadBytes) {
    return Error{ErrorCode::kCorrupt, footer_offset + wire::kFooterIndexBytesOffset,
                 "footer: an index section of " + std::to_string(footer.index_section_bytes) + " bytes cannot be"};
  }
  if (footer.index_section_bytes > wire::kSectionHeadBytes + wire::kSectionBodyMaxBytes) {
    return Error{
        ErrorCode::kLimitExceeded, footer_offset + wire::kFooterIndexBytesOffset,
        "footer: the index is said to have " + std::to_string(footer.index_section_bytes) + " bytes, more than 1 GiB"};
  }
  auto first_end = CheckedAdd(footer.first_index_offset, footer.index_section_bytes);
  auto second_end = CheckedAdd(footer.second_index_offset, footer.index_section_bytes);
  if (footer.first_index_offset < wire::kHeaderBytes || !first_end || *first_end > footer.second_index_offset ||
      !second_end || *second_end > footer_offset) {
    return Error{ErrorCode::kCorrupt, footer_offset + wire::kFooterFirstIndexOffset,
                 "footer: the index sections do not lie between header and footer, one behind the other"};
  }
  return Status::Ok();
}

}  // namespace

HeaderBytes WriteHeader(const ArchiveHeader& header) {
  HeaderBytes bytes{};
  StoreLe(bytes.data(), wire::kHeaderMagic);
  StoreLe(bytes.data() + wire::kHeaderVersionOffset, wire::kFormatVersion);
  StoreLe(bytes.data() + wire::kHeaderSizeOffset, uint16_t{wire::kHeaderBytes});
  StoreLe(bytes.data() + wire::kHeaderRequiredFeaturesOffset, header.required_features);
  StoreLe(bytes.data() + wire::kHeaderOptionalFeaturesOffset, header.optional_features);
  StoreLe(bytes.data() + wire::kHeaderHashOffset, Xxh3(ByteSpan(bytes).first(wire::kHeaderHashOffset)));
  return bytes;
}

FooterBytes WriteFooter(const ArchiveFooter& footer) {
  FooterBytes bytes{};
  HeaderBytes header = WriteHeader(footer.header);
  std::copy(header.begin(), header.end(), bytes.begin());
  StoreLe(bytes.data() + wire::kFooterFirstIndexOffset, footer.first_index_offset);
  StoreLe(bytes.data() + wire::kFooterSecondIndexOffset, footer.second_index_offset);
  StoreLe(bytes.data() + wire::kFooterIndexBytesOffset, footer.index_section_bytes);
  StoreLe(bytes.data() + wire::kFooterArchiveBytesOffset, footer.archive_bytes);
  StoreLe(bytes.data() + wire::kFooterHashOffset, Xxh3(ByteSpan(bytes).first(wire::kFooterHashOffset)));
  StoreLe(bytes.data() + wire::kFooterMagicOffset, wire::kEndMagic);
  return bytes;
}

bool HeaderHashHolds(ByteSpan bytes) {
  return LoadLe<uint64_t>(bytes.data() + wire::kHeaderHashOffset) == Xxh3(bytes.first(wire::kHeaderHashOffset));
}

Result<ArchiveHeader> ParseHeader(ByteSpan bytes) {
  if (!HeaderHashHolds(bytes)) return Error{ErrorCode::kChecksumMismatch, 0, "header: its checksum does not match"};
  if (LoadLe<uint64_t>(bytes.data()) != wire::kHeaderMagic) {
    return Error{ErrorCode::kCorrupt, 0, "header: it does not start as a flyweight archive does"};
  }
  auto version = LoadLe<uint16_t>(bytes.data() + wire::kHeaderVersionOffset);
  if (version == 0)
    return Error{ErrorCode::kCorrupt, wire::kHeaderVersionOffset, "header: format version 0 does not exist"};
  if (version > wire::kFormatVersion) {
    return Error{ErrorCode::kUnsupportedVersion, wire::kHeaderVersionOffset,
                 "the archive has format version " + std::to_string(version) + ", this program reads version " +
                     std::to_string(wire::kFormatVersion) + "; a newer flyweight is needed"};
  }
  if (LoadLe<uint16_t>(bytes.data() + wire::kHeaderSizeOffset) != wire::kHeaderBytes) {
    return Error{ErrorCode::kCorrupt, wire::kHeaderSizeOffset, "header: its size must be 64 bytes"};
  }
  if (LoadLe<uint32_t>(bytes.data() + wire::kHeaderReservedOffset) != 0 ||
      !AllZero(bytes.subspan(wire::kHeaderReserved2Offset, wire::kHeaderHashOffset - wire::kHeaderReserved2Offset))) {
    return Error{ErrorCode::kCorrupt, wire::kHeaderReservedOffset, "header: a reserved byte is not 0"};
  }
  ArchiveHeader header;
  header.required_features = LoadLe<uint64_t>(bytes.data() + wire::kHeaderRequiredFeaturesOffset);
  header.optional_features = LoadLe<uint64_t>(bytes.data() + wire::kHeaderOptionalFeaturesOffset);
  if ((header.required_features & ~wire::kKnownRequiredFeatures) != 0) {
    return Error{ErrorCode::kUnsupportedFeature, wire::kHeaderRequiredFeaturesOffset,
                 "the archive needs features this program does not have (bits " +
                     std::to_string(header.required_features) + "); a newer flyweight is needed"};
  }
  return header;
}

Result<ArchiveFooter> ParseFooter(ByteSpan bytes, uint64_t archive_bytes) {
  uint64_t footer_offset = archive_bytes - wire::kFooterBytes;
  if (LoadLe<uint64_t>(bytes.data() + wire::kFooterMagicOffset) != wire::kEndMagic) {
    return Error{ErrorCode::kTruncated, footer_offset,
                 "the file does not end as a flyweight archive does: it is cut off, or something was appended"};
  }
  if (LoadLe<uint64_t>(bytes.data() + wire::kFooterHashOffset) != Xxh3(bytes.first(wire::kFooterHashOffset))) {
    return Error{ErrorCode::kChecksumMismatch, footer_offset, "footer: its checksum does not match"};
  }
  ArchiveFooter footer;
  auto header = ParseHeader(bytes.first(wire::kHeaderBytes));
  if (!header.ok()) return WithContext(header.take_error(), "footer");
  footer.header = header.value();
  if (!AllZero(bytes.subspan(wire::kFooterReservedOffset, wire::kFooterHashOffset - wire::kFooterReservedOffset))) {
    return Error{ErrorCode::kCorrupt, footer_offset + wire::kFooterReservedOffset, "footer: a reserved byte is not 0"};
  }
  footer.first_index_offset = LoadLe<uint64_t>(bytes.data() + wire::kFooterFirstIndexOffset);
  footer.second_index_offset = LoadLe<uint64_t>(bytes.data() + wire::kFooterSecondIndexOffset);
  footer.index_section_bytes = LoadLe<uint64_t>(bytes.data() + wire::kFooterIndexBytesOffset);
  footer.archive_bytes = LoadLe<uint64_t>(bytes.data() + wire::kFooterArchiveBytesOffset);
  if (footer.archive_bytes != archive_bytes) {
    bool missing = footer.archive_bytes > archive_bytes;
    return Error{missing ? ErrorCode::kTruncated : ErrorCode::kCorrupt, footer_offset + wire::kFooterArchiveBytesOffset,
                 "footer: the archive was written with " + std::to_string(footer.archive_bytes) +
                     " bytes but the file has " + std::to_string(archive_bytes)};
  }
  FLYWEIGHT_TRY(CheckIndexPlaces(footer, footer_offset));
  return footer;
}

}  // namespace flyweight
