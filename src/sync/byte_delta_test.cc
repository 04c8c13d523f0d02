#include "flyweight/byte_delta.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "base/bytes.h"
#include "base/hash.h"
#include "entropy/zstd_coder.h"
#include "entropy/zstd_stream.h"

namespace flyweight {
namespace {

std::vector<std::byte> Noise(size_t size_bytes, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<std::byte> bytes(size_bytes);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random());
  return bytes;
}

std::vector<std::byte> Changed(std::vector<std::byte> bytes, unsigned seed) {
  std::mt19937 random(seed);
  for (std::byte& byte : bytes) {
    if (random() % 50 == 0) byte ^= std::byte{1};
  }
  return bytes;
}

std::vector<std::byte> FrameOf(ByteSpan content) {
  ZstdStreamEncoder encoder(1, content.size());
  EXPECT_TRUE(encoder.Append(content).ok());
  return std::move(encoder.Finish()).value();
}

constexpr size_t kSizes[] = {0, 1, 7, 8, 9, 1000, 65536, 65537, 300'001};

TEST(ByteDelta, XorGivesTheNewBytesAndTheOldOnesWhenDoneAgain) {
  for (size_t size_bytes : kSizes) {
    std::vector<std::byte> base = Noise(size_bytes, 1), current = Changed(base, 2), target = base;
    auto frame = EncodeXorDelta(current, base, 1);
    ASSERT_TRUE(frame.ok());
    ASSERT_TRUE(ApplyXorDelta(frame.value(), target).ok()) << size_bytes;
    EXPECT_TRUE(target == current) << size_bytes;
    ASSERT_TRUE(ApplyXorDelta(frame.value(), target).ok());
    EXPECT_TRUE(target == base) << size_bytes;
  }
}

TEST(ByteDelta, OverwriteGivesTheNewBytesAndCanBeUndone) {
  for (size_t size_bytes : kSizes) {
    std::vector<std::byte> base = Noise(size_bytes, 1), current = Changed(base, 2), target = base;
    auto frame = EncodeOverwriteDelta(current, base, 1);
    ASSERT_TRUE(frame.ok());
    auto undo = ApplyOverwriteDelta(frame.value(), target);
    ASSERT_TRUE(undo.ok()) << undo.error().message;
    EXPECT_TRUE(target == current) << size_bytes;
    UndoOverwriteDelta(undo.value(), target);
    EXPECT_TRUE(target == base) << size_bytes;
  }
}

TEST(ByteDelta, RefusesBasesOfAnotherSize) {
  std::vector<std::byte> base(10), current(11);
  EXPECT_EQ(EncodeXorDelta(current, base, 1).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(EncodeOverwriteDelta(current, base, 1).error().code, ErrorCode::kInvalidArgument);
}

TEST(ByteDelta, LeavesTheTargetAsItWasWhenAFrameIsCutDamagedTooShortOrTooLong) {
  constexpr size_t kBytes = 400'000;
  const std::vector<std::byte> base = Noise(kBytes, 1);
  std::vector<std::byte> frame = std::move(EncodeXorDelta(Noise(kBytes, 2), base, 1)).value();
  std::vector<std::vector<std::byte>> bad;
  bad.emplace_back();
  bad.emplace_back(frame.begin(), frame.end() - 1);
  bad.emplace_back(frame.begin(), frame.begin() + static_cast<ptrdiff_t>(frame.size() / 2));
  bad.push_back(frame);
  bad.back().push_back(std::byte{0});
  bad.push_back(FrameOf(Noise(kBytes - 1, 3)));
  bad.push_back(FrameOf(Noise(kBytes + 1, 3)));
  bad.push_back(FrameOf({}));
  for (size_t i = 0; i < bad.size(); ++i) {
    std::vector<std::byte> target = base;
    Status status = ApplyXorDelta(bad[i], target);
    EXPECT_FALSE(status.ok()) << i;
    EXPECT_TRUE(target == base) << i;
  }
}

TEST(ByteDelta, RefusesOverwritesThatAreNotOnePositionAfterAnotherInsideTheTensor) {
  auto frame = [](uint32_t count, std::vector<uint32_t> positions, size_t byte_count) {
    ByteWriter content;
    content.Write(count);
    for (uint32_t position : positions) content.Write(position);
    for (size_t i = 0; i < byte_count; ++i) content.Write(uint8_t{7});
    return FrameOf(content.bytes());
  };
  const std::vector<std::vector<std::byte>> bad = {frame(1, {100}, 1),         frame(2, {5, 5}, 2),
                                                   frame(2, {6, 5}, 2),        frame(2, {5, 6}, 1),
                                                   frame(2, {5, 6}, 3),        frame(2, {5}, 0),
                                                   frame(101, {}, 0),          frame(0xffffffff, {1, 2}, 2),
                                                   FrameOf(AsBytes("\1\0\0")), {},
                                                   frame(1, {0xffffffff}, 1)};
  for (size_t i = 0; i < bad.size(); ++i) {
    std::vector<std::byte> target(100);
    auto undo = ApplyOverwriteDelta(bad[i], target);
    EXPECT_FALSE(undo.ok()) << i;
    EXPECT_TRUE(target == std::vector<std::byte>(100)) << i;
  }
  std::vector<std::byte> target(100);
  EXPECT_TRUE(ApplyOverwriteDelta(frame(2, {5, 99}, 2), target).ok());
  EXPECT_EQ(target[5], std::byte{7});
  EXPECT_EQ(target[99], std::byte{7});
}

TEST(ByteDelta, FlippedBitsNeverWriteOutsideAndFailedOnesLeaveTheTarget) {
  const std::vector<std::byte> base = Noise(3000, 1), current = Changed(base, 2);
  for (bool is_xor : {true, false}) {
    std::vector<std::byte> frame =
        std::move(is_xor ? EncodeXorDelta(current, base, 1) : EncodeOverwriteDelta(current, base, 1)).value();
    for (size_t bit = 0; bit < frame.size() * 8; bit += 3) {
      frame[bit / 8] ^= static_cast<std::byte>(1 << (bit % 8));
      std::vector<std::byte> target = base;
      bool ok = is_xor ? ApplyXorDelta(frame, target).ok() : ApplyOverwriteDelta(frame, target).ok();
      EXPECT_TRUE(ok || target == base) << bit;
      frame[bit / 8] ^= static_cast<std::byte>(1 << (bit % 8));
    }
  }
}

TEST(ByteDelta, WideChecksumIsThatOfXxhash) { EXPECT_EQ(ToHex(WideChecksum({})), "99aa06d3014798d86001c324468d497f"); }

}  // namespace
}  // namespace flyweight
