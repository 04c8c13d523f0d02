#pragma once

#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include "flyweight/patch.h"
#include "flyweight/pipeline.h"
#include "support/matchers.h"
#include "support/random.h"
#include "support/safetensors_file.h"
#include "support/temp_dir.h"
#include "support/weights.h"

// Models and their fine-tunes, for tests of patches.

namespace flyweight::test {

using Bytes = std::vector<std::byte>;
using Tensors = std::vector<SafetensorsEntry>;

inline SafetensorsEntry MakeEntry(std::string name, DType dtype, std::vector<uint64_t> shape, uint64_t seed) {
  Random random(seed);
  uint64_t rows = shape.size() > 1 ? shape.front() : 1;
  uint64_t columns = shape.back();
  return {std::move(name), std::string(Describe(dtype).name), std::move(shape),
          MakeTensor(dtype, rows, columns, Pattern::kWeights, random)};
}

/// Moves every `stride`-th 16-bit word by a little, as training does.
inline void Tune(SafetensorsEntry& entry, uint64_t stride, uint64_t seed) {
  Random random(seed);
  for (size_t word = 0; word * 2 + 1 < entry.bytes.size(); word += 1 + random.Below(2 * stride - 1)) {
    uint16_t value = 0;
    std::memcpy(&value, entry.bytes.data() + word * 2, sizeof value);
    value = static_cast<uint16_t>(value + 1 + random.Below(3));
    std::memcpy(entry.bytes.data() + word * 2, &value, sizeof value);
  }
}

/// A model of several chunks, with a tensor of each kind that matters.
inline Tensors BaseTensors(uint64_t seed = 1) {
  return {MakeEntry("embed.weight", DType::kBF16, {700, 512}, seed * 100),
          MakeEntry("layer.0.weight", DType::kBF16, {256, 512}, seed * 100 + 1),
          MakeEntry("layer.1.weight", DType::kBF16, {128, 600}, seed * 100 + 2),
          MakeEntry("norm.weight", DType::kF32, {512}, seed * 100 + 3),
          MakeEntry("head.weight", DType::kF32, {100, 512}, seed * 100 + 4)};
}

/// A fine-tune: some tensors move, the norm and the head stay.
inline Tensors TunedTensors(Tensors tensors, uint64_t seed) {
  Tune(tensors[0], 7, seed);
  Tune(tensors[1], 4, seed + 1);
  Tune(tensors[2], 4, seed + 2);
  return tensors;
}

inline Status MakePatch(const std::string& source, const std::vector<std::string>& bases, const std::string& target) {
  CompressOptions options;
  options.bases = bases;
  options.overwrite = true;
  Result<CompressSummary> made = CompressFile(source, target, options);
  return made.ok() ? Status::Ok() : Status(made.take_error());
}

inline const ListedTensor& TensorOf(const ArchiveListing& listing, const std::string& name) {
  for (const ListedTensor& extent : listing.extents) {
    if (extent.is_tensor && extent.name == name) return extent;
  }
  throw std::runtime_error("no tensor " + name);
}

}  // namespace flyweight::test
