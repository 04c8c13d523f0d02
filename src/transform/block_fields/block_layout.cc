#include "transform/block_fields/block_layout.h"

#include <algorithm>
#include <utility>

namespace flyweight {
namespace {

// Source of all offsets: the block structs of ggml (ggml-common.h) and the order in which it unpacks their quants.
class Builder {
 public:
  explicit Builder(DType dtype) {
    layout_.dtype = dtype;
    layout_.block_bytes = static_cast<size_t>(Describe(dtype).block_bytes);
  }

  /// Starts the next stream; moves go into it.
  Builder& Stream(int byte_count) {
    layout_.stream_bytes.push_back(static_cast<uint16_t>(byte_count));
    layout_.total_stream_bytes += static_cast<size_t>(byte_count);
    return *this;
  }

  /// `lanes` fields of `bits` bits from bit `shift` of bytes `source`, `source + step`, ...
  Builder& Move(int source, int shift, int bits, int lanes, int target, int target_shift, int step = 1) {
    FieldMove move;
    move.source = static_cast<uint16_t>(source);
    move.target = static_cast<uint16_t>(target);
    move.lanes = static_cast<uint16_t>(lanes);
    move.source_step = static_cast<uint8_t>(step);
    move.source_shift = static_cast<uint8_t>(shift);
    move.target_shift = static_cast<uint8_t>(target_shift);
    move.bits = static_cast<uint8_t>(bits);
    move.stream = static_cast<uint8_t>(layout_.stream_bytes.size() - 1);
    layout_.moves.push_back(move);
    return *this;
  }

  Builder& Spread(int source, int lanes, int target_shift) {
    Move(source, 0, 1, lanes, 0, target_shift);
    layout_.moves.back().spread = true;
    return *this;
  }

  /// A stream of whole bytes.
  Builder& Bytes(int source, int byte_count, int step = 1) {
    return Stream(byte_count).Move(source, 0, 8, byte_count, 0, 0, step);
  }

  /// A number of `byte_count` bytes: a stream for each of them.
  Builder& Number(int source, int byte_count) {
    for (int i = 0; i < byte_count; ++i) Bytes(source + i, 1);
    return *this;
  }

  Builder& Centre(const CentreRule& rule) {
    layout_.centre = rule;
    return *this;
  }

  Builder& Range(int steps, bool has_minimum) {
    layout_.range = {static_cast<uint8_t>(steps), has_minimum};
    return *this;
  }

  Builder& Units(int unit_bytes, int units, bool half) {
    layout_.unit = {static_cast<uint8_t>(unit_bytes), static_cast<uint8_t>(units), half};
    return *this;
  }

  BlockLayout Build() {
    // Puts the fields of the lowest bits first, of source and target alike; equal ones keep their order.
    auto before = [](const FieldMove& a, const FieldMove& b) {
      return a.source_shift + a.target_shift < b.source_shift + b.target_shift;
    };
    auto begin = layout_.moves.begin();
    for (auto move = begin; move != layout_.moves.end(); ++move)
      std::rotate(std::upper_bound(begin, move, *move, before), move, move + 1);
    return std::move(layout_);
  }

