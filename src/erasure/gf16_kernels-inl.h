// The vector kernels, included once an instruction set inside its namespace, after a class `Vec`:
//   Register, kBytes (that divides 64), Load, Store, Xor,
//   Multiplier(tables, element) with MultiplyAdd(target_low, target_high, low, high).

namespace {

/// The words at one place of a row.
struct Words {
  Vec::Register low;
  Vec::Register high;

  explicit Words(const std::byte* at) : low(Vec::Load(at)), high(Vec::Load(at + 64)) {}
  void Store(std::byte* at) const {
    Vec::Store(at, low);
    Vec::Store(at + 64, high);
  }
  void Add(const Words& other) {
    low = Vec::Xor(low, other.low);
    high = Vec::Xor(high, other.high);
  }
  void Add(const Vec::Multiplier& multiplier, const Words& other) {
    multiplier.MultiplyAdd(low, high, other.low, other.high);
  }
};

/// Calls step(offset) for every place in rows [0, row_count).
template <typename Step>
inline __attribute__((always_inline)) void ForEachPlace(size_t row_count, size_t row_bytes, const Step& step) {
  for (size_t piece = 0; piece < row_count * row_bytes; piece += kGfPieceBytes) {
    for (size_t i = 0; i < 64; i += Vec::kBytes) step(piece + i);
  }
}

void ForwardPairs(const GfButterflies& b) {
  Vec::Multiplier multiplier(*b.tables, b.multipliers[0]);
  std::byte* second = b.rows + b.distance * b.row_bytes;
  ForEachPlace(b.distance, b.row_bytes, [&](size_t at) __attribute__((always_inline)) {
    Words w0(b.rows + at), w1(second + at);
    w0.Add(multiplier, w1);
    w1.Add(w0);
    w0.Store(b.rows + at);
    w1.Store(second + at);
  });
}

void InversePairs(const GfButterflies& b) {
  Vec::Multiplier multiplier(*b.tables, b.multipliers[0]);
  std::byte* second = b.rows + b.distance * b.row_bytes;
  ForEachPlace(b.distance, b.row_bytes, [&](size_t at) __attribute__((always_inline)) {
    Words w0(b.rows + at), w1(second + at);
    w1.Add(w0);
    w0.Add(multiplier, w1);
    w0.Store(b.rows + at);
    w1.Store(second + at);
  });
}

void ForwardQuads(const GfButterflies& b) {
  Vec::Multiplier fine0(*b.tables, b.multipliers[0]);
  Vec::Multiplier fine1(*b.tables, b.multipliers[1]);
  Vec::Multiplier coarse(*b.tables, b.multipliers[2]);
  std::byte* rows = b.rows;
  size_t step = b.distance * b.row_bytes;
  ForEachPlace(b.distance, b.row_bytes, [&](size_t at) __attribute__((always_inline)) {
    Words w0(rows + at), w1(rows + step + at), w2(rows + 2 * step + at), w3(rows + 3 * step + at);
    w0.Add(coarse, w2);
    w1.Add(coarse, w3);
    w2.Add(w0);
    w3.Add(w1);
    w0.Add(fine0, w1);
    w2.Add(fine1, w3);
    w1.Add(w0);
    w3.Add(w2);
    w0.Store(rows + at);
    w1.Store(rows + step + at);
    w2.Store(rows + 2 * step + at);
    w3.Store(rows + 3 * step + at);
  });
}

void InverseQuads(const GfButterflies& b) {
  Vec::Multiplier fine0(*b.tables, b.multipliers[0]);
  Vec::Multiplier fine1(*b.tables, b.multipliers[1]);
  Vec::Multiplier coarse(*b.tables, b.multipliers[2]);
  std::byte* rows = b.rows;
  size_t step = b.distance * b.row_bytes;
  ForEachPlace(b.distance, b.row_bytes, [&](size_t at) __attribute__((always_inline)) {
    Words w0(rows + at), w1(rows + step + at), w2(rows + 2 * step + at), w3(rows + 3 * step + at);
    w1.Add(w0);
    w3.Add(w2);
    w0.Add(fine0, w1);
    w2.Add(fine1, w3);
    w2.Add(w0);
    w3.Add(w1);
    w0.Add(coarse, w2);
    w1.Add(coarse, w3);
    w0.Store(rows + at);
    w1.Store(rows + step + at);
    w2.Store(rows + 2 * step + at);
    w3.Store(rows + 3 * step + at);
  });
}

void Multiply(std::byte* row, size_t row_bytes, uint16_t element, const GfKernelTables& tables) {
  Vec::Multiplier multiplier(tables, element);
  ForEachPlace(1, row_bytes, [&](size_t at) __attribute__((always_inline)) {
    Words source(row + at);
    Words product(row + at);
    product.Add(source);  // zero
    product.Add(multiplier, source);
    product.Store(row + at);
  });
}

void Add(std::byte* target, const std::byte* source, size_t size_bytes) {
  ForEachPlace(1, size_bytes, [&](size_t at) __attribute__((always_inline)) {
    Words sum(target + at);
    sum.Add(Words(source + at));
    sum.Store(target + at);
  });
}

}  // namespace
