#include "pipeline/pieces.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace flyweight {
namespace {

using testing::ElementsAre;

IndexExtent Record(DType dtype, Shape shape) {
  IndexExtent extent;
  extent.place = PlaceKind::kRecord;
  extent.is_tensor = true;
  extent.dtype = dtype;
  extent.decoded_bytes = *TensorBytes(dtype, shape);
  extent.shape = std::move(shape);
  return extent;
}

TEST(PieceMaker, PutsOwnBytesBetweenTheRepeats) {
  IndexExtent extent = Record(DType::kBF16, {500000});
  PieceMaker maker;
  maker.Apply(3, {{2000, 402000, 0, 1}, {600000, 900000, 500000, 2}}, extent);
  EXPECT_EQ(extent.place, PlaceKind::kPieces);
  EXPECT_EQ(extent.own_bytes, 300000U);
  EXPECT_THAT(extent.pieces, ElementsAre(IndexPiece{2000, 3, 0}, IndexPiece{400000, 1, 0}, IndexPiece{198000, 3, 2000},
                                         IndexPiece{300000, 2, 500000}, IndexPiece{100000, 3, 200000}));
}

TEST(PieceMaker, CutsRepeatsToElements) {
  IndexExtent extent = Record(DType::kF32, {500000});
  PieceMaker maker;
  maker.Apply(1, {{2001, 402003, 5, 0}}, extent);
  EXPECT_THAT(extent.pieces,
              ElementsAre(IndexPiece{2004, 1, 0}, IndexPiece{399996, 0, 8}, IndexPiece{1598000, 1, 2004}));
}

TEST(PieceMaker, CutsRepeatsToRowsWhereThatCostsLittle) {
  IndexExtent extent = Record(DType::kBF16, {1000, 500});
  PieceMaker maker;
  maker.Apply(1, {{2500, 902500, 500, 0}}, extent);
  EXPECT_THAT(extent.pieces,
              ElementsAre(IndexPiece{3000, 1, 0}, IndexPiece{899000, 0, 1000}, IndexPiece{98000, 1, 3000}));
}

TEST(PieceMaker, GivesUpRowsOnlyForMuch) {
  // Repeats of half a row each: cut to rows nothing is left of them.
  std::vector<RepeatMatch> matches;
  for (uint64_t row = 0; row < 100; ++row) matches.push_back({row * 10000, row * 10000 + 5000, row * 5000, 0});
  IndexExtent many = Record(DType::kBF16, {100, 5000});
  PieceMaker().Apply(1, matches, many);
  EXPECT_EQ(many.own_bytes, 500000U);
  matches.resize(20);
  IndexExtent few = Record(DType::kBF16, {100, 5000});
  PieceMaker().Apply(1, matches, few);
  EXPECT_EQ(few.place, PlaceKind::kRecord);
}

TEST(PieceMaker, PointsAtRecordsWhereARepeatIsOfARepeat) {
  PieceMaker maker;
  IndexExtent second = Record(DType::kU8, {300000});
  maker.Apply(1, {{100000, 200000, 50000, 0}}, second);
  IndexExtent third = Record(DType::kU8, {300000});
  maker.Apply(2, {{0, 280000, 10000, 1}}, third);
  EXPECT_THAT(third.pieces, ElementsAre(IndexPiece{90000, 1, 10000}, IndexPiece{100000, 0, 50000},
                                        IndexPiece{90000, 1, 100000}, IndexPiece{20000, 2, 0}));
}

TEST(PieceMaker, UnrollsRepeatsOfItself) {
  IndexExtent extent = Record(DType::kU8, {350000});
  PieceMaker().Apply(0, {{100000, 350000, 0, 0}}, extent);
  EXPECT_THAT(extent.pieces, ElementsAre(IndexPiece{100000, 0, 0}, IndexPiece{100000, 0, 0}, IndexPiece{100000, 0, 0},
                                         IndexPiece{50000, 0, 0}));
  EXPECT_EQ(extent.own_bytes, 100000U);
}

TEST(PieceMaker, TakesSeveralShortPeriodsAsOne) {
  IndexExtent extent = Record(DType::kU8, {1000000});
  PieceMaker().Apply(0, {{30, 1000000, 20, 0}}, extent);
  EXPECT_LT(extent.pieces.size(), 20U);
  EXPECT_LT(extent.own_bytes, 100000U);
  uint64_t own_end = 0, total = 0;
  for (const IndexPiece& piece : extent.pieces) {
    if (piece.offset == own_end) own_end += piece.size_bytes;
    EXPECT_EQ((total - piece.offset) % 10, 0U) << "the content has a period of 10";
    total += piece.size_bytes;
  }
  EXPECT_EQ(total, extent.decoded_bytes);
}

TEST(PieceMaker, LeavesShortRepeatsToZstd) {
  IndexExtent extent = Record(DType::kI64, {100000});
  PieceMaker().Apply(1, {{0, 16000, 0, 0}, {40000, 48000, 0, 0}}, extent);
  EXPECT_EQ(extent.place, PlaceKind::kRecord);
  PieceMaker().Apply(1, {{0, 16384, 0, 0}}, extent);
  EXPECT_EQ(extent.place, PlaceKind::kPieces);
}

}  // namespace
}  // namespace flyweight
