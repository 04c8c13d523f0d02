#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/file.h"
#include "flyweight/result.h"
#include "flyweight/tensor.h"

namespace flyweight {

/// A longer tensor table is not parsed, so that memory stays bounded: 16 MiB describe some 200,000 tensors.
inline constexpr uint64_t kGgufMaxTableBytes = uint64_t{16} << 20;
/// More metadata is not parsed, so that time stays bounded; the largest vocabularies take some 20 MiB.
inline constexpr uint64_t kGgufMaxMetadataBytes = uint64_t{1} << 30;
inline constexpr uint32_t kGgufMaxRank = 255;
inline constexpr uint64_t kGgufMaxNameBytes = 65535;
/// Arrays of arrays deeper than this are not GGUF.
inline constexpr size_t kGgufMaxNesting = 8;

/// One tensor as the table declares it. Only the table was checked: the numbers are the file's own claims.
struct GgufTensor {
  std::string name;  ///< empty where it has more than kGgufMaxNameBytes
  bool name_is_too_long = false;
  Shape shape;  ///< slowest dimension first
  uint32_t ggml_type = 0;
  uint64_t offset_bytes = 0;  ///< from the start of the data
};

struct GgufHeader {
  bool big_endian = false;
  uint32_t version = 0;
  uint32_t alignment = 0;         ///< of tensors
  uint64_t table_offset = 0;      ///< where the tensor table starts, behind the metadata
  uint64_t table_end_offset = 0;  ///< where it ends; then padding
  uint64_t data_offset = 0;       ///< where tensor offsets count from; may lie behind the end of the file
  std::vector<GgufTensor> tensors;
};

/// Whether a file that starts so may be GGUF: magic and a version known to us, in either byte order.
bool LooksLikeGguf(ByteSpan first_bytes);

/// Reads metadata and tensor table. Gives nothing where they are not sound: a count, length or type that cannot be, a
/// general.alignment that is no power of two of at least 8 or comes twice, a tensor's name twice.
/// Precondition: LooksLikeGguf. Errors: those of reading.
Result<std::optional<GgufHeader>> ReadGgufHeader(const ByteSource& source);

}  // namespace flyweight
