#pragma once

#include <cmath>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "archive/writer.h"
#include "archive_parts.h"
#include "codec/patch_record.h"
#include "support/random.h"
#include "tensor/cast.h"

// An archive of tensors and of patches on them: every codec and every predictor of section 3.14 of docs/format.md.

namespace flyweight::test {

struct PatchSampleTensor {
  std::string name;
  DType dtype = DType::kBF16;
  Shape shape = {};
  std::vector<std::byte> content = {};
};

/// Writes a tensor's record, by `encode(chunk number, frame)`, and describes it.
inline Result<IndexExtent> WriteSampleRecord(
    ArchiveWriter& writer, const PatchSampleTensor& tensor, const RecordPlan& plan,
    const std::function<ChunkEntry(uint64_t, ByteSpan, MutableByteSpan)>& encode) {
  FLYWEIGHT_TRY(writer.BeginRecord(plan));
  Sha256Stream digest;
  for (uint64_t i = 0; i < plan.head.chunk_count; ++i) {
    ByteSpan chunk = ByteSpan(tensor.content).subspan(i * plan.head.chunk_bytes, plan.head.ChunkDecodedBytes(i));
    std::vector<std::byte> frame(FrameBound(chunk.size()));
    ChunkEntry entry = encode(i, chunk, frame);
    FLYWEIGHT_TRY(writer.AppendFrame(ByteSpan(frame).first(entry.frame_bytes), entry));
    digest.Update(Sha256(chunk));
  }
  FLYWEIGHT_ASSIGN(ArchiveWriter::RecordPlace place, writer.EndRecord());
  IndexExtent extent = AsTensor({}, tensor.name, tensor.dtype, tensor.shape);
  extent.decoded_bytes = tensor.content.size();
  extent.digest_algorithm = DigestAlgorithm::kSha256Tree;
  extent.digest = digest.Finish();
  extent.place = PlaceKind::kRecord;
  extent.record_offset = place.offset;
  extent.record_bytes = place.record_bytes;
  extent.record_check = place.record_check;
  return extent;
}

inline Result<IndexExtent> WriteSampleBase(ArchiveWriter& writer, const PatchSampleTensor& tensor) {
  CodecScratch scratch;
  FLYWEIGHT_ASSIGN(RecordPlan plan, PlanRecord(MemorySource(tensor.content), 0, tensor.content.size(), tensor.dtype,
                                               tensor.shape, Level::kBalanced, scratch));
  return WriteSampleRecord(writer, tensor, plan, [&](uint64_t i, ByteSpan chunk, MutableByteSpan frame) {
    return EncodeFrame(plan, i, chunk, frame, scratch);
  });
}

inline Result<IndexExtent> WriteSamplePatch(ArchiveWriter& writer, const PatchSampleTensor& tensor,
                                            const PatchSampleTensor& base, uint64_t base_number, uint32_t depth) {
  CodecScratch scratch;
  MemorySource source(tensor.content), base_source(base.content);
  FLYWEIGHT_ASSIGN(PatchPlan plan, PlanPatchRecord(source, 0, source.size(), tensor.dtype, tensor.shape, base_source, 0,
                                                   base_source.size(), base.dtype, Level::kBalanced, scratch));
  if (plan.estimated_bytes == kNoPatchBytes) return Error{ErrorCode::kInternal, 0, tensor.name + " is no patch"};
  auto encode = [&](uint64_t i, ByteSpan chunk, MutableByteSpan frame) {
    const BaseRange range = BaseRangeOf(plan.record.head, i);
    ByteSpan base_chunk = ByteSpan(base.content).subspan(range.begin_bytes, range.size_bytes);
    return EncodePatchFrame(plan.record, i, chunk, base_chunk, frame, scratch);
  };
  FLYWEIGHT_ASSIGN(IndexExtent extent, WriteSampleRecord(writer, tensor, plan.record, encode));
  extent.place = PlaceKind::kPatched;
  extent.base_number = base_number;
  extent.patch_depth = depth;
  return extent;
}

inline std::vector<std::byte> SampleElements(DType dtype, const std::vector<float>& values) {
  std::vector<std::byte> wide(values.size() * sizeof(float));
  std::memcpy(wide.data(), values.data(), wide.size());
  if (dtype == DType::kF32 || dtype == DType::kC64) return wide;
  std::vector<std::byte> words(wide.size() / 2);
  CastFromF32(dtype == DType::kF16 ? CastMethod::kF16 : CastMethod::kBF16, wide, words);
  return words;
}

/// Values and the same after `step`s in some of the rows, a few of them wild.
struct SampleValues {
  std::vector<float> base, moved;
};

inline SampleValues MoveValues(size_t rows, size_t columns, float step, size_t live_in, Random& random) {
  SampleValues values;
  values.base.resize(rows * columns);
  for (float& value : values.base) value = static_cast<float>(0.05 * random.Gaussian());
  values.moved = values.base;
  std::vector<float> activity(columns);
  for (float& value : activity) value = static_cast<float>(std::exp(random.Gaussian()));
  for (size_t r = 0; r < rows; ++r) {
    const bool live = random.Below(live_in) == 0;
    for (size_t c = 0; c < columns && live; ++c)
      values.moved[r * columns + c] += step * activity[c] * static_cast<float>(random.Gaussian());
  }
  const float odd[] = {NAN, -0.0F, INFINITY, 1e-30F};
  for (float value : odd) values.moved[random.Below(values.moved.size())] = value;
  return values;
}

/// Pairs of a base and what is made from it.
using SamplePairs = std::vector<std::pair<PatchSampleTensor, PatchSampleTensor>>;

inline void AddDensePairs(SamplePairs& pairs, Random& random) {
  for (DType dtype : {DType::kBF16, DType::kF16, DType::kF32, DType::kC64}) {
    const SampleValues values = MoveValues(60, 192, 3e-4F, 2, random);
    const Shape shape = {60, dtype == DType::kC64 ? uint64_t{96} : uint64_t{192}};
    pairs.push_back({{"dense", dtype, shape, SampleElements(dtype, values.base)},
                     {"dense", dtype, shape, SampleElements(dtype, values.moved)}});
  }
  // Two chunks, whose border lies in one of few live rows; bases that are too short and too long.
  SampleValues values = MoveValues(300, 1001, 0, 1, random);
  std::fill(values.base.begin(), values.base.end(), 0.25F);
  values.moved = values.base;
  for (size_t i = size_t{260} * 1001; i < size_t{263} * 1001; ++i)
    values.moved[i] += 2e-3F * static_cast<float>(random.Gaussian());
  for (size_t size : {values.base.size(), values.base.size() - 5000, values.base.size() + 99}) {
    values.base.resize(size, 0.5F);
    pairs.push_back({{"chunks", DType::kBF16, {size}, SampleElements(DType::kBF16, values.base)},
                     {"chunks", DType::kBF16, {300, 1001}, SampleElements(DType::kBF16, values.moved)}});
  }
}

inline void AddPredictedPairs(SamplePairs& pairs, Random& random) {
  const Shape shape = {120, 160};
  SampleValues values = MoveValues(120, 160, 0, 1, random);
  pairs.push_back({{"cast", DType::kF32, shape, SampleElements(DType::kF32, values.base)},
                   {"cast", DType::kBF16, shape, SampleElements(DType::kBF16, values.moved)}});
  std::vector<float> decayed = values.base;
  for (int step = 0; step < 20; ++step)
    for (float& value : decayed) value *= 1 - 0x3p-24F;
  pairs.push_back({{"decay", DType::kF32, shape, SampleElements(DType::kF32, values.base)},
                   {"decay", DType::kF32, shape, SampleElements(DType::kF32, decayed)}});
  std::vector<float> left(240), right(320), adapted = values.base;
  for (float& value : left) value = static_cast<float>(random.Gaussian());
  for (float& value : right) value = static_cast<float>(random.Gaussian());
  for (size_t i = 0; i < adapted.size(); ++i) {
    const size_t r = i / 160, c = i % 160;
    adapted[i] += 3e-3F * (left[r] * right[c] + left[120 + r] * right[160 + c]);
  }
  for (DType dtype : {DType::kBF16, DType::kF32})
    pairs.push_back({{"adapter", dtype, shape, SampleElements(dtype, values.base)},
                     {"adapter", dtype, shape, SampleElements(dtype, adapted)}});
}

inline void AddOtherPairs(SamplePairs& pairs, Random& random) {
  for (DType dtype : {DType::kOpaque, DType::kU8, DType::kF8E4M3, DType::kI16, DType::kI32, DType::kF64}) {
    const size_t width = static_cast<size_t>(Describe(dtype).bits) / 8;
    for (uint64_t step : {uint64_t{2}, uint64_t{60}}) {
      std::vector<std::byte> base(4000 * width);
      for (std::byte& byte : base) byte = static_cast<std::byte>(random.Bits());
      std::vector<std::byte> moved = base;
      for (size_t i = 0; i < moved.size(); i += width)
        if (random.Below(step) == 0) moved[i] ^= static_cast<std::byte>(1 + random.Below(3));
      pairs.push_back({{step == 2 ? "differences" : "sparse", dtype, {4000}, base},
                       {step == 2 ? "differences" : "sparse", dtype, {4000}, moved}});
    }
  }
  std::vector<std::byte> base(8000), regular, other(8000);
  for (std::byte& byte : base) byte = static_cast<std::byte>(random.Bits());
  for (std::byte& byte : other) byte = static_cast<std::byte>(random.Bits());
  regular = base;
  for (size_t i = 0; i < regular.size(); i += 100) regular[i] ^= std::byte{1};
  pairs.push_back({{"regular", DType::kBF16, {4000}, base}, {"regular", DType::kBF16, {4000}, regular}});
  pairs.push_back({{"same", DType::kBF16, {4000}, base}, {"same", DType::kBF16, {4000}, base}});
  pairs.push_back({{"unrelated", DType::kBF16, {4000}, base}, {"unrelated", DType::kBF16, {4000}, other}});
  base.resize(2);
  pairs.push_back({{"tiny", DType::kBF16, {1}, base}, {"tiny", DType::kBF16, {4000}, other}});
}

/// Every base is followed by the patch on it; at the end stands a patch on a patch.
inline Result<Sample> MakePatches(const std::string& name) {
  SamplePairs pairs;
  Random random(11);
  AddDensePairs(pairs, random);
  AddPredictedPairs(pairs, random);
  AddOtherPairs(pairs, random);
  MemorySink sink;
  ArchiveWriter writer(sink);
  ArchiveHeader header;
  header.required_features = wire::kFeatureCodecs | wire::kFeaturePatches;
  FLYWEIGHT_TRY(writer.Begin(header));
  std::vector<std::byte> whole;
  std::vector<IndexExtent> extents;
  auto add = [&](IndexExtent extent, const PatchSampleTensor& tensor) {
    extents.push_back(std::move(extent));
    whole.insert(whole.end(), tensor.content.begin(), tensor.content.end());
  };
  for (const auto& [base, tensor] : pairs) {
    FLYWEIGHT_ASSIGN(IndexExtent extent, WriteSampleBase(writer, base));
    add(std::move(extent), base);
    FLYWEIGHT_ASSIGN(IndexExtent patch, WriteSamplePatch(writer, tensor, base, extents.size() - 1, 1));
    add(std::move(patch), tensor);
  }
  const PatchSampleTensor& first = pairs.front().second;
  PatchSampleTensor second = first;
  for (size_t i = 0; i < second.content.size(); i += 46) second.content[i] ^= std::byte{1};
  FLYWEIGHT_ASSIGN(IndexExtent patch, WriteSamplePatch(writer, second, first, 1, 2));
  add(std::move(patch), second);
  ArchiveIndex index;
  index.files.push_back(FileOf(name + ".bin", std::move(extents)));
  index.files[0].has_sha256 = true;
  index.files[0].sha256 = Sha256(whole);
  FLYWEIGHT_TRY(writer.Finish(index));
  return Sample{std::move(sink.bytes()), {std::move(whole)}};
}

}  // namespace flyweight::test
