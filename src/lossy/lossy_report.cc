#include "lossy/lossy_report.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <string>
#include <utility>

namespace flyweight {
namespace {

constexpr uint8_t kHasMinimum = 1;
constexpr size_t kOriginalBytes = 40;

Error Corrupt(uint64_t offset, const std::string& what) { return {ErrorCode::kCorrupt, offset, what}; }

Status CheckChoice(const LossyChoice& choice, uint64_t offset) {
  if (choice.method == LossyMethod::kDelta) {
    bool is_known = choice.bits >= static_cast<uint8_t>(DeltaMethod::kUniform) &&
                    choice.bits <= static_cast<uint8_t>(DeltaMethod::kOneBit) && !choice.has_minimum;
    return is_known ? Status::Ok() : Corrupt(offset, "lossy: a difference made smaller in no known way");
  }
  if (choice.method != LossyMethod::kBlocks) {
    bool is_plain = choice.bits == 16 && choice.block == 0 && !choice.has_minimum;
    return is_plain ? Status::Ok() : Corrupt(offset, "lossy: halves have 16 bits and no blocks");
  }
  if (choice.bits < kLossyMinBits || choice.bits > kLossyMaxBits)
    return Corrupt(offset, "lossy: integers of " + std::to_string(choice.bits) + " bits");
  if (choice.block < kLossyMinBlock || choice.block > kLossyMaxBlock || !std::has_single_bit(choice.block))
    return Corrupt(offset, "lossy: blocks of " + std::to_string(choice.block) + " elements");
  return Status::Ok();
}

Result<double> ReadError(ReadCursor& cursor) {
  FLYWEIGHT_ASSIGN(uint64_t bits, cursor.Read<uint64_t>());
  double error = std::bit_cast<double>(bits);
  if (std::isfinite(error) && !std::signbit(error)) return error;
  return Corrupt(cursor.offset(), "lossy: an error that is negative or no number");
}

}  // namespace

void WriteLossyChoice(const LossyChoice& choice, uint8_t more_flags, ByteWriter& writer) {
  writer.Write(static_cast<uint8_t>(choice.method));
  writer.Write(choice.bits);
  writer.Write(static_cast<uint8_t>(more_flags | (choice.has_minimum ? kHasMinimum : 0)));
  writer.Write(uint8_t{0});
  writer.Write(choice.block);
}

Result<LossyChoice> ReadLossyChoice(ReadCursor& cursor, uint8_t& more_flags) {
  uint64_t offset = cursor.offset();
  LossyChoice choice;
  FLYWEIGHT_ASSIGN(uint8_t method, cursor.Read<uint8_t>());
  FLYWEIGHT_ASSIGN(choice.bits, cursor.Read<uint8_t>());
  FLYWEIGHT_ASSIGN(uint8_t flags, cursor.Read<uint8_t>());
  FLYWEIGHT_ASSIGN(uint8_t reserved, cursor.Read<uint8_t>());
  FLYWEIGHT_ASSIGN(choice.block, cursor.Read<uint32_t>());
  if (method < static_cast<uint8_t>(LossyMethod::kF16) || method > static_cast<uint8_t>(LossyMethod::kDelta))
    return Error{ErrorCode::kUnsupportedFeature, offset, "lossy: unknown method " + std::to_string(method)};
  if ((flags & ~(kHasMinimum | more_flags)) != 0 || reserved != 0)
    return Error{ErrorCode::kUnsupportedFeature, offset, "lossy: unknown flags or reserved bytes are in use"};
  choice.method = static_cast<LossyMethod>(method);
  choice.has_minimum = (flags & kHasMinimum) != 0;
  more_flags = static_cast<uint8_t>(flags & ~kHasMinimum);
  FLYWEIGHT_TRY(CheckChoice(choice, offset));
  return choice;
}

std::vector<std::byte> WriteLossyRows(const std::vector<LossyRow>& rows) {
  ByteWriter writer;
  for (const LossyRow& row : rows) {
    writer.Write(row.extent);
    LossyChoice choice = row.choice;
    // Differences have no blocks; their error has the place.
    if (choice.method == LossyMethod::kDelta) choice.block = std::bit_cast<uint32_t>(row.relative_error);
    WriteLossyChoice(choice, 0, writer);
    writer.Write(std::bit_cast<uint64_t>(row.max_error));
    writer.Write(std::bit_cast<uint64_t>(row.rms_error));
  }
  return writer.Release();
}

Result<std::vector<LossyRow>> ParseLossyRows(ByteSpan value, uint64_t extent_count) {
  if (value.empty() || value.size() % kLossyRowBytes != 0 || value.size() / kLossyRowBytes > extent_count) {
    return Corrupt(0, "lossy: a report of " + std::to_string(value.size()) + " bytes");
  }
  std::vector<LossyRow> rows(value.size() / kLossyRowBytes);
  ReadCursor cursor(value);
  for (size_t i = 0; i < rows.size(); ++i) {
    LossyRow& row = rows[i];
    uint8_t no_more_flags = 0;
    FLYWEIGHT_ASSIGN(row.extent, cursor.Read<uint32_t>());
    FLYWEIGHT_ASSIGN(row.choice, ReadLossyChoice(cursor, no_more_flags));
    if (row.choice.method == LossyMethod::kDelta) {
      row.relative_error = std::bit_cast<float>(std::exchange(row.choice.block, 0));
      if (!std::isfinite(row.relative_error) || std::signbit(row.relative_error))
        return Corrupt(cursor.offset(), "lossy: an error that is negative or no number");
    }
    FLYWEIGHT_ASSIGN(row.max_error, ReadError(cursor));
    FLYWEIGHT_ASSIGN(row.rms_error, ReadError(cursor));
    if (row.extent >= extent_count || (i > 0 && row.extent <= rows[i - 1].extent))
      return Corrupt(cursor.offset(), "lossy: the report names extents that are not there, or not in order");
  }
  return rows;
}

std::vector<std::byte> WriteOriginalFile(const OriginalFile& original) {
  ByteWriter writer;
  writer.Write(original.file_bytes);
  writer.Append(original.sha256);
  return writer.Release();
}

Result<OriginalFile> ParseOriginalFile(ByteSpan value) {
  if (value.size() != kOriginalBytes)
    return Corrupt(0, "the size and SHA-256 of an original have " + std::to_string(value.size()) + " bytes, not 40");
  ReadCursor cursor(value);
  OriginalFile original;
  FLYWEIGHT_ASSIGN(original.file_bytes, cursor.Read<uint64_t>());
  FLYWEIGHT_ASSIGN(ByteSpan digest, cursor.Take(original.sha256.size()));
  std::copy(digest.begin(), digest.end(), original.sha256.begin());
  return original;
}

}  // namespace flyweight
