#include "codec/patch_predict.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>
#include <utility>

#include "codec/record_side.h"
#include "lossy/quantise.h"
#include "lossy/strips.h"
#include "tensor/cast.h"

namespace flyweight {
namespace {

constexpr uint8_t kNearUnitFactor = 0;
constexpr uint8_t kAnyFactor = 1;
constexpr double kFactorUnit = 0x1p-24;
constexpr double kFactorMin = 0x1p-8;
constexpr double kFactorMax = 0x1p8;

/// The distance of a factor from 1 in units of 2^-24, where that says all and fits 16 bits.
std::optional<uint16_t> NearUnit(double factor) {
  double units = (1 - factor) / kFactorUnit;
  if (!(units >= 0 && units <= 0xFFFF) || units != std::floor(units) || 1 - units * kFactorUnit != factor)
    return std::nullopt;
  return static_cast<uint16_t>(units);
}

void WriteRun(const ReplayRun& run, ByteWriter& writer) {
  std::optional<uint16_t> near_unit = NearUnit(run.factor);
  writer.Write(near_unit ? kNearUnitFactor : kAnyFactor);
  writer.Write(static_cast<uint16_t>(run.steps));
  if (near_unit) return writer.Write(*near_unit);
  writer.Write(run.factor);
}

Result<ReplayRun> ReadRun(ReadCursor& cursor) {
  const uint64_t at = cursor.offset();
  ReplayRun run;
  FLYWEIGHT_ASSIGN(uint8_t form, cursor.Read<uint8_t>());
  FLYWEIGHT_ASSIGN(run.steps, cursor.Read<uint16_t>());
  if (form == kNearUnitFactor) {
    FLYWEIGHT_ASSIGN(uint16_t units, cursor.Read<uint16_t>());
    run.factor = 1 - units * kFactorUnit;
  } else if (form == kAnyFactor) {
    FLYWEIGHT_ASSIGN(run.factor, cursor.Read<double>());
  } else {
    return Error{ErrorCode::kUnsupportedFeature, at, "record head: unknown form of a factor " + std::to_string(form)};
  }
  if (run.steps == 0 || !(run.factor >= kFactorMin && run.factor <= kFactorMax))
    return Error{ErrorCode::kCorrupt, at, "record head: a run of multiplications without steps or with a wild factor"};
  return run;
}

Result<Predictor> ReadReplay(ReadCursor& cursor, uint64_t element_count) {
  const uint64_t at = cursor.offset();
  FLYWEIGHT_ASSIGN(uint8_t run_count, cursor.Read<uint8_t>());
  std::vector<ReplayRun> runs;
  uint64_t steps = 0;
  for (uint8_t i = 0; i < run_count; ++i) {
    FLYWEIGHT_ASSIGN(ReplayRun run, ReadRun(cursor));
    steps += run.steps;
    runs.push_back(run);
  }
  if (steps == 0 || steps > kReplayStepsMax)
    return Error{ErrorCode::kCorrupt, at, "record head: " + std::to_string(steps) + " multiplications"};
  return MakeReplayPredictor(std::move(runs), element_count);
}

void CastElements(const Predictor& predictor, const std::byte* source, size_t count, std::byte* target) {
  const size_t source_bytes = ElementBytes(predictor.base_dtype), target_bytes = ElementBytes(predictor.dtype);
  float values[kLossyStrip];
  for (size_t begin = 0; begin < count; begin += kLossyStrip) {
    const size_t strip = std::min(kLossyStrip, count - begin);
    LoadStrip(predictor.base_dtype, source + begin * source_bytes, strip, values);
    std::byte* to = target + begin * target_bytes;
    if (predictor.is_truncated) {
      CastFromF32(CastMethod::kBF16Truncated, std::as_bytes(std::span(values, strip)), {to, strip * target_bytes});
    } else {
      StoreStrip(predictor.dtype, values, strip, to);
    }
  }
}

void AddLowRank(const Predictor& predictor, uint64_t first_element, const std::byte* source, size_t count,
                std::byte* target) {
  const size_t source_bytes = ElementBytes(predictor.base_dtype), target_bytes = ElementBytes(predictor.dtype);
  float values[kLossyStrip];
  for (size_t begin = 0; begin < count; begin += kLossyStrip) {
    const size_t strip = std::min(kLossyStrip, count - begin);
    LoadStrip(predictor.base_dtype, source + begin * source_bytes, strip, values);
    predictor.low_rank->SubtractFrom(first_element + begin, std::span(values, strip));
    StoreStrip(predictor.dtype, values, strip, target + begin * target_bytes);
  }
}

bool IsFloatOfLowRank(DType dtype) { return dtype == DType::kF32 || dtype == DType::kF16 || dtype == DType::kBF16; }

Result<Predictor> ReadLowRankPredictor(ReadCursor& cursor, DType base_dtype, DType dtype, uint64_t element_count) {
  if (!CanAddLowRank(base_dtype, dtype))
    return Error{ErrorCode::kCorrupt, cursor.offset(),
                 "record head: a matrix of low rank that does not fit the dtypes"};
  FLYWEIGHT_ASSIGN(LowRankFactors factors, ReadLowRank(cursor, element_count));
  return MakeLowRankPredictor(base_dtype, dtype, factors);
}

}  // namespace

bool CanAddLowRank(DType base_dtype, DType dtype) { return IsFloatOfLowRank(base_dtype) && IsFloatOfLowRank(dtype); }

Predictor MakeLowRankPredictor(DType base_dtype, DType dtype, const LowRankFactors& factors) {
  Predictor predictor{PredictorKind::kLowRank, dtype, base_dtype};
  predictor.low_rank_side = WriteLowRank(factors);
  predictor.low_rank = Prepare(factors);
  return predictor;
}

bool CanCast(DType base_dtype, DType dtype) {
  return base_dtype != dtype && CanBeLossy(base_dtype) && CanBeLossy(dtype);
}

Predictor MakeReplayPredictor(std::vector<ReplayRun> runs, uint64_t element_count) {
  Predictor predictor{PredictorKind::kReplay, DType::kF32, DType::kF32};
  predictor.replay = std::make_shared<const Replay>(runs, element_count);
  predictor.runs = std::move(runs);
  return predictor;
}

Predictor MakeCastPredictor(DType base_dtype, DType dtype, bool is_truncated) {
  return {PredictorKind::kCast, dtype, base_dtype, is_truncated};
}

void SerializePredictor(const Predictor& predictor, ByteWriter& writer) {
  writer.Write(static_cast<uint8_t>(predictor.kind));
  if (predictor.kind == PredictorKind::kCast) writer.Write(static_cast<uint8_t>(predictor.is_truncated ? 1 : 0));
  if (predictor.kind == PredictorKind::kLowRank) writer.Append(predictor.low_rank_side);
  if (predictor.kind != PredictorKind::kReplay) return;
  writer.Write(static_cast<uint8_t>(predictor.runs.size()));
  for (const ReplayRun& run : predictor.runs) WriteRun(run, writer);
}

Result<Predictor> ParsePredictor(ReadCursor& cursor, DType dtype, DType base_dtype, uint64_t element_count) {
  const uint64_t at = cursor.offset();
  FLYWEIGHT_ASSIGN(uint8_t kind, cursor.Read<uint8_t>());
  switch (static_cast<PredictorKind>(kind)) {
    case PredictorKind::kNone:
      return Predictor{PredictorKind::kNone, dtype, base_dtype};
    case PredictorKind::kCast: {
      FLYWEIGHT_ASSIGN(uint8_t is_truncated, cursor.Read<uint8_t>());
      if (!CanCast(base_dtype, dtype) || is_truncated > 1 || (is_truncated == 1 && dtype != DType::kBF16))
        return Error{ErrorCode::kCorrupt, at, "record head: a cast that does not fit the dtypes"};
      return MakeCastPredictor(base_dtype, dtype, is_truncated == 1);
    }
    case PredictorKind::kReplay:
      if (dtype == DType::kF32 && base_dtype == DType::kF32) return ReadReplay(cursor, element_count);
      return Error{ErrorCode::kCorrupt, at, "record head: multiplications of elements that are not F32"};
    case PredictorKind::kLowRank:
      return ReadLowRankPredictor(cursor, base_dtype, dtype, element_count);
  }
  return Error{ErrorCode::kUnsupportedFeature, at, "record head: unknown predictor " + std::to_string(kind)};
}

void Predict(const Predictor& predictor, uint64_t first_element, ByteSpan base_chunk, MutableByteSpan predicted) {
  const size_t base_element_bytes = ElementBytes(predictor.base_dtype);
  const size_t element_bytes = ElementBytes(predictor.dtype);
  const size_t count = std::min(base_chunk.size() / base_element_bytes, predicted.size() / element_bytes);
  const size_t covered_bytes = count * element_bytes;
  if (count > 0) {
    switch (predictor.kind) {
      case PredictorKind::kNone:
        if (predicted.data() != base_chunk.data()) std::memcpy(predicted.data(), base_chunk.data(), covered_bytes);
        break;
      case PredictorKind::kCast:
        CastElements(predictor, base_chunk.data(), count, predicted.data());
        break;
      case PredictorKind::kReplay:
        predictor.replay->Apply(base_chunk.data(), count, predicted.data());
        break;
      case PredictorKind::kLowRank:
        AddLowRank(predictor, first_element, base_chunk.data(), count, predicted.data());
        break;
    }
  }
  std::fill(predicted.begin() + static_cast<ptrdiff_t>(covered_bytes), predicted.end(), std::byte{0});
}

}  // namespace flyweight
