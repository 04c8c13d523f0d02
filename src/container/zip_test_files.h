#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/bytes.h"

namespace flyweight {

/// How a member of a zip file differs from a plain stored one.
struct ZipOptions {
  uint16_t flags = 0;
  uint16_t method = 0;
  bool zip64 = false;           ///< sizes and offset in zip64 extra fields
  bool sizes_follow = false;    ///< in a data descriptor; the local header has none
  std::string extra;            ///< more extra fields of the local header
  std::string name_in_local;    ///< where it is another
  int64_t size_difference = 0;  ///< of the central directory to the truth
  int64_t offset_difference = 0;
};

/// Builds zip files byte by byte, sound ones and others. Checksums are zero: nobody reads them.
class ZipWriter {
 public:
  ZipWriter& Add(std::string_view name, std::string_view content, const ZipOptions& options = {}) {
    const uint64_t offset = bytes_.size();
    const uint16_t flags = static_cast<uint16_t>(options.flags | (options.sizes_follow ? 8 : 0));
    const uint64_t local_bytes = options.sizes_follow ? 0 : content.size();
    const std::string_view local_name = options.name_in_local.empty() ? name : options.name_in_local;
    std::string extra = options.zip64 ? Zip64(content.size(), content.size(), nullptr) : std::string();
    extra += options.extra;
    Put<uint32_t>(bytes_, 0x04034B50);
    PutCommon(bytes_, flags, options.method, options.zip64 ? 0xFFFFFFFF : local_bytes);
    Put(bytes_, static_cast<uint16_t>(local_name.size()));
    Put(bytes_, static_cast<uint16_t>(extra.size()));
    bytes_.append(local_name).append(extra).append(content);
    if (options.sizes_follow) bytes_.append("PK\x07\x08", 4).append(12, '\0');
    AddCentral(name, flags, content.size() + static_cast<uint64_t>(options.size_difference),
               offset + static_cast<uint64_t>(options.offset_difference), options);
    return *this;
  }

  std::string File(std::string_view comment = {}, bool zip64 = false) const {
    std::string file = bytes_ + central_;
    if (zip64) AppendEnd64(file);
    Put<uint32_t>(file, 0x06054B50);
    Put<uint32_t>(file, 0);
    Put<uint16_t>(file, zip64 ? uint16_t{0xFFFF} : static_cast<uint16_t>(count_));
    Put<uint16_t>(file, zip64 ? uint16_t{0xFFFF} : static_cast<uint16_t>(count_));
    Put<uint32_t>(file, zip64 ? 0xFFFFFFFF : static_cast<uint32_t>(central_.size()));
    Put<uint32_t>(file, zip64 ? 0xFFFFFFFF : static_cast<uint32_t>(bytes_.size()));
    Put(file, static_cast<uint16_t>(comment.size()));
    return file.append(comment);
  }

  /// Where the central directory starts.
  size_t central_offset() const { return bytes_.size(); }

 private:
  template <typename T>
  static void Put(std::string& target, T value) {
    char bytes[sizeof(T)];
    StoreLe(bytes, value);
    target.append(bytes, sizeof(T));
  }

  static std::string Zip64(uint64_t plain_bytes, uint64_t stored_bytes, const uint64_t* offset) {
    std::string field;
    Put<uint16_t>(field, 1);
    Put<uint16_t>(field, offset == nullptr ? 16 : 24);
    Put(field, plain_bytes);
    Put(field, stored_bytes);
    if (offset != nullptr) Put(field, *offset);
    return field;
  }

  /// Flags, method, time, checksum, sizes.
  static void PutCommon(std::string& target, uint16_t flags, uint16_t method, uint64_t size_bytes) {
    Put<uint16_t>(target, 20);
    Put(target, flags);
    Put(target, method);
    Put<uint32_t>(target, 0);
    Put<uint32_t>(target, 0);
    Put(target, static_cast<uint32_t>(size_bytes));
    Put(target, static_cast<uint32_t>(size_bytes));
  }

  void AddCentral(std::string_view name, uint16_t flags, uint64_t size_bytes, uint64_t offset,
                  const ZipOptions& options) {
    std::string extra = options.zip64 ? Zip64(size_bytes, size_bytes, &offset) : std::string();
    Put<uint32_t>(central_, 0x02014B50);
    Put<uint16_t>(central_, 20);
    PutCommon(central_, flags, options.method, options.zip64 ? 0xFFFFFFFF : size_bytes);
    Put(central_, static_cast<uint16_t>(name.size()));
    Put(central_, static_cast<uint16_t>(extra.size()));
    Put<uint16_t>(central_, 0);
    Put<uint32_t>(central_, 0);
    Put<uint32_t>(central_, 0);
    Put(central_, options.zip64 ? 0xFFFFFFFF : static_cast<uint32_t>(offset));
    central_.append(name).append(extra);
    count_++;
  }

  void AppendEnd64(std::string& file) const {
    const uint64_t record_offset = file.size();
    Put<uint32_t>(file, 0x06064B50);
    Put<uint64_t>(file, 44);
    Put<uint32_t>(file, 0x002D002D);
    Put<uint64_t>(file, 0);
    Put<uint64_t>(file, count_);
    Put<uint64_t>(file, count_);
    Put<uint64_t>(file, central_.size());
    Put<uint64_t>(file, bytes_.size());
    Put<uint32_t>(file, 0x07064B50);
    Put<uint32_t>(file, 0);
    Put(file, record_offset);
    Put<uint32_t>(file, 1);
  }

  std::string bytes_;
  std::string central_;
  uint64_t count_ = 0;
};

}  // namespace flyweight
