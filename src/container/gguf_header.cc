#include "container/gguf_header.h"

#include <algorithm>
#include <bit>

#include "base/checked.h"
#include "base/hash.h"
#include "container/window_cursor.h"

namespace flyweight {
namespace {

constexpr std::string_view kMagic = "GGUF";
constexpr std::string_view kAlignmentKey = "general.alignment";
constexpr uint32_t kDefaultAlignment = 32;
constexpr uint32_t kMinAlignment = 8;
constexpr uint64_t kVersionOffset = 4;
constexpr uint64_t kCountsOffset = 8;

enum ValueType : uint32_t { kUint32 = 4, kString = 8, kArray = 9, kValueTypeCount = 13 };

// Bytes of a value of each type; 0 where the value says itself how long it is.
constexpr uint64_t kValueBytes[kValueTypeCount] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};

bool IsVersion(uint32_t number) { return number >= 1 && number <= 3; }

class HeaderReader {
 public:
  HeaderReader(const ByteSource& source, uint32_t version, bool big_endian)
      : cursor_(source, kCountsOffset, source.size()), version_(version) {
    header_.big_endian = big_endian;
    header_.version = version;
  }

  /// False where this is no GGUF file or reading failed.
  bool Read() {
    uint64_t tensor_count = 0;
    uint64_t value_count = 0;
    if (!ReadLength(tensor_count) || !ReadLength(value_count)) return false;
    if (!ReadMetadata(value_count) || !ReadTable(tensor_count)) return false;
    return NamesDiffer() && PlaceData();
  }

  const Status& status() const { return cursor_.status(); }
  GgufHeader Release() { return std::move(header_); }

 private:
  template <typename T>
  bool ReadNumber(T& value) {
    return cursor_.Read(value, header_.big_endian);
  }

  /// A count, a length or a dimension: 32 bits in version 1.
  bool ReadLength(uint64_t& length) {
    if (version_ > 1) return ReadNumber(length);
    uint32_t narrow = 0;
    if (!ReadNumber(narrow)) return false;
    length = narrow;
    return true;
  }

  uint64_t LengthBytes() const { return version_ > 1 ? 8 : 4; }

  bool SkipString() {
    uint64_t length_bytes = 0;
    return ReadLength(length_bytes) && cursor_.Skip(length_bytes);
  }

  bool ReadMetadata(uint64_t value_count) {
    uint64_t end_limit = cursor_.offset() + std::min(cursor_.remaining(), kGgufMaxMetadataBytes);
    for (uint64_t i = 0; i < value_count; i++) {
      if (!ReadValue() || cursor_.offset() > end_limit) return false;
    }
    return true;
  }

  bool ReadValue() {
    uint64_t key_bytes = 0;
    ByteSpan key;
    if (!ReadLength(key_bytes)) return false;
    bool may_be_alignment = key_bytes == kAlignmentKey.size();
    if (!may_be_alignment && !cursor_.Skip(key_bytes)) return false;
    if (may_be_alignment && !cursor_.Take(key_bytes, key)) return false;
    bool is_alignment = may_be_alignment && AsText(key) == kAlignmentKey;
    uint32_t type = 0;
    if (!ReadNumber(type)) return false;
    return is_alignment ? ReadAlignment(type) : SkipValue(type);
  }

  bool ReadAlignment(uint32_t type) {
    if (has_alignment_ || type != kUint32 || !ReadNumber(alignment_)) return false;
    has_alignment_ = true;
    return std::has_single_bit(alignment_) && alignment_ >= kMinAlignment;
  }

  bool SkipValue(uint32_t type) {
    if (type >= kValueTypeCount) return false;
    if (type == kString) return SkipString();
    return type == kArray ? SkipArrays() : cursor_.Skip(kValueBytes[type]);
  }

  /// Passes over an array, whose elements may be arrays: a stack of how many elements are to come takes the place of
  /// recursion.
  bool SkipArrays() {
    uint64_t arrays_left[kGgufMaxNesting];
    size_t depth = 0;
    arrays_left[depth++] = 1;
    while (depth > 0) {
      if (arrays_left[depth - 1] == 0) {
        depth--;
        continue;
      }
      arrays_left[depth - 1]--;
      uint32_t type = 0;
      uint64_t count = 0;
      if (!ReadNumber(type) || !ReadLength(count)) return false;
      if (type != kArray) {
        if (!SkipElements(type, count)) return false;
      } else if (depth == kGgufMaxNesting || count > cursor_.remaining() / (sizeof(type) + LengthBytes())) {
        return false;
      } else {
        arrays_left[depth++] = count;
      }
    }
    return true;
  }

