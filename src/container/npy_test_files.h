#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace flyweight {

inline std::string NpyRepeat(std::string_view text, size_t count) {
  std::string repeated;
  for (size_t i = 0; i < count; i++) repeated += text;
  return repeated;
}

/// The text of a header; values as they stand in it: "'<f4'", "False", "(3, 2)".
inline std::string NpyDict(std::string_view descr, std::string_view fortran_order, std::string_view shape) {
  std::string text = "{'descr': ";
  text.append(descr).append(", 'fortran_order': ").append(fortran_order).append(", 'shape': ").append(shape);
  return text + ", }";
}

/// A numpy array file with this header text and `data_bytes` bytes that count up.
inline std::string NpyFile(std::string_view text, size_t data_bytes, int version = 1) {
  std::string file = "\x93NUMPY";
  file.push_back(static_cast<char>(version));
  file.push_back('\0');
  for (size_t i = 0; i < (version == 1 ? 2 : 4); i++) file.push_back(static_cast<char>(text.size() >> (8 * i)));
  file.append(text);
  for (size_t i = 0; i < data_bytes; i++) file.push_back(static_cast<char>(i));
  return file;
}

/// Bytes in front of the array. Precondition: `file` comes from NpyFile, perhaps cut.
inline size_t NpyHeadBytes(std::string_view file) {
  if (file.size() < 12) return 0;
  size_t length_bytes = file[6] == 1 ? 2 : 4;
  size_t text_bytes = 0;
  for (size_t i = length_bytes; i > 0; i--) text_bytes = text_bytes << 8 | static_cast<unsigned char>(file[7 + i]);
  return 8 + length_bytes + text_bytes;
}

}  // namespace flyweight
