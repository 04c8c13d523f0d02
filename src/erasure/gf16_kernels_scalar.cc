// The reference: words one by one. The other instruction sets must give the same bytes.
#include "erasure/gf16_kernels.h"

namespace flyweight::scalar {
namespace {

/// Products of one element with a word's nibbles.
class Multiplier {
 public:
  Multiplier(const GfKernelTables& tables, uint16_t element) {
    for (size_t i = 0; i < sizeof bytes_; ++i) {
      bytes_[i] = static_cast<uint8_t>(tables.nibbles[0][element & 255][i] ^ tables.nibbles[1][element >> 8][i]);
    }
  }

  /// (low, high) of the product of the word with these bytes.
  void Multiply(uint8_t& low, uint8_t& high) const {
    size_t n0 = low & 15U;
    size_t n1 = 32 + (low >> 4U);
    size_t n2 = 64 + (high & 15U);
    size_t n3 = 96 + (high >> 4U);
    low = static_cast<uint8_t>(bytes_[n0] ^ bytes_[n1] ^ bytes_[n2] ^ bytes_[n3]);
    high = static_cast<uint8_t>(bytes_[n0 + 16] ^ bytes_[n1 + 16] ^ bytes_[n2 + 16] ^ bytes_[n3 + 16]);
  }

 private:
  uint8_t bytes_[128];
};

void Add(std::byte* target, const std::byte* source, size_t size_bytes) {
  for (size_t i = 0; i < size_bytes; ++i) target[i] ^= source[i];
}

void MultiplyAdd(std::byte* target, const std::byte* source, size_t row_bytes, const Multiplier& multiplier) {
  for (size_t piece = 0; piece < row_bytes; piece += kGfPieceBytes) {
    for (size_t i = piece; i < piece + 64; ++i) {
      auto low = std::to_integer<uint8_t>(source[i]);
      auto high = std::to_integer<uint8_t>(source[i + 64]);
      multiplier.Multiply(low, high);
      target[i] ^= std::byte{low};
      target[i + 64] ^= std::byte{high};
    }
  }
}

void ForwardStep(std::byte* rows, size_t row_bytes, size_t distance, const Multiplier& multiplier) {
  for (size_t r = 0; r < distance; ++r, rows += row_bytes) {
    MultiplyAdd(rows, rows + distance * row_bytes, row_bytes, multiplier);
    Add(rows + distance * row_bytes, rows, row_bytes);
  }
}

void InverseStep(std::byte* rows, size_t row_bytes, size_t distance, const Multiplier& multiplier) {
  for (size_t r = 0; r < distance; ++r, rows += row_bytes) {
    Add(rows + distance * row_bytes, rows, row_bytes);
    MultiplyAdd(rows, rows + distance * row_bytes, row_bytes, multiplier);
  }
}

void ForwardPairs(const GfButterflies& b) {
  ForwardStep(b.rows, b.row_bytes, b.distance, Multiplier(*b.tables, b.multipliers[0]));
}

void InversePairs(const GfButterflies& b) {
  InverseStep(b.rows, b.row_bytes, b.distance, Multiplier(*b.tables, b.multipliers[0]));
}

void ForwardQuads(const GfButterflies& b) {
  ForwardStep(b.rows, b.row_bytes, 2 * b.distance, Multiplier(*b.tables, b.multipliers[2]));
  ForwardStep(b.rows, b.row_bytes, b.distance, Multiplier(*b.tables, b.multipliers[0]));
  ForwardStep(b.rows + 2 * b.distance * b.row_bytes, b.row_bytes, b.distance, Multiplier(*b.tables, b.multipliers[1]));
}

void InverseQuads(const GfButterflies& b) {
  InverseStep(b.rows, b.row_bytes, b.distance, Multiplier(*b.tables, b.multipliers[0]));
  InverseStep(b.rows + 2 * b.distance * b.row_bytes, b.row_bytes, b.distance, Multiplier(*b.tables, b.multipliers[1]));
  InverseStep(b.rows, b.row_bytes, 2 * b.distance, Multiplier(*b.tables, b.multipliers[2]));
}

void Multiply(std::byte* row, size_t row_bytes, uint16_t multiplier, const GfKernelTables& tables) {
  Multiplier products(tables, multiplier);
  for (size_t piece = 0; piece < row_bytes; piece += kGfPieceBytes) {
    for (size_t i = piece; i < piece + 64; ++i) {
      auto low = std::to_integer<uint8_t>(row[i]);
      auto high = std::to_integer<uint8_t>(row[i + 64]);
      products.Multiply(low, high);
      row[i] = std::byte{low};
      row[i + 64] = std::byte{high};
    }
  }
}

}  // namespace

const GfKernels kGfKernels = {"scalar", ForwardPairs, InversePairs, ForwardQuads, InverseQuads, Multiply, Add};

}  // namespace flyweight::scalar
