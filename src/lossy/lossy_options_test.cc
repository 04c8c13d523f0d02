#include <gtest/gtest.h>

#include "flyweight/lossy.h"

namespace flyweight {
namespace {

TEST(ParseLossyOptions, ReadsMethods) {
  for (const auto& [text, name] : {std::pair{"fp16", "fp16"},
                                   {"F16", "fp16"},
                                   {"bf16", "bf16"},
                                   {"int8", "int8/64"},
                                   {"INT4:32", "int4/32"},
                                   {"int3:4096", "int3/4096"},
                                   {"int2:16", "int2/16"}}) {
    auto options = ParseLossyOptions(text);
    ASSERT_TRUE(options.ok()) << text;
    ASSERT_TRUE(options.value().method.has_value());
    EXPECT_EQ(NameOf(*options.value().method), name);
    EXPECT_TRUE(options.value().enabled());
    EXPECT_FALSE(options.value().is_adaptive());
  }
  EXPECT_FALSE(LossyOptions().enabled());
}

TEST(ParseLossyOptions, ReadsBudgets) {
  for (const auto& [text, bytes] : {std::pair<const char*, uint64_t>{"auto=1000", 1000},
                                    {"auto=1000B", 1000},
                                    {"auto=12.5M", 12'500'000},
                                    {"auto=40MiB", 40 << 20},
                                    {"auto=1.5gb", 1'500'000'000},
                                    {"AUTO=2Ki", 2048},
                                    {"auto=1T", 1'000'000'000'000}}) {
    auto options = ParseLossyOptions(text);
    ASSERT_TRUE(options.ok()) << text;
    EXPECT_EQ(options.value().budget_bytes, bytes) << text;
    EXPECT_TRUE(options.value().is_adaptive());
  }
  auto bits = ParseLossyOptions("auto=4.5bit");
  ASSERT_TRUE(bits.ok());
  EXPECT_EQ(bits.value().bits_per_element, 4.5);
  EXPECT_FALSE(bits.value().budget_bytes.has_value());
}

TEST(ParseLossyOptions, RefusesWhatItDoesNotKnow) {
  for (const char* text : {"",        "fp8",      "int",        "int1",       "int9",
                           "int8:",   "int8:48",  "int8:8",     "int8:8192",  "int8:64x",
                           "int-4",   "int4 ",    "auto",       "auto=",      "auto=0",
                           "auto=-5", "auto=nan", "auto=inf",   "auto=1e400", "auto=5x",
                           "auto=5i", "auto=5KK", "auto=65bit", "auto=0.1",   "auto=99999999999T",
                           "lossless"}) {
    auto options = ParseLossyOptions(text);
    ASSERT_FALSE(options.ok()) << text;
    EXPECT_EQ(options.error().code, ErrorCode::kInvalidArgument);
    EXPECT_NE(options.error().message.find("fp16"), std::string::npos);
  }
}

}  // namespace
}  // namespace flyweight
