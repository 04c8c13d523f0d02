#include "lossy/lossy_report.h"

#include <gtest/gtest.h>

#include <limits>

namespace flyweight {
namespace {

const std::vector<LossyRow> kRows = {{1, {LossyMethod::kF16, 16, false, 0}, 0.5, 0.25},
                                     {7, {LossyMethod::kBlocks, 4, true, 64}, 1e-3, 1e-4}};

TEST(LossyRows, SurviveTheirBytes) {
  std::vector<std::byte> bytes = WriteLossyRows(kRows);
  EXPECT_EQ(bytes.size(), 2 * kLossyRowBytes);
  auto rows = ParseLossyRows(bytes, 8);
  ASSERT_TRUE(rows.ok()) << rows.error().message;
  EXPECT_EQ(rows.value(), kRows);
}

TEST(LossyRows, EveryImpossibleFieldIsRefused) {
  const double kNan = std::numeric_limits<double>::quiet_NaN();
  struct Case {
    size_t offset;
    std::vector<uint8_t> bytes;
  };
  auto of_double = [](double value) {
    std::vector<uint8_t> bytes(8);
    StoreLe(bytes.data(), value);
    return bytes;
  };
  for (const Case& broken : {Case{28, {1, 0, 0, 0}},
                             {28, {8, 0, 0, 0}},
                             {0, {7, 0, 0, 0}},
                             {4, {0}},
                             {4, {4}},
                             {5, {8}},
                             {6, {1}},
                             {6, {2}},
                             {7, {1}},
                             {8, {64}},
                             {33, {1}},
                             {33, {9}},
                             {34, {3}},
                             {36, {48}},
                             {36, {8}},
                             {36, {0, 32}},
                             {40, of_double(-1)},
                             {40, of_double(kNan)},
                             {48, of_double(std::numeric_limits<double>::infinity())},
                             {48, of_double(-0.0)}}) {
    std::vector<std::byte> bytes = WriteLossyRows(kRows);
    for (size_t i = 0; i < broken.bytes.size(); ++i) bytes[broken.offset + i] = static_cast<std::byte>(broken.bytes[i]);
    EXPECT_FALSE(ParseLossyRows(bytes, 8).ok()) << broken.offset;
  }
  std::vector<std::byte> bytes = WriteLossyRows(kRows);
  EXPECT_FALSE(ParseLossyRows(bytes, 1).ok());
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_EQ(ParseLossyRows(ByteSpan(bytes).first(size), 8).ok(), size == kLossyRowBytes) << size;
  }
}

TEST(OriginalFile, SurvivesItsBytesAndNothingElseDoes) {
  OriginalFile original{12345, Sha256(AsBytes("original"))};
  std::vector<std::byte> bytes = WriteOriginalFile(original);
  auto parsed = ParseOriginalFile(bytes);
  ASSERT_TRUE(parsed.ok());
  EXPECT_EQ(parsed.value().file_bytes, 12345u);
  EXPECT_EQ(parsed.value().sha256, original.sha256);
  bytes.push_back(std::byte{0});
  EXPECT_FALSE(ParseOriginalFile(bytes).ok());
  EXPECT_FALSE(ParseOriginalFile(ByteSpan(bytes).first(39)).ok());
}

}  // namespace
}  // namespace flyweight
