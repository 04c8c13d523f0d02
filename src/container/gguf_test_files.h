#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace flyweight {

/// Writes GGUF files, sound ones and others.
class GgufWriter {
 public:
  explicit GgufWriter(uint32_t version = 3, bool big_endian = false) : version_(version), big_endian_(big_endian) {}

  std::string U32(uint64_t value) const { return Number(value, 4); }
  std::string U64(uint64_t value) const { return Number(value, 8); }
  /// A count or a length.
  std::string Length(uint64_t value) const { return Number(value, version_ > 1 ? 8 : 4); }
  std::string Text(std::string_view text) const { return Length(text.size()) + std::string(text); }
  std::string Array(uint32_t type, uint64_t count, const std::string& elements) const {
    return U32(type) + Length(count) + elements;
  }

  GgufWriter& Value(std::string_view key, uint32_t type, const std::string& value) {
    values_ += Text(key) + U32(type) + value;
    value_count++;
    return *this;
  }
  GgufWriter& Alignment(uint32_t alignment) {
    alignment_ = alignment;
    return Value("general.alignment", 4, U32(alignment));
  }
  /// `dims` as in the file: fastest first.
  GgufWriter& Tensor(std::string_view name, const std::vector<uint64_t>& dims, uint32_t type, uint64_t offset) {
    table_ += Text(name) + U32(dims.size());
    for (uint64_t dim : dims) table_ += Length(dim);
    table_ += U32(type) + U64(offset);
    tensor_count++;
    return *this;
  }

  std::string Header() const {
    return "GGUF" + U32(version_) + Length(tensor_count) + Length(value_count) + values_ + table_;
  }
  /// Bytes in front of the tensors' data.
  size_t HeadBytes() const {
    uint32_t alignment = std::max<uint32_t>(alignment_, 1);
    return (Header().size() + alignment - 1) / alignment * alignment;
  }
  std::string File(size_t data_bytes) const {
    std::string file = Header();
    file.resize(HeadBytes());
    for (size_t i = 0; i < data_bytes; i++) file.push_back(static_cast<char>(i));
    return file;
  }

  uint64_t tensor_count = 0;
  uint64_t value_count = 0;

 private:
  std::string Number(uint64_t value, size_t size_bytes) const {
    std::string bytes(size_bytes, '\0');
    for (size_t i = 0; i < size_bytes; i++) {
      bytes[big_endian_ ? size_bytes - 1 - i : i] = static_cast<char>(value >> (8 * i));
    }
    return bytes;
  }

  uint32_t version_;
  bool big_endian_;
  uint32_t alignment_ = 32;
  std::string values_;
  std::string table_;
};

/// A file with values and tensors of many kinds, and padding.
inline std::string ManySidedGguf(uint32_t version = 3, bool big_endian = false) {
  GgufWriter w(version, big_endian);
  w.Value("general.architecture", 8, w.Text("llama")).Alignment(16).Value("flag", 7, std::string(1, '\1'));
  w.Value("tokens", 9, w.Array(8, 3, w.Text("a") + w.Text("") + w.Text("long token")));
  w.Value("nested", 9, w.Array(9, 2, w.Array(4, 1, w.U32(7)) + w.Array(8, 1, w.Text("x"))));
  w.Value("number", 12, w.U64(5));
  w.Tensor("norm", {6}, 0, 0).Tensor("q4", {32, 2}, 2, 48).Tensor("half", {3, 2}, 30, 32).Tensor("i8", {5}, 24, 96);
  return w.File(103);
}

}  // namespace flyweight
