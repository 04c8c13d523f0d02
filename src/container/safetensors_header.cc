#include "container/safetensors_header.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>

#include "base/hash.h"

namespace flyweight {
namespace {

constexpr size_t kMaxNesting = 32;

/// Notices a key that comes twice in one object. It keeps 8 bytes a key, not the key: a collision would make a file
/// raw, which costs size and no data.
class DuplicateKeyGuard {
 public:
  void Open() { open_objects_.emplace_back(); }
  void Key(const std::string& key) { open_objects_.back().push_back(Xxh3(AsBytes(key))); }

  /// Ends the innermost object; false where one of its keys came twice.
  bool Close() {
    std::vector<uint64_t> hashes = std::move(open_objects_.back());
    open_objects_.pop_back();
    std::sort(hashes.begin(), hashes.end());
    return std::adjacent_find(hashes.begin(), hashes.end()) == hashes.end();
  }

 private:
  std::vector<std::vector<uint64_t>> open_objects_;
};

/// Builds the entries while the JSON streams by, without a document in memory. Every callback returns false to end the
/// parse.
class HeaderSax final : public nlohmann::json_sax<nlohmann::json> {
 public:
  std::vector<SafetensorsEntry> Release() { return std::move(entries_); }

  bool start_object(std::size_t) override {
    if (!Enter()) return false;
    keys_.Open();
    switch (place_) {
      case Place::kStart:
        place_ = Place::kRoot;
        return true;
      case Place::kEntry:
        place_ = Place::kFields;
        return true;
      default:
        return InSkippedValue();
    }
  }

  bool key(string_t& key) override {
    keys_.Key(key);
    if (place_ == Place::kRoot) {
      OpenEntry(key);
    } else if (place_ == Place::kFields) {
      OpenField(key);
    }
    return true;
  }

  bool end_object() override {
    if (!keys_.Close()) return false;
    const bool ends_entry = place_ == Place::kFields;
    Leave();
    if (!ends_entry) return true;
    place_ = Place::kRoot;
    return EntryIsComplete();
  }

  bool start_array(std::size_t) override {
    if (!Enter()) return false;
    switch (place_) {
      case Place::kShape:
        place_ = Place::kDimensions;
        return true;
      case Place::kDataOffsets:
        place_ = Place::kOffsets;
        return true;
      default:
        return InSkippedValue();
    }
  }

  bool end_array() override {
    Leave();
    if (place_ == Place::kDimensions || place_ == Place::kOffsets) place_ = Place::kFields;
    return true;
  }

  bool string(string_t& value) override {
    if (place_ != Place::kDType) return Scalar();
    entries_.back().dtype = std::move(value);
    place_ = Place::kFields;
    return true;
  }

  bool number_unsigned(number_unsigned_t value) override {
    switch (place_) {
      case Place::kDimensions:
        AddDimension(entries_.back(), value);
        return true;
      case Place::kOffsets:
        return AddOffset(entries_.back(), value);
      default:
        return Scalar();
    }
  }

  bool null() override { return Scalar(); }
  bool boolean(bool) override { return Scalar(); }
  bool number_integer(number_integer_t) override { return Scalar(); }
  bool number_float(number_float_t, const string_t&) override { return Scalar(); }
  bool binary(binary_t&) override { return false; }
  bool parse_error(std::size_t, const std::string&, const nlohmann::detail::exception&) override { return false; }

 private:
  /// Where the next token stands.
  enum class Place {
    kStart,        ///< before the outermost object
    kRoot,         ///< among the keys of the outermost object
    kEntry,        ///< the value of a tensor's name
    kFields,       ///< among the keys of a tensor
    kDType,        ///< the value of "dtype"
    kShape,        ///< the value of "shape"
    kDimensions,   ///< inside that array
    kDataOffsets,  ///< the value of "data_offsets"
    kOffsets,      ///< inside that array
    kSkipped,      ///< inside a value that does not matter
  };

  bool Enter() { return ++depth_ <= kMaxNesting; }

  void Leave() {
    depth_--;
    if (place_ == Place::kSkipped && depth_ == skipped_depth_) place_ = after_skipped_;
  }

  bool InSkippedValue() const { return place_ == Place::kSkipped; }

  /// A scalar that no field asked for: fine only inside or as a value that does not matter.
  bool Scalar() {
    if (place_ != Place::kSkipped) return false;
    if (depth_ == skipped_depth_) place_ = after_skipped_;
    return true;
  }

  void SkipValue() {
    skipped_depth_ = depth_;
    after_skipped_ = place_;
    place_ = Place::kSkipped;
  }

  void OpenEntry(string_t& name) {
    if (name == "__metadata__") return SkipValue();
    entries_.emplace_back();
    entries_.back().name = std::move(name);
    offset_count_ = 0;
    has_dtype_ = has_shape_ = false;
    place_ = Place::kEntry;
  }

  void OpenField(const string_t& field) {
    if (field == "dtype") {
      has_dtype_ = true;
      place_ = Place::kDType;
    } else if (field == "shape") {
      has_shape_ = true;
      place_ = Place::kShape;
    } else if (field == "data_offsets") {
      place_ = Place::kDataOffsets;
    } else {
      SkipValue();
    }
  }

  static void AddDimension(SafetensorsEntry& entry, uint64_t value) {
    if (entry.shape.size() < kSafetensorsMaxRank) entry.shape.push_back(value);
    entry.rank++;
  }

  bool AddOffset(SafetensorsEntry& entry, uint64_t value) {
    if (offset_count_ == 2) return false;
    (offset_count_ == 0 ? entry.begin_bytes : entry.end_bytes) = value;
    offset_count_++;
    return true;
  }

  bool EntryIsComplete() const {
    const SafetensorsEntry& entry = entries_.back();
    return has_dtype_ && has_shape_ && offset_count_ == 2 && entry.begin_bytes <= entry.end_bytes;
  }

  std::vector<SafetensorsEntry> entries_;
  DuplicateKeyGuard keys_;
  Place place_ = Place::kStart;
  Place after_skipped_ = Place::kStart;
  size_t depth_ = 0;
  size_t skipped_depth_ = 0;
  size_t offset_count_ = 0;
  bool has_dtype_ = false;
  bool has_shape_ = false;
};

/// The JSON library takes a zero byte for the end and passes over a byte order mark; neither belongs in a header.
bool LooksLikeAnObject(ByteSpan json) {
  std::string_view text = AsText(json);
  size_t first = text.find_first_not_of(" \t\r\n");
  return first != std::string_view::npos && text[first] == '{' && text.find('\0') == std::string_view::npos;
}

}  // namespace

std::optional<std::vector<SafetensorsEntry>> ParseSafetensorsHeader(ByteSpan json) {
  if (!LooksLikeAnObject(json)) return std::nullopt;
  std::string_view text = AsText(json);
  HeaderSax sax;
  try {
    if (!nlohmann::json::sax_parse(text.begin(), text.end(), &sax)) return std::nullopt;
  } catch (const nlohmann::json::exception&) {
    return std::nullopt;
  }
  return sax.Release();
}

}  // namespace flyweight
