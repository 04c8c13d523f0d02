#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/bytes.h"

// Opcodes of pickles, to be put together.

namespace flyweight::pickle {

inline std::string Number(uint64_t value, size_t size_bytes) {
  char bytes[sizeof value];
  StoreLe(bytes, value);
  return {bytes, size_bytes};
}

inline std::string Text(std::string_view text) { return "X" + Number(text.size(), 4) + std::string(text); }
inline std::string Int(int32_t value) { return "J" + Number(static_cast<uint32_t>(value), 4); }
inline std::string Global(std::string_view module, std::string_view name) {
  return "c" + std::string(module) + "\n" + std::string(name) + "\n";
}

inline std::string Join(const std::vector<std::string>& values) {
  std::string joined;
  for (const std::string& value : values) joined += value;
  return joined;
}

inline std::string Tuple(const std::vector<std::string>& values) { return "(" + Join(values) + "t"; }
inline std::string List(const std::vector<std::string>& values) { return "](" + Join(values) + "e"; }
inline std::string Call(const std::string& callable, const std::vector<std::string>& arguments) {
  return callable + Tuple(arguments) + "R";
}

/// Pairs of text and value.
inline std::string Dict(std::initializer_list<std::pair<std::string_view, std::string>> entries) {
  std::string dict = "}(";
  for (const auto& [key, value] : entries) dict += Text(key) + value;
  return dict + "u";
}

inline std::string Ints(const std::vector<int32_t>& values) {
  std::vector<std::string> opcodes;
  for (int32_t value : values) opcodes.push_back(Int(value));
  return Tuple(opcodes);
}

inline std::string Storage(std::string_view type, std::string_view key, int32_t count) {
  std::string_view module = type == "UntypedStorage" ? "torch.storage" : "torch";
  return Tuple({Text("storage"), Global(module, type), Text(key), Text("cpu"), Int(count)}) + "Q";
}

inline const std::string kNoHooks = Global("collections", "OrderedDict") + ")R";

inline std::string Tensor(const std::string& storage, int32_t offset, const std::vector<int32_t>& sizes,
                          const std::vector<int32_t>& strides) {
  return Call(Global("torch._utils", "_rebuild_tensor_v2"),
              {storage, Int(offset), Ints(sizes), Ints(strides), "\x89", kNoHooks});
}

/// A vector that is all of its storage.
inline std::string Vector(std::string_view type, std::string_view key, int32_t count) {
  return Tensor(Storage(type, key, count), 0, {count}, {1});
}

/// A tensor of an untyped storage, with its dtype.
inline std::string TensorOfDType(std::string_view dtype, std::string_view key, int32_t storage_bytes,
                                 const std::vector<int32_t>& sizes, const std::vector<int32_t>& strides) {
  return Call(Global("torch._utils", "_rebuild_tensor_v3"),
              {Storage("UntypedStorage", key, storage_bytes), Int(0), Ints(sizes), Ints(strides), "\x89", kNoHooks,
               Global("torch", dtype)});
}

inline std::string File(const std::string& opcodes) { return "\x80\x02" + opcodes + "."; }

}  // namespace flyweight::pickle