 private:
  BlockLayout layout_;
};

// 32 quants of 5 bits: nibbles (the second half of the elements in the high ones) and a string of top bits.
void FiveBits(Builder& builder, int nibbles, int top_bits) {
  builder.Stream(32).Move(nibbles, 0, 4, 16, 0, 0).Move(nibbles, 4, 4, 16, 16, 0).Spread(top_bits, 32, 4);
}

// Eight scales and eight minima of 6 bits in the 12 bytes of Q4_K and Q5_K.
void PackedScales(Builder& builder, int source) {
  builder.Stream(8).Move(source, 0, 6, 4, 0, 0).Move(source + 8, 0, 4, 4, 4, 0).Move(source, 6, 2, 4, 4, 4);
  builder.Stream(8).Move(source + 4, 0, 6, 4, 0, 0).Move(source + 8, 4, 4, 4, 4, 0).Move(source + 4, 6, 2, 4, 4, 4);
}

BlockLayout Q2K() {
  Builder builder(DType::kGgmlQ2K);
  builder.Number(80, 2).Number(82, 2);
  builder.Stream(16).Move(0, 0, 4, 16, 0, 0).Stream(16).Move(0, 4, 4, 16, 0, 0).Bytes(16, 64);
  return builder.Centre({2, 4, 16, 4, 2, 16, true, {0, 1, 8, 9}}).Build();
}

// Two quants of 3 bits a byte: elements 32 apart.
BlockLayout Q3K() {
  Builder builder(DType::kGgmlQ3K);
  builder.Number(108, 2).Stream(16).Move(96, 0, 4, 8, 0, 0).Move(96, 4, 4, 8, 8, 0);
  for (int quarter = 0; quarter < 4; ++quarter) builder.Move(104, 2 * quarter, 2, 4, 4 * quarter, 4);
  builder.Stream(128);
  for (int half = 0; half < 2; ++half) {
    for (int j = 0; j < 4; ++j) {
      int target = 64 * half + 32 * (j / 2);
      int target_shift = 3 * (j % 2);
      builder.Move(32 + 32 * half, 2 * j, 2, 32, target, target_shift);
      builder.Move(0, 4 * half + j, 1, 32, target, target_shift + 2);
    }
  }
  return builder.Build();
}

BlockLayout Q4K() {
  Builder builder(DType::kGgmlQ4K);
  builder.Number(0, 2).Number(2, 2);
  PackedScales(builder, 4);
  return builder.Bytes(16, 128).Centre({4, 2, 32, 4, 1, 8, true, {0, 2, 4, 6}}).Build();
}

BlockLayout Q5K() {
  Builder builder(DType::kGgmlQ5K);
  builder.Number(0, 2).Number(2, 2);
  PackedScales(builder, 4);
  builder.Stream(256);
  for (int run = 0; run < 8; ++run) {
    builder.Move(48 + 32 * (run / 2), 4 * (run % 2), 4, 32, 32 * run, 0).Move(16, run, 1, 32, 32 * run, 4);
  }
  return builder.Centre({5, 1, 32, 8, 0, 8, true, {0, 1, 2, 3, 4, 5, 6, 7}}).Build();
}

BlockLayout Q6K() {
  Builder builder(DType::kGgmlQ6K);
  builder.Number(208, 2).Bytes(192, 16).Stream(256);
  for (int half = 0; half < 2; ++half) {
    for (int run = 0; run < 4; ++run) {
      int target = 128 * half + 32 * run;
      builder.Move(64 * half + 32 * (run % 2), 4 * (run / 2), 4, 32, target, 0);
      builder.Move(128 + 32 * half, 2 * run, 2, 32, target, 4);
    }
  }
  return builder.Build();
}

// Groups of a 32-bit word: 28 bits of signs and a scale of 4 bits. Streams: whole bytes of signs, the rest of the
// signs, scales.
void SignsAndScales(Builder& builder, int source, int step) {
  builder.Stream(24);
  for (int i = 0; i < 3; ++i) builder.Move(source + i, 0, 8, 8, 8 * i, 0, step);
  builder.Stream(8).Move(source + 3, 0, 4, 8, 0, 0, step);
  builder.Stream(8).Move(source + 3, 4, 4, 8, 0, 0, step);
}

BlockLayout IQ2XXS() {
  Builder builder(DType::kGgmlIQ2XXS);
  builder.Number(0, 2);
  SignsAndScales(builder, 6, 8);
  builder.Stream(32);
  for (int i = 0; i < 4; ++i) builder.Move(2 + i, 0, 8, 8, 8 * i, 0, 8);
  return builder.Build();
}

BlockLayout IQ3XXS() {
  Builder builder(DType::kGgmlIQ3XXS);
  builder.Number(0, 2);
  SignsAndScales(builder, 66, 4);
  return builder.Bytes(2, 64).Build();
}

BlockLayout IQ1S() {
  Builder builder(DType::kGgmlIQ1S);
  builder.Number(0, 2).Bytes(34, 8, 2).Stream(8).Move(35, 0, 4, 8, 0, 0, 2).Stream(8).Move(35, 4, 4, 8, 0, 0, 2);
  return builder.Bytes(2, 32).Build();
}

// The scale of all lies in the top nibbles of the last four words.
BlockLayout IQ1M() {
  Builder builder(DType::kGgmlIQ1M);
  builder.Stream(1).Move(49, 4, 4, 1, 0, 0).Move(51, 4, 4, 1, 0, 4);
  builder.Stream(1).Move(53, 4, 4, 1, 0, 0).Move(55, 4, 4, 1, 0, 4);
  builder.Bytes(48, 4, 2).Stream(4).Move(49, 0, 4, 4, 0, 0, 2);
  return builder.Bytes(32, 16).Bytes(0, 32).Build();
}

BlockLayout IQ4XS() {
  Builder builder(DType::kGgmlIQ4XS);
  builder.Number(0, 2).Stream(8).Move(4, 0, 4, 4, 0, 0).Move(4, 4, 4, 4, 4, 0);
  for (int i = 0; i < 8; ++i) builder.Move(2 + i / 4, 2 * (i % 4), 2, 1, i / 2 + 4 * (i % 2), 4);
  return builder.Bytes(8, 128).Build();
}

std::vector<BlockLayout> MakeLayouts() {
  const auto five_bits = [](DType dtype, int numbers) {
    Builder builder(dtype);
    for (int i = 0; i < numbers; ++i) builder.Number(2 * i, 2);
    FiveBits(builder, 2 * numbers + 4, 2 * numbers);
    if (numbers == 2) builder.Centre({5, 1, 32, 1, 0, 1, false, {}}).Range(31, true);
    builder.Units(32, 1, true);
    return builder.Build();
  };
  return {
      Builder(DType::kGgmlQ40).Number(0, 2).Bytes(2, 16).Units(16, 1, true).Build(),
      Builder(DType::kGgmlQ41)
          .Number(0, 2)
          .Number(2, 2)
          .Bytes(4, 16)
          .Centre({4, 2, 16, 1, 0, 1, false, {}})
          .Range(15, true)
          .Units(16, 1, true)
          .Build(),
      five_bits(DType::kGgmlQ50, 1),
      five_bits(DType::kGgmlQ51, 2),
      Builder(DType::kGgmlQ80).Number(0, 2).Bytes(2, 32).Range(127, false).Units(32, 1, true).Build(),
      Builder(DType::kGgmlQ81).Number(0, 2).Number(2, 2).Bytes(4, 32).Build(),
      Q2K(),
      Q3K(),
      Q4K(),
      Q5K(),
      Q6K(),
      Builder(DType::kGgmlQ8K).Number(0, 4).Bytes(260, 16, 2).Bytes(261, 16, 2).Bytes(4, 256).Build(),
      IQ2XXS(),
      Builder(DType::kGgmlIQ2XS).Number(0, 2).Bytes(66, 8).Bytes(3, 32, 2).Bytes(2, 32, 2).Build(),
      IQ3XXS(),
      IQ1S(),
      Builder(DType::kGgmlIQ4NL).Number(0, 2).Bytes(2, 16).Units(16, 1, true).Build(),
      Builder(DType::kGgmlIQ3S).Number(0, 2).Bytes(106, 4).Bytes(66, 8).Bytes(74, 32).Bytes(2, 64).Build(),
      Builder(DType::kGgmlIQ2S).Number(0, 2).Bytes(74, 8).Bytes(66, 8).Bytes(34, 32).Bytes(2, 32).Build(),
      IQ4XS(),
      IQ1M(),
      Builder(DType::kGgmlTQ10).Number(52, 2).Bytes(48, 4).Bytes(0, 48).Build(),
      Builder(DType::kGgmlTQ20).Number(64, 2).Bytes(0, 64).Build(),
      Builder(DType::kGgmlMXFP4).Bytes(0, 1).Bytes(1, 16).Units(16, 1, false).Build(),
      Builder(DType::kGgmlNVFP4).Bytes(0, 4).Bytes(4, 32).Units(8, 4, false).Build(),
      Builder(DType::kGgmlQ10).Number(0, 2).Bytes(2, 16).Build(),
  };
}

}  // namespace

const BlockLayout* FindBlockLayout(DType dtype) {
  static const auto& kLayouts = *new std::vector<BlockLayout>(MakeLayouts());
  auto layout = std::ranges::find(kLayouts, dtype, &BlockLayout::dtype);
  return layout == kLayouts.end() ? nullptr : &*layout;
}

}  // namespace flyweight
