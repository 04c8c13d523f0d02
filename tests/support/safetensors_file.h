#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace flyweight::test {

/// One tensor of a file to build; `dtype` is the name as it shall stand in the header, known or not.
struct SafetensorsEntry {
  std::string name;
  std::string dtype;
  std::vector<uint64_t> shape;
  std::vector<std::byte> bytes;
};

/// A JSON string literal of any bytes that are UTF-8.
inline std::string JsonQuote(std::string_view text) {
  std::string quoted = "\"";
  for (char c : text) {
    auto value = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      quoted.push_back('\\');
      quoted.push_back(c);
    } else if (value < 0x20) {
      char escape[8];
      std::snprintf(escape, sizeof escape, "\\u%04x", value);
      quoted += escape;
    } else {
      quoted.push_back(c);
    }
  }
  return quoted + "\"";
}

/// `"name":{"dtype":...,"shape":[...],"data_offsets":[begin,end]}`, the member of a header that describes one tensor.
inline std::string SafetensorsMember(std::string_view name, std::string_view dtype, std::span<const uint64_t> shape,
                                     uint64_t begin, uint64_t end) {
  std::string member = JsonQuote(name) + ":{\"dtype\":" + JsonQuote(dtype) + ",\"shape\":[";
  for (size_t i = 0; i < shape.size(); ++i) member += (i > 0 ? "," : "") + std::to_string(shape[i]);
  return member + "],\"data_offsets\":[" + std::to_string(begin) + "," + std::to_string(end) + "]}";
}

/// A file from a header's text, as it is, and the bytes behind it: for malformed files.
inline std::vector<std::byte> SafetensorsFromHeader(std::string_view header, std::span<const std::byte> data) {
  std::vector<std::byte> file(sizeof(uint64_t) + header.size() + data.size());
  uint64_t header_bytes = header.size();
  std::memcpy(file.data(), &header_bytes, sizeof header_bytes);
  if (!header.empty()) std::memcpy(file.data() + sizeof header_bytes, header.data(), header.size());
  if (!data.empty()) std::memcpy(file.data() + sizeof header_bytes + header.size(), data.data(), data.size());
  return file;
}

/// A well-formed safetensors file: the tensors in the order given, without holes, the header padded with spaces to 8
/// bytes.
inline std::vector<std::byte> BuildSafetensors(const std::vector<SafetensorsEntry>& entries,
                                               const std::map<std::string, std::string>& metadata = {}) {
  std::string header = "{";
  if (!metadata.empty()) {
    header += "\"__metadata__\":{";
    for (const auto& [key, value] : metadata) {
      if (header.back() != '{') header += ",";
      header += JsonQuote(key) + ":" + JsonQuote(value);
    }
    header += "}";
  }
  std::vector<std::byte> data;
  for (const SafetensorsEntry& entry : entries) {
    if (header.size() > 1) header += ",";
    header += SafetensorsMember(entry.name, entry.dtype, entry.shape, data.size(), data.size() + entry.bytes.size());
    data.insert(data.end(), entry.bytes.begin(), entry.bytes.end());
  }
  header += "}";
  header.resize((header.size() + 7) / 8 * 8, ' ');
  return SafetensorsFromHeader(header, data);
}

}  // namespace flyweight::test
