#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/bytes.h"

namespace flyweight {

/// `u64 header_bytes | json | data_bytes bytes that count up`, with `header_bytes` as long as the JSON.
inline std::string SafetensorsFile(std::string_view json, size_t data_bytes) {
  std::string file(8, '\0');
  StoreLe<uint64_t>(file.data(), json.size());
  file += json;
  for (size_t i = 0; i < data_bytes; i++) file.push_back(static_cast<char>(i));
  return file;
}

/// The JSON of one entry, without the name.
inline std::string EntryJson(std::string_view dtype, std::string_view shape, std::string_view begin,
                             std::string_view end) {
  std::string json = R"({"dtype":")";
  json.append(dtype).append(R"(","shape":)").append(shape);
  json.append(R"(,"data_offsets":[)").append(begin).append(",").append(end).append("]}");
  return json;
}

}  // namespace flyweight
