#include "archive/base_table.h"

#include <algorithm>

#include "archive/wire.h"

namespace flyweight {
namespace {

constexpr size_t kShortIdentityDigits = 12;

Status ReadDigest(ReadCursor& cursor, Digest& digest) {
  FLYWEIGHT_ASSIGN(ByteSpan bytes, cursor.Take(digest.size()));
  std::ranges::copy(bytes, digest.begin());
  return Status::Ok();
}

Status ReadName(ReadCursor& cursor, std::string& name) {
  FLYWEIGHT_ASSIGN(auto name_bytes, cursor.Read<uint16_t>());
  FLYWEIGHT_ASSIGN(ByteSpan bytes, cursor.Take(name_bytes));
  name = std::string(AsText(bytes));
  return Status::Ok();
}

Status ReadRow(ReadCursor& cursor, BaseRow& row) {
  FLYWEIGHT_ASSIGN(auto is_tensor, cursor.Read<uint8_t>());
  FLYWEIGHT_ASSIGN(auto rank, cursor.Read<uint8_t>());
  FLYWEIGHT_ASSIGN(auto dtype, cursor.Read<uint16_t>());
  if (is_tensor > 1) return Error{ErrorCode::kCorrupt, cursor.offset(), "is_tensor must be 0 or 1"};
  row.is_tensor = is_tensor == 1;
  row.dtype = static_cast<DType>(dtype);
  if (rank > cursor.remaining() / sizeof(uint64_t)) {
    return Error{ErrorCode::kTruncated, cursor.offset(), "the dimensions do not fit into the bytes that are left"};
  }
  row.shape.resize(rank);
  for (uint64_t& dimension : row.shape) {
    FLYWEIGHT_ASSIGN(dimension, cursor.Read<uint64_t>());
  }
  FLYWEIGHT_TRY(ReadName(cursor, row.name));
  FLYWEIGHT_ASSIGN(row.size_bytes, cursor.Read<uint64_t>());
  FLYWEIGHT_TRY(ReadDigest(cursor, row.digest));
  FLYWEIGHT_ASSIGN(row.sample_xxh3, cursor.Read<uint64_t>());
  return Status::Ok();
}

Status CheckRow(const BaseRow& row) {
  Error error{ErrorCode::kCorrupt, 0, ""};
  bool known_size = row.dtype != DType::kOpaque && Describe(row.dtype).dtype == row.dtype;
  if (row.name.size() > wire::kNameMaxBytes) {
    error.message = "its name is longer than 65535 bytes";
  } else if (row.shape.size() > wire::kRankMax) {
    error.message = "it has more than 255 dimensions";
  } else if (row.size_bytes == 0) {
    error.message = "it has no bytes";
  } else if (!row.is_tensor && (row.dtype != DType::kOpaque || !row.shape.empty())) {
    error.message = "it has a dtype or a shape but is no tensor";
  } else if (known_size && TensorBytes(row.dtype, row.shape) != row.size_bytes) {
    error.message = "its shape does not give its " + std::to_string(row.size_bytes) + " bytes";
  } else {
    return Status::Ok();
  }
  return error;
}

void WriteName(ByteWriter& writer, const std::string& name) {
  writer.Write(static_cast<uint16_t>(name.size()));
  writer.Append(AsBytes(name));
}

}  // namespace

Result<BaseTable> ParseBaseTable(ByteSpan value, uint64_t offset) {
  ReadCursor cursor(value, offset);
  BaseTable table;
  FLYWEIGHT_TRY(ReadDigest(cursor, table.identity));
  FLYWEIGHT_TRY(ReadDigest(cursor, table.result_identity));
  FLYWEIGHT_TRY(ReadName(cursor, table.name));
  FLYWEIGHT_ASSIGN(auto row_count, cursor.Read<uint32_t>());
  if (row_count > cursor.remaining() / wire::kBaseRowMinBytes) {
    return Error{ErrorCode::kTruncated, cursor.offset(),
                 std::to_string(row_count) + " rows do not fit into the " + std::to_string(cursor.remaining()) +
                     " bytes that are left"};
  }
  table.rows.resize(row_count);
  for (size_t i = 0; i < table.rows.size(); ++i) {
    Status status = ReadRow(cursor, table.rows[i]);
    if (!status.ok()) return WithContext(status.take_error(), "row " + std::to_string(i));
  }
  if (cursor.remaining() != 0) return Error{ErrorCode::kCorrupt, cursor.offset(), "it has bytes to spare"};
  return table;
}

std::vector<std::byte> WriteBaseTable(const BaseTable& table) {
  ByteWriter writer;
  writer.Append(table.identity);
  writer.Append(table.result_identity);
  WriteName(writer, table.name);
  writer.Write(static_cast<uint32_t>(table.rows.size()));
  for (const BaseRow& row : table.rows) {
    writer.Write(static_cast<uint8_t>(row.is_tensor ? 1 : 0));
    writer.Write(static_cast<uint8_t>(row.shape.size()));
    writer.Write(static_cast<uint16_t>(row.dtype));
    for (uint64_t dimension : row.shape) writer.Write(dimension);
    WriteName(writer, row.name);
    writer.Write(row.size_bytes);
    writer.Append(row.digest);
    writer.Write(row.sample_xxh3);
  }
  return writer.Release();
}

Status CheckBaseTable(const BaseTable& table) {
  if (table.name.size() > wire::kNameMaxBytes) {
    return Error{ErrorCode::kCorrupt, 0, "the name of the base is longer than 65535 bytes"};
  }
  if (table.rows.size() > wire::kExtentMaxCount) {
    return Error{ErrorCode::kLimitExceeded, 0, "the base table has more than 2^22 rows"};
  }
  for (size_t i = 0; i < table.rows.size(); ++i) {
    Status status = CheckRow(table.rows[i]);
    if (!status.ok()) return WithContext(status.take_error(), "row " + std::to_string(i) + " of the base table");
  }
  return Status::Ok();
}

Error MissingBase(const BaseTable& table) {
  std::string what;
  for (const BaseRow& row : table.rows) {
    if (!what.empty()) continue;
    what = (row.is_tensor ? ", with tensor '" : ", with the content of '") + row.name + "'";
    if (table.rows.size() > 1) what += " and " + std::to_string(table.rows.size() - 1) + " more";
  }
  return {ErrorCode::kBaseMismatch, 0,
          "it is a patch and its base was not given: it needs " + DescribeBase(table) + what};
}

std::string ShortIdentity(const Digest& identity) { return ToHex(identity).substr(0, kShortIdentityDigits); }

std::string DescribeBase(const BaseTable& table) {
  return "'" + table.name + "' (identity " + ShortIdentity(table.identity) + ")";
}

}  // namespace flyweight
