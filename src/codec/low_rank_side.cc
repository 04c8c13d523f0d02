#include "codec/low_rank_side.h"

#include "codec/plane_coder.h"

namespace flyweight {
namespace {

constexpr float kScaleMin = 0x1p-126F;
constexpr float kScaleMax = 0x1p64F;  // no product with a sum overflows

uint16_t ZigZag(int16_t value) {
  return static_cast<uint16_t>(static_cast<uint16_t>(value << 1) ^ static_cast<uint16_t>(value >> 15));
}

int16_t UnZigZag(uint16_t z) { return static_cast<int16_t>((z >> 1) ^ (0 - (z & 1))); }

void WriteNumbers(const std::vector<int16_t>& numbers, PlaneScratch& scratch, ByteWriter& writer) {
  std::vector<std::byte> plane(numbers.size()), coded(kPlaneHeaderBytes + numbers.size());
  for (int shift : {0, 8}) {
    for (size_t i = 0; i < numbers.size(); ++i) plane[i] = static_cast<std::byte>(ZigZag(numbers[i]) >> shift);
    writer.Append(ByteSpan(coded).first(EncodePlane(plane, coded, scratch)));
  }
}

Result<std::vector<int16_t>> ReadNumbers(ReadCursor& cursor, size_t count, PlaneScratch& scratch) {
  FLYWEIGHT_ASSIGN(CodedPlane low, ReadCodedPlane(cursor, count));
  FLYWEIGHT_ASSIGN(CodedPlane high, ReadCodedPlane(cursor, count));
  std::vector<std::byte> low_bytes(count), high_bytes(count);
  FLYWEIGHT_TRY(DecodePlane(low, low_bytes, scratch));
  FLYWEIGHT_TRY(DecodePlane(high, high_bytes, scratch));
  std::vector<int16_t> numbers(count);
  for (size_t i = 0; i < count; ++i)
    numbers[i] = UnZigZag(
        static_cast<uint16_t>(static_cast<unsigned>(high_bytes[i]) << 8 | static_cast<unsigned>(low_bytes[i])));
  return numbers;
}

}  // namespace

std::vector<std::byte> WriteLowRank(const LowRankFactors& factors) {
  PlaneScratch scratch;
  ByteWriter writer;
  writer.Write(factors.rank);
  writer.Write(factors.columns);
  writer.Write(factors.scale);
  WriteNumbers(factors.left, scratch, writer);
  WriteNumbers(factors.right, scratch, writer);
  return writer.Release();
}

Result<LowRankFactors> ReadLowRank(ReadCursor& cursor, uint64_t element_count) {
  const uint64_t at = cursor.offset();
  LowRankFactors factors;
  FLYWEIGHT_ASSIGN(factors.rank, cursor.Read<uint16_t>());
  FLYWEIGHT_ASSIGN(factors.columns, cursor.Read<uint32_t>());
  FLYWEIGHT_ASSIGN(factors.scale, cursor.Read<float>());
  if (factors.rank == 0 || factors.rank > kLowRankMax || factors.columns == 0 || factors.columns > kLowRankColumnsMax)
    return Error{ErrorCode::kCorrupt, at, "record head: a matrix of an impossible rank or row length"};
  if (!(factors.scale >= kScaleMin && factors.scale <= kScaleMax))
    return Error{ErrorCode::kCorrupt, at, "record head: a matrix of low rank with a wild scale"};
  const uint64_t rows = element_count / factors.columns + (element_count % factors.columns != 0 ? 1 : 0);
  if (rows > kLowRankNumbersMax || (rows + factors.columns) * factors.rank > kLowRankNumbersMax)
    return Error{ErrorCode::kLimitExceeded, at, "record head: the factors of a matrix of low rank are too large"};
  PlaneScratch scratch;
  FLYWEIGHT_ASSIGN(factors.left, ReadNumbers(cursor, static_cast<size_t>(rows) * factors.rank, scratch));
  FLYWEIGHT_ASSIGN(factors.right, ReadNumbers(cursor, size_t{factors.columns} * factors.rank, scratch));
  return factors;
}

std::shared_ptr<const LowRank> Prepare(const LowRankFactors& factors) {
  return std::make_shared<const LowRank>(factors.rank, factors.columns, factors.scale, factors.left, factors.right);
}

}  // namespace flyweight
