#include "transform/class_fields/class_fields.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

#include "simd/isa.h"
#include "transform/packed_bits/packed_bits.h"

namespace flyweight {
namespace {

TEST(ClassOf, IsTheRoundedLogarithmInSteps) {
  for (unsigned bits = 0; bits <= kMaxContextBits; ++bits) {
    for (float ratio : {0.001F, 0.3F, 0.5F, 0.9F, 1.0F, 1.09F, 1.1F, 1.2F, 1.4F, 1.5F, 2.0F, 3.3F, 11.0F}) {
      double exact = std::log2(static_cast<double>(ratio)) * (1 << bits);
      double limited = std::min(63.0, std::max(-64.0, std::round(exact)));
      EXPECT_EQ(ClassOf(ratio, 1.0F, bits), static_cast<int>(limited)) << ratio << " " << bits;
    }
  }
}

TEST(ClassOf, IsZeroForWhatHasNoScale) {
  EXPECT_EQ(ClassOf(0, 1, 2), 0);
  EXPECT_EQ(ClassOf(1, 0, 2), 0);
  EXPECT_EQ(ClassOf(INFINITY, 1, 2), 0);
  EXPECT_EQ(ClassOf(NAN, 1, 2), 0);
  EXPECT_EQ(ClassOf(1e30F, 1e-5F, 2), kClassLimit - 1);
}

TEST(ClassField, GivesEachWordItsRowsAndColumnsClassOnEveryIsa) {
  std::vector<int8_t> rows = {-64, 5, 63}, columns;
  for (int c = 0; c < 70; ++c) columns.push_back(static_cast<int8_t>(c % 128 - 64));
  for (unsigned bits : {0U, 2U, 4U}) {
    for (bool shifts : {true, false}) {
      ClassField field{rows.data(), columns.data(), 70, 20, bits, shifts};
      for (Isa isa : SupportedIsas()) {
        ForceIsa(isa);
        std::vector<uint8_t> contexts(180), moved(180);
        field.Expand(10, 180, contexts.data(), moved.data());
        for (size_t i = 0; i < 180; ++i) {
          size_t word = 20 + 10 + i;
          int sum = rows[word / 70] + columns[word % 70];
          if (shifts) {
            EXPECT_EQ(contexts[i], sum & ((1 << bits) - 1));
            EXPECT_EQ(static_cast<int8_t>(moved[i]), sum >> bits);
          } else {
            EXPECT_EQ(contexts[i], std::min(std::max(sum + (1 << bits) / 2, 0), (1 << bits) - 1));
          }
        }
      }
      ForceIsa(std::nullopt);
    }
  }
}

TEST(SplitHeads, IsUndoneByJoinHeadsOnEveryIsa) {
  std::mt19937 random(1);
  constexpr size_t kCount = 9000;
  for (ClassLayout layout : {ClassLayout::kBF16, ClassLayout::kF16, ClassLayout::kF8}) {
    size_t head_bytes = Describe(layout).head_bytes;
    std::vector<std::byte> heads(kCount * head_bytes);
    std::vector<uint8_t> shifts(kCount);
    for (std::byte& byte : heads) byte = static_cast<std::byte>(random());
    for (uint8_t& shift : shifts) shift = static_cast<uint8_t>(random() % 9 - 4);
    for (Isa isa : SupportedIsas()) {
      ForceIsa(isa);
      std::vector<uint8_t> memory(kCount * 5);
      uint8_t* at = memory.data();
      HeadFields fields{at, at + kCount, at + 2 * kCount, at + 3 * kCount, at + 4 * kCount};
      SplitHeads(layout, heads.data(), kCount, shifts.data(), 100, fields);
      std::vector<std::byte> joined(heads.size());
      JoinHeads(layout, fields, kCount, shifts.data(), 100, joined.data());
      size_t outside = 0;
      for (size_t i = 0; i < kCount; ++i) {
        outside += fields.outside[i];
        if (fields.outside[i] != 0) continue;
        for (size_t b = 0; b < head_bytes; ++b) ASSERT_EQ(joined[i * head_bytes + b], heads[i * head_bytes + b]);
      }
      EXPECT_LT(outside, kCount * 9 / 10 + (layout == ClassLayout::kF16 ? kCount : 0));
    }
    ForceIsa(std::nullopt);
  }
}

TEST(PackBits, IsUndoneByUnpackBitsForEveryCount) {
  std::mt19937 random(2);
  for (unsigned bits : {1U, 4U}) {
    for (size_t count : {0, 1, 7, 8, 9, 63, 511, 512, 513, 1024, 5000}) {
      std::vector<uint8_t> values(count), unpacked(count);
      for (uint8_t& value : values) value = static_cast<uint8_t>(random() & ((1U << bits) - 1));
      for (Isa isa : SupportedIsas()) {
        ForceIsa(isa);
        std::vector<uint8_t> packed(PackedBytes(count, bits));
        PackBits(values.data(), count, bits, packed.data());
        UnpackBits(packed.data(), count, bits, unpacked.data());
        EXPECT_EQ(unpacked, values) << count;
      }
      ForceIsa(std::nullopt);
      EXPECT_EQ(PackedBytes(count, bits), count / 512 * 64 * bits + (count % 512 * bits + 7) / 8);
    }
  }
}

TEST(WidenF8, KeepsTheOrderOfMagnitudes) {
  for (DType dtype : {DType::kF8E4M3, DType::kF8E5M2, DType::kF8E4M3FNUZ, DType::kF8E5M2FNUZ}) {
    std::byte words[120];
    for (unsigned i = 0; i < 120; ++i) words[i] = static_cast<std::byte>(i);
    uint16_t heads[120];
    WidenF8(dtype, words, 120, reinterpret_cast<std::byte*>(heads));
    for (unsigned i = 1; i < 120; ++i) EXPECT_GT(heads[i], heads[i - 1]) << i;
  }
}

}  // namespace
}  // namespace flyweight
