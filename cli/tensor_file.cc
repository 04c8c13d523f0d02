#include "cli/tensor_file.h"

#include <array>
#include <optional>
#include <set>

#include "cli/json.h"

namespace flyweight::cli {
namespace {

struct NpyName {
  DType dtype;
  const char* descr;
};

constexpr std::array<NpyName, 13> kNpyNames = {{
    {DType::kBool, "|b1"},
    {DType::kU8, "|u1"},
    {DType::kI8, "|i1"},
    {DType::kU16, "<u2"},
    {DType::kI16, "<i2"},
    {DType::kU32, "<u4"},
    {DType::kI32, "<i4"},
    {DType::kU64, "<u8"},
    {DType::kI64, "<i8"},
    {DType::kF16, "<f2"},
    {DType::kF32, "<f4"},
    {DType::kF64, "<f8"},
    {DType::kC64, "<c8"},
}};

Error Refused(const std::string& reason) { return {ErrorCode::kInvalidArgument, 0, reason}; }

std::string NameOfDType(const ListedTensor& tensor) { return std::string(Describe(tensor.dtype).name); }

std::string LittleEndian(uint64_t value, size_t size_bytes) {
  std::string bytes;
  for (size_t i = 0; i < size_bytes; ++i) bytes += static_cast<char>(value >> (8 * i) & 0xFF);
  return bytes;
}

/// https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
Result<std::string> NpyHeader(const ListedTensor& tensor) {
  constexpr size_t kAlignment = 64;
  constexpr size_t kFixedBytes = 12;  // magic, version 2.0, length
  for (const NpyName& known : kNpyNames) {
    if (known.dtype != tensor.dtype) continue;
    std::string shape;
    for (uint64_t dimension : tensor.shape) shape += std::to_string(dimension) + ",";
    std::string header =
        std::string("{'descr': '") + known.descr + "', 'fortran_order': False, 'shape': (" + shape + "), }";
    header.resize((kFixedBytes + header.size() + kAlignment) / kAlignment * kAlignment - kFixedBytes, ' ');
    header.back() = '\n';
    return std::string("\x93NUMPY\x02\x00", 8) + LittleEndian(header.size(), 4) + header;
  }
  return Refused("numpy has no " + NameOfDType(tensor) +
                 "; write a .safetensors file, or plain bytes under another name");
}

/// https://huggingface.co/docs/safetensors
Result<std::string> SafetensorsHeader(const std::vector<TensorEntry>& entries) {
  constexpr size_t kAlignment = 8;
  std::set<std::string> names;
  Json header = Json::object();
  uint64_t offset = 0;
  for (const TensorEntry& entry : entries) {
    const ListedTensor& tensor = *entry.tensor;
    if (tensor.dtype == DType::kOpaque || IsBlockType(Describe(tensor.dtype))) {
      return Refused("safetensors has no " + NameOfDType(tensor) + "; take out one tensor at a time as plain bytes");
    }
    if (!names.insert(entry.name).second) return Refused("two of the tensors have the name '" + entry.name + "'");
    uint64_t end = offset + tensor.decoded_bytes;
    header[entry.name] = {{"dtype", NameOfDType(tensor)}, {"shape", tensor.shape}, {"data_offsets", {offset, end}}};
    offset = end;
  }
  std::string text = header.dump(-1, ' ', false, Json::error_handler_t::replace);
  text.resize((text.size() + kAlignment - 1) / kAlignment * kAlignment, ' ');
  return LittleEndian(text.size(), 8) + text;
}

}  // namespace

TensorFile TensorFileOf(std::string_view path) {
  if (path.ends_with(".npy")) return TensorFile::kNpy;
  return path.ends_with(".safetensors") ? TensorFile::kSafetensors : TensorFile::kBytes;
}

Result<std::string> TensorFileHeader(TensorFile kind, const std::vector<TensorEntry>& entries) {
  if (kind == TensorFile::kSafetensors) return SafetensorsHeader(entries);
  if (entries.size() != 1) {
    return Refused(std::to_string(entries.size()) +
                   " tensors match, and only a .safetensors file holds several; name one, or such a file with -o");
  }
  if (kind == TensorFile::kNpy) return NpyHeader(*entries.front().tensor);
  return std::string();
}

}  // namespace flyweight::cli
