#include "codec/shift_vector.h"

#include <algorithm>
#include <string>
#include <vector>

#include "entropy/histogram.h"

namespace flyweight {
namespace {

enum class ShiftMethod : uint8_t { kStored = 0, kUnary = 1, kZstd = 2 };

constexpr int kZstdLevel = 1;
// Below this, a Huffman table costs more than it saves over unary.
constexpr size_t kZstdMinCount = 2048;

unsigned Zigzag(int8_t value) {
  return value >= 0 ? 2u * static_cast<unsigned>(value) : 2u * static_cast<unsigned>(-value) - 1;
}

int8_t Unzigzag(unsigned z) {
  return static_cast<int8_t>(z & 1 ? -static_cast<int>((z + 1) / 2) : static_cast<int>(z / 2));
}

uint64_t UnaryBits(std::span<const int8_t> shifts) {
  uint64_t bits = 0;
  for (int8_t shift : shifts) bits += Zigzag(shift) + 1;
  return bits;
}

std::vector<std::byte> EncodeUnary(std::span<const int8_t> shifts, uint64_t bit_count) {
  std::vector<std::byte> bytes((bit_count + 7) / 8);
  uint64_t at = 0;
  for (int8_t shift : shifts) {
    at += Zigzag(shift);
    bytes[at / 8] |= static_cast<std::byte>(1u << (at % 8));
    ++at;
  }
  return bytes;
}

Status DecodeUnary(ByteSpan bytes, std::span<int8_t> shifts) {
  size_t done = 0;
  unsigned zeros = 0;
  size_t last_byte = 0;
  for (size_t i = 0; i < bytes.size(); ++i) {
    auto byte = static_cast<unsigned>(bytes[i]);
    for (int bit = 0; bit < 8; ++bit) {
      if (!(byte >> bit & 1)) {
        ++zeros;
        continue;
      }
      if (done == shifts.size() || zeros > 255)
        return Error{ErrorCode::kCorrupt, 0, "shift vector: the unary code is not valid"};
      shifts[done++] = Unzigzag(zeros);
      zeros = 0;
      last_byte = i;
    }
  }
  bool ends = done == shifts.size() && (done == 0 ? bytes.empty() : last_byte + 1 == bytes.size());
  if (!ends) return Error{ErrorCode::kCorrupt, 0, "shift vector: the unary code does not end with the last shift"};
  return {};
}

void WriteCoded(ShiftMethod method, ByteSpan bytes, ByteWriter& writer) {
  writer.Write(static_cast<uint8_t>(method));
  writer.Write(static_cast<uint32_t>(bytes.size()));
  writer.Append(bytes);
}

}  // namespace

void WriteShiftVector(std::span<const int8_t> shifts, ZstdCoder& zstd, ByteWriter& writer) {
  ByteSpan plain = std::as_bytes(shifts);
  uint64_t unary_bits = UnaryBits(shifts);
  size_t best_bytes = std::min<size_t>(plain.size(), static_cast<size_t>((unary_bits + 7) / 8));
  if (shifts.size() >= kZstdMinCount && best_bytes > 1) {
    std::vector<std::byte> coded(best_bytes - 1);
    size_t written = zstd.Encode(plain, coded, kZstdLevel);
    if (written != 0) return WriteCoded(ShiftMethod::kZstd, ByteSpan(coded).first(written), writer);
  }
  if (best_bytes < plain.size()) return WriteCoded(ShiftMethod::kUnary, EncodeUnary(shifts, unary_bits), writer);
  WriteCoded(ShiftMethod::kStored, plain, writer);
}

Status ReadShiftVector(ReadCursor& cursor, ZstdCoder& zstd, std::span<int8_t> shifts) {
  uint64_t at = cursor.offset();
  FLYWEIGHT_ASSIGN(uint8_t method, cursor.Read<uint8_t>());
  FLYWEIGHT_ASSIGN(uint32_t stored_bytes, cursor.Read<uint32_t>());
  FLYWEIGHT_ASSIGN(ByteSpan stored, cursor.Take(stored_bytes));
  MutableByteSpan target = std::as_writable_bytes(shifts);
  switch (method) {
    case static_cast<uint8_t>(ShiftMethod::kStored):
      if (stored.size() != target.size())
        return Error{ErrorCode::kCorrupt, at, "shift vector: the wrong number of shifts"};
      std::copy(stored.begin(), stored.end(), target.begin());
      return {};
    case static_cast<uint8_t>(ShiftMethod::kUnary):
      return DecodeUnary(stored, shifts);
    case static_cast<uint8_t>(ShiftMethod::kZstd):
      return zstd.Decode(stored, target);
    default:
      return Error{ErrorCode::kUnsupportedFeature, at, "unknown shift method " + std::to_string(method)};
  }
}

double EstimateShiftBits(std::span<const int8_t> shifts) {
  auto unary = static_cast<double>(UnaryBits(shifts));
  if (shifts.size() < kZstdMinCount) return unary;
  constexpr double kTableBits = 1000;
  double huffman =
      EntropyBitsPerSymbol(CountBytes(std::as_bytes(shifts))) * static_cast<double>(shifts.size()) + kTableBits;
  return std::min(unary, huffman);
}

}  // namespace flyweight
