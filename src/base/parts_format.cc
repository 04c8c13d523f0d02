#include "base/parts_format.h"

#include <algorithm>
#include <cstring>

#include "base/checked.h"
#include "base/hash.h"

namespace flyweight {
namespace {

constexpr size_t kNumberDigits = 3;

Error Contradiction(size_t offset, const std::string& what) {
  return {ErrorCode::kCorrupt, offset, "its header contradicts itself: " + what};
}

/// All parts but the last have the same payload bytes, so that a part's number says where it belongs.
Status CheckGeometry(const PartHeader& header) {
  if (header.count == 0 || header.number == 0 || header.number > header.count) {
    return Contradiction(kPartNumberOffset,
                         "part " + std::to_string(header.number) + " of " + std::to_string(header.count));
  }
  if (header.count > kPartMaxCount) {
    return Error{ErrorCode::kLimitExceeded, kPartCountOffset,
                 std::to_string(header.count) + " parts are over the limit of " + std::to_string(kPartMaxCount)};
  }
  std::optional<uint64_t> end = CheckedAdd(header.payload_offset, header.payload_bytes);
  bool is_last = header.number == header.count;
  bool ends_right = end && (is_last ? *end == header.archive_bytes : *end < header.archive_bytes);
  if (!ends_right) return Contradiction(kPartPayloadOffsetOffset, "it lies outside the archive");
  if (header.payload_bytes == 0 && header.count > 1) return Contradiction(kPartPayloadBytesOffset, "it is empty");
  uint64_t before = header.number - 1;
  bool lies_right = is_last ? (before == 0 ? header.payload_offset == 0
                                           : header.payload_offset % before == 0 &&
                                                 header.payload_offset / before >= header.payload_bytes)
                            : CheckedMul(before, header.payload_bytes) == header.payload_offset;
  if (!lies_right) return Contradiction(kPartPayloadOffsetOffset, "its number does not fit its place");
  return Status::Ok();
}

}  // namespace

std::string PartName(const std::string& name, uint32_t number) {
  std::string digits = std::to_string(number);
  if (digits.size() < kNumberDigits) digits.insert(0, kNumberDigits - digits.size(), '0');
  return name + "." + digits;
}

std::string WithoutPartNumber(const std::string& part_name) {
  size_t dot = part_name.rfind('.');
  if (dot == std::string::npos || part_name.size() - dot - 1 < kNumberDigits) return "";
  bool is_number = part_name.find_first_not_of("0123456789", dot + 1) == std::string::npos;
  bool names_a_file = dot > 0 && part_name[dot - 1] != '/';
  return is_number && names_a_file ? part_name.substr(0, dot) : "";
}

bool HasPartMagic(ByteSpan bytes) {
  return bytes.size() >= sizeof kPartMagic && LoadLe<uint64_t>(bytes.data()) == kPartMagic;
}

std::array<std::byte, kPartHeaderBytes> WritePartHeader(const PartHeader& header) {
  std::array<std::byte, kPartHeaderBytes> bytes{};
  StoreLe(bytes.data(), kPartMagic);
  StoreLe(bytes.data() + kPartVersionOffset, kPartVersion);
  StoreLe(bytes.data() + kPartSizeOffset, static_cast<uint16_t>(kPartHeaderBytes));
  StoreLe(bytes.data() + kPartNumberOffset, header.number);
  StoreLe(bytes.data() + kPartCountOffset, header.count);
  std::ranges::copy(header.identity, bytes.begin() + kPartIdentityOffset);
  StoreLe(bytes.data() + kPartPayloadOffsetOffset, header.payload_offset);
  StoreLe(bytes.data() + kPartPayloadBytesOffset, header.payload_bytes);
  StoreLe(bytes.data() + kPartArchiveBytesOffset, header.archive_bytes);
  StoreLe(bytes.data() + kPartPayloadHashOffset, header.payload_xxh3);
  StoreLe(bytes.data() + kPartHashOffset, Xxh3(ByteSpan(bytes).first(kPartHashOffset)));
  return bytes;
}

Result<PartHeader> ParsePartHeader(ByteSpan bytes) {
  if (!HasPartMagic(bytes)) return Error{ErrorCode::kCorrupt, 0, "it is not a part of a flyweight archive"};
  if (LoadLe<uint64_t>(bytes.data() + kPartHashOffset) != Xxh3(bytes.first(kPartHashOffset))) {
    return Error{ErrorCode::kChecksumMismatch, 0, "its header is damaged"};
  }
  auto version = LoadLe<uint16_t>(bytes.data() + kPartVersionOffset);
  if (version != kPartVersion) {
    return Error{ErrorCode::kUnsupportedVersion, kPartVersionOffset,
                 "it has version " + std::to_string(version) + " of the format of parts; this program knows version 1"};
  }
  auto is_zero = [&](size_t begin, size_t end) {
    return std::ranges::all_of(bytes.subspan(begin, end - begin),
                               [](std::byte value) { return value == std::byte{0}; });
  };
  if (LoadLe<uint16_t>(bytes.data() + kPartSizeOffset) != kPartHeaderBytes ||
      !is_zero(kPartReservedOffset, kPartIdentityOffset) || !is_zero(kPartReserved2Offset, kPartHashOffset)) {
    return Error{ErrorCode::kUnsupportedFeature, kPartReservedOffset, "its header uses reserved bytes"};
  }
  PartHeader header;
  header.number = LoadLe<uint32_t>(bytes.data() + kPartNumberOffset);
  header.count = LoadLe<uint32_t>(bytes.data() + kPartCountOffset);
  std::memcpy(header.identity.data(), bytes.data() + kPartIdentityOffset, header.identity.size());
  header.payload_offset = LoadLe<uint64_t>(bytes.data() + kPartPayloadOffsetOffset);
  header.payload_bytes = LoadLe<uint64_t>(bytes.data() + kPartPayloadBytesOffset);
  header.archive_bytes = LoadLe<uint64_t>(bytes.data() + kPartArchiveBytesOffset);
  header.payload_xxh3 = LoadLe<uint64_t>(bytes.data() + kPartPayloadHashOffset);
  FLYWEIGHT_TRY(CheckGeometry(header));
  return header;
}

PartsIdentity IdentityOfParts(const std::vector<PartHeader>& headers) {
  Sha256Stream hash;
  for (const PartHeader& header : headers) {
    std::byte row[2 * sizeof(uint64_t)];
    StoreLe(row, header.payload_bytes);
    StoreLe(row + sizeof(uint64_t), header.payload_xxh3);
    hash.Update(row);
  }
  Digest digest = hash.Finish();
  PartsIdentity identity;
  std::copy_n(digest.begin(), identity.size(), identity.begin());
  return identity;
}

}  // namespace flyweight
