#include "codec/patch_predict.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <functional>
#include <random>
#include <string>

#include "codec/record_side.h"

namespace flyweight {
namespace {

using Bytes = std::vector<std::byte>;

template <typename Word>
Bytes BytesOf(std::initializer_list<Word> words) {
  ByteWriter writer;
  for (Word word : words) writer.Write(word);
  return writer.Release();
}

Bytes Serialised(const Predictor& predictor) {
  ByteWriter writer;
  SerializePredictor(predictor, writer);
  return writer.Release();
}

LowRankFactors SomeFactors() {
  LowRankFactors factors{3, 40, 0x1p-20F, std::vector<int16_t>(75), std::vector<int16_t>(120)};
  std::mt19937 random(1);
  for (int16_t& number : factors.left) number = static_cast<int16_t>(static_cast<int>(random() % 601) - 300);
  for (int16_t& number : factors.right) number = static_cast<int16_t>(random());
  return factors;
}

std::vector<Predictor> AllKinds() {
  return {{PredictorKind::kNone, DType::kF32, DType::kF32},
          MakeCastPredictor(DType::kF32, DType::kBF16, true),
          MakeCastPredictor(DType::kBF16, DType::kF64, false),
          MakeReplayPredictor({{1 - 0x3p-24, 30}, {1 - 2e-7, 4}, {2.5, 1}}, 1000),
          MakeLowRankPredictor(DType::kF32, DType::kBF16, SomeFactors())};
}

TEST(Predictor, ComesBackFromItsBytes) {
  for (const Predictor& predictor : AllKinds()) {
    const Bytes bytes = Serialised(predictor);
    ReadCursor cursor(bytes);
    const auto parsed = ParsePredictor(cursor, predictor.dtype, predictor.base_dtype, 1000);
    ASSERT_TRUE(parsed.ok()) << parsed.error().message;
    EXPECT_EQ(cursor.remaining(), 0u);
    Bytes base(1000 * ElementBytes(predictor.base_dtype), std::byte{0x3C});
    Bytes expected(1000 * ElementBytes(predictor.dtype)), given(expected.size());
    Predict(predictor, 0, base, expected);
    Predict(parsed.value(), 0, base, given);
    EXPECT_EQ(given, expected);
    EXPECT_EQ(parsed.value().runs, predictor.runs);
  }
}

TEST(Predictor, IsRefusedWhereItIsCutShort) {
  for (const Predictor& predictor : AllKinds()) {
    const Bytes bytes = Serialised(predictor);
    for (size_t size = 0; size < bytes.size(); ++size) {
      ReadCursor cursor(ByteSpan(bytes).first(size));
      EXPECT_FALSE(ParsePredictor(cursor, predictor.dtype, predictor.base_dtype, 1000).ok()) << size;
    }
  }
}

TEST(Predictor, IsRefusedWhereItCannotBe) {
  struct Bad {
    const char* what;
    DType dtype;
    DType base_dtype;
    std::function<void(ByteWriter&)> write;
    uint64_t element_count = 1000;
  };
  auto bytes = [](std::initializer_list<int> values) {
    return [values = std::vector<int>(values)](ByteWriter& writer) {
      for (int value : values) writer.Write(static_cast<uint8_t>(value));
    };
  };
  auto run = [](double factor, uint16_t steps) {
    return [factor, steps](ByteWriter& writer) {
      for (int byte : {2, 1, 1}) writer.Write(static_cast<uint8_t>(byte));
      writer.Write(steps);
      writer.Write(factor);
    };
  };
  auto low_rank = [](uint16_t rank, uint32_t columns, float scale) {
    return [rank, columns, scale](ByteWriter& writer) {
      writer.Write(uint8_t{3});
      writer.Write(rank);
      writer.Write(columns);
      writer.Write(scale);
      for (int plane = 0; plane < 4; ++plane)
        for (int byte : {1, 1, 0, 0, 0, 7}) writer.Write(static_cast<uint8_t>(byte));
    };
  };
  constexpr auto f32 = DType::kF32, bf16 = DType::kBF16;
  const Bad cases[] = {
      {"unknown kind", f32, f32, bytes({4})},
      {"cast of a type to itself", f32, f32, bytes({1, 0})},
      {"cast of integers", DType::kI32, f32, bytes({1, 0})},
      {"cutting to F16", DType::kF16, f32, bytes({1, 1})},
      {"unknown rounding", bf16, f32, bytes({1, 2})},
      {"multiplied BF16", bf16, bf16, bytes({2, 1, 0, 1, 0, 3, 0})},
      {"no runs", f32, f32, bytes({2, 0})},
      {"unknown form", f32, f32, bytes({2, 1, 2, 1, 0, 3, 0})},
      {"a run without steps", f32, f32, bytes({2, 1, 0, 0, 0, 3, 0})},
      {"too many steps", f32, f32, bytes({2, 1, 0, 1, 16, 3, 0})},
      {"a negative factor", f32, f32, run(-0.5, 1)},
      {"a large factor", f32, f32, run(1e9, 1)},
      {"no number", f32, f32, run(std::bit_cast<double>(~uint64_t{0}), 1)},
      {"rank 0", f32, f32, low_rank(0, 10, 1)},
      {"rank 65", f32, f32, low_rank(65, 10, 1)},
      {"no columns", f32, f32, low_rank(1, 0, 1)},
      {"scale 0", f32, f32, low_rank(1, 10, 0)},
      {"a negative scale", f32, f32, low_rank(1, 10, -1)},
      {"an infinite scale", f32, f32, low_rank(1, 10, HUGE_VALF)},
      {"too many rows", f32, f32, low_rank(1, 10, 1), uint64_t{1} << 40},
      {"too many columns", f32, f32, low_rank(64, 1 << 20, 1)},
      {"low rank for F64", DType::kF64, f32, low_rank(1, 10, 1)},
  };
  for (const Bad& bad : cases) {
    ByteWriter writer;
    bad.write(writer);
    ReadCursor cursor(writer.bytes());
    EXPECT_FALSE(ParsePredictor(cursor, bad.dtype, bad.base_dtype, bad.element_count).ok()) << bad.what;
  }
  ByteWriter writer;
  low_rank(1, 10, 1)(writer);
  ReadCursor cursor(writer.bytes());
  EXPECT_TRUE(ParsePredictor(cursor, f32, f32, 1000).ok()) << "the table's good case";
}

TEST(Predict, GoesOnWithZerosBehindAShortBase) {
  for (const Predictor& predictor : AllKinds()) {
    const Bytes base(5 * ElementBytes(predictor.base_dtype), std::byte{0x3C});
    Bytes predicted(20 * ElementBytes(predictor.dtype), std::byte{1});
    Predict(predictor, 0, base, predicted);
    for (size_t i = 5 * ElementBytes(predictor.dtype); i < predicted.size(); ++i)
      EXPECT_EQ(predicted[i], std::byte{0}) << i;
  }
}

TEST(Predict, CastsThroughF32) {
  struct Case {
    DType base_dtype;
    DType dtype;
    bool is_truncated;
    Bytes base;
    Bytes expected;
  };
  const Case cases[] = {
      {DType::kF32, DType::kBF16, false, BytesOf<uint32_t>({0x3F808000, 0x3F818000, 0x80000000}),
       BytesOf<uint16_t>({0x3F80, 0x3F82, 0x8000})},
      {DType::kF32, DType::kBF16, true, BytesOf<uint32_t>({0x3F80FFFF}), BytesOf<uint16_t>({0x3F80})},
      {DType::kBF16, DType::kF32, false, BytesOf<uint16_t>({0x3F80, 0xFF80, 0x0001}),
       BytesOf<uint32_t>({0x3F800000, 0xFF800000, 0x00010000})},
      {DType::kF16, DType::kF64, false, BytesOf<uint16_t>({0x3C00, 0x0001}), BytesOf<double>({1.0, 0x1p-24})},
      {DType::kF64, DType::kF32, false, BytesOf<double>({1.0 + 0x1p-24, -0.0}), BytesOf<float>({1.0F, -0.0F})},
      {DType::kF16, DType::kBF16, false, BytesOf<uint16_t>({0x3C01}), BytesOf<uint16_t>({0x3F80})},
  };
  for (const Case& c : cases) {
    Bytes predicted(c.expected.size());
    Predict(MakeCastPredictor(c.base_dtype, c.dtype, c.is_truncated), 0, c.base, predicted);
    EXPECT_EQ(predicted, c.expected);
  }
}

TEST(Predict, TakesTheRowsThatAChunkBeginsIn) {
  const Predictor predictor = MakeLowRankPredictor(DType::kF32, DType::kF32, SomeFactors());
  const Bytes base(4 * 1000, std::byte{0x3C});
  Bytes whole(base.size()), part(4 * 700);
  Predict(predictor, 0, base, whole);
  Predict(predictor, 300, ByteSpan(base).subspan(1200), part);
  EXPECT_TRUE(std::equal(part.begin(), part.end(), whole.begin() + 1200));
  Bytes in_place = base;
  Predict(predictor, 0, in_place, in_place);
  EXPECT_EQ(in_place, whole);
}

}  // namespace
}  // namespace flyweight