  bool SkipElements(uint32_t type, uint64_t count) {
    if (type >= kValueTypeCount) return false;
    if (type != kString) {
      std::optional<uint64_t> size_bytes = CheckedMul(count, kValueBytes[type]);
      return size_bytes.has_value() && cursor_.Skip(*size_bytes);
    }
    if (count > cursor_.remaining() / LengthBytes()) return false;
    for (uint64_t i = 0; i < count; i++) {
      if (!SkipString()) return false;
    }
    return true;
  }

  bool ReadTable(uint64_t tensor_count) {
    uint64_t table_bytes = std::min(cursor_.remaining(), kGgufMaxTableBytes);
    uint64_t end_limit = cursor_.offset() + table_bytes;
    uint64_t least_bytes = LengthBytes() + 4 + 4 + 8;  // length of the name, rank, type and offset
    if (tensor_count > table_bytes / least_bytes) return false;
    header_.table_offset = cursor_.offset();
    header_.tensors.reserve(static_cast<size_t>(tensor_count));
    for (uint64_t i = 0; i < tensor_count; i++) {
      if (!ReadTensor(header_.tensors.emplace_back()) || cursor_.offset() > end_limit) return false;
    }
    return true;
  }

  bool ReadTensor(GgufTensor& tensor) {
    uint32_t rank = 0;
    if (!ReadName(tensor) || !ReadNumber(rank) || rank > kGgufMaxRank) return false;
    tensor.shape.resize(rank);
    for (size_t i = rank; i > 0; i--) {
      if (!ReadLength(tensor.shape[i - 1])) return false;
    }
    return ReadNumber(tensor.ggml_type) && ReadNumber(tensor.offset_bytes);
  }

  bool ReadName(GgufTensor& tensor) {
    uint64_t name_bytes = 0;
    if (!ReadLength(name_bytes)) return false;
    tensor.name_is_too_long = name_bytes > kGgufMaxNameBytes;
    if (tensor.name_is_too_long) return cursor_.Skip(name_bytes);
    ByteSpan name;
    if (!cursor_.Take(name_bytes, name)) return false;
    tensor.name = AsText(name);
    return true;
  }

  /// By hashes, which take 8 bytes a name: a collision would make a file raw, which costs size and no data.
  bool NamesDiffer() const {
    std::vector<uint64_t> hashes;
    hashes.reserve(header_.tensors.size());
    for (const GgufTensor& tensor : header_.tensors) {
      if (!tensor.name_is_too_long) hashes.push_back(Xxh3(AsBytes(tensor.name)));
    }
    std::sort(hashes.begin(), hashes.end());
    return std::adjacent_find(hashes.begin(), hashes.end()) == hashes.end();
  }

  bool PlaceData() {
    header_.alignment = alignment_;
    header_.table_end_offset = cursor_.offset();
    std::optional<uint64_t> data_offset = CheckedMul(CeilDiv(cursor_.offset(), alignment_), alignment_);
    if (!data_offset.has_value()) return false;
    header_.data_offset = *data_offset;
    return true;
  }

  WindowCursor cursor_;
  uint32_t version_;
  uint32_t alignment_ = kDefaultAlignment;
  bool has_alignment_ = false;
  GgufHeader header_;
};

/// The version as little-endian bytes give it; a big-endian file's is then over 2^24.
uint32_t VersionOf(ByteSpan first_bytes) { return LoadLe<uint32_t>(first_bytes.data() + kVersionOffset); }

}  // namespace

bool LooksLikeGguf(ByteSpan first_bytes) {
  if (first_bytes.size() < kCountsOffset || AsText(first_bytes.first(kMagic.size())) != kMagic) return false;
  uint32_t version = VersionOf(first_bytes);
  return IsVersion(version) || IsVersion(__builtin_bswap32(version));
}

Result<std::optional<GgufHeader>> ReadGgufHeader(const ByteSource& source) {
  std::byte start[kCountsOffset];
  FLYWEIGHT_TRY(source.ReadAt(0, start));
  uint32_t version = VersionOf(start);
  bool big_endian = !IsVersion(version);
  HeaderReader reader(source, big_endian ? __builtin_bswap32(version) : version, big_endian);
  if (reader.Read()) return std::optional<GgufHeader>(reader.Release());
  FLYWEIGHT_TRY(reader.status());
  return std::optional<GgufHeader>();
}

}  // namespace flyweight
