#include "container/torch_types.h"

#include <algorithm>
#include <iterator>

namespace flyweight {
namespace {

struct Row {
  std::string_view name;
  TorchElement element;
};

constexpr Row kStorages[] = {
    {"FloatStorage", {DType::kF32, 4}},        {"DoubleStorage", {DType::kF64, 8}},
    {"HalfStorage", {DType::kF16, 2}},         {"BFloat16Storage", {DType::kBF16, 2}},
    {"ByteStorage", {DType::kU8, 1}},          {"CharStorage", {DType::kI8, 1}},
    {"ShortStorage", {DType::kI16, 2}},        {"IntStorage", {DType::kI32, 4}},
    {"LongStorage", {DType::kI64, 8}},         {"BoolStorage", {DType::kBool, 1}},
    {"ComplexFloatStorage", {DType::kC64, 8}}, {"ComplexDoubleStorage", {DType::kOpaque, 16}},
    {"QInt8Storage", {DType::kOpaque, 1}},     {"QUInt8Storage", {DType::kOpaque, 1}},
    {"QInt32Storage", {DType::kOpaque, 4}},    {"QUInt4x2Storage", {DType::kOpaque, 1}},
    {"QUInt2x4Storage", {DType::kOpaque, 1}},
};

/// Those that the table of dtypes does not have under this name.
constexpr Row kDTypes[] = {
    {"bool", {DType::kBool, 1}},          {"complex32", {DType::kOpaque, 4}},
    {"complex128", {DType::kOpaque, 16}}, {"float4_e2m1fn_x2", {DType::kF4, 1, true}},
    {"bits8", {DType::kOpaque, 1}},       {"bits16", {DType::kOpaque, 2}},
    {"bits1x8", {DType::kOpaque, 1}},     {"bits2x4", {DType::kOpaque, 1}},
    {"bits4x2", {DType::kOpaque, 1}},
};

template <typename Rows>
std::optional<TorchElement> Find(const Rows& rows, std::string_view name) {
  auto row = std::find_if(std::begin(rows), std::end(rows), [&](const Row& each) { return each.name == name; });
  return row == std::end(rows) ? std::nullopt : std::optional(row->element);
}

}  // namespace

std::optional<TorchElement> TorchElementOfStorage(std::string_view class_name) { return Find(kStorages, class_name); }

std::optional<TorchElement> TorchElementOfDType(std::string_view name) {
  std::optional<TorchElement> element = Find(kDTypes, name);
  if (element.has_value()) return element;
  std::optional<DType> dtype = FindDType(name);
  if (!dtype.has_value() || Describe(*dtype).bits % 8 != 0) return std::nullopt;
  return TorchElement{*dtype, static_cast<uint64_t>(Describe(*dtype).bits / 8)};
}

}  // namespace flyweight
