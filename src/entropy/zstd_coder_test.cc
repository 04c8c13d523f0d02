#include "entropy/zstd_coder.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "support/matchers.h"
#include "support/random.h"

namespace flyweight {
namespace {

using test::FailsWith;
using test::IsOk;
using Bytes = std::vector<std::byte>;

Bytes Compressible(size_t size_bytes) {
  Bytes bytes(size_bytes);
  test::Random random(size_bytes);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random.Below(5));
  return bytes;
}

Bytes EncodeAll(ZstdCoder& zstd, ByteSpan source) {
  Bytes target(source.size() + 64);
  target.resize(zstd.Encode(source, target, 3));
  EXPECT_FALSE(target.empty());
  return target;
}

// A frame of one raw block that declares its window, which the encoder here never does for small content.
Bytes FrameWithWindow(uint8_t window_descriptor, std::string_view content) {
  ByteWriter writer;
  writer.Write(uint32_t{0xFD2FB528});
  writer.Write(uint8_t{0});  // no content size, no checksum, no dictionary, not a single segment
  writer.Write(window_descriptor);
  auto block_header = static_cast<uint32_t>(content.size() << 3 | 1);  // the last block, raw
  writer.Write(static_cast<uint16_t>(block_header));
  writer.Write(static_cast<uint8_t>(block_header >> 16));
  writer.Append(AsBytes(content));
  return writer.Release();
}

TEST(ZstdCoder, RoundTripsEverySizeWithOneCoder) {
  ZstdCoder zstd;
  for (size_t size : {0, 1, 2, 100, 4096, 65537, 1 << 20}) {
    Bytes source = Compressible(size);
    Bytes coded = EncodeAll(zstd, source);
    Bytes decoded(size);
    EXPECT_THAT(zstd.Decode(coded, decoded), IsOk());
    EXPECT_TRUE(decoded == source) << size;
  }
}

TEST(ZstdCoder, GivesTheSameBytesWhateverItCodedBefore) {
  Bytes source = Compressible(50000);
  ZstdCoder fresh, used;
  EncodeAll(used, Compressible(123456));
  EXPECT_TRUE(EncodeAll(fresh, source) == EncodeAll(used, source));
}

TEST(ZstdCoder, ReturnsZeroWhereTheFrameDoesNotFit) {
  ZstdCoder zstd;
  Bytes source = Compressible(5000);
  Bytes exact(EncodeAll(zstd, source).size() - 1);
  EXPECT_EQ(zstd.Encode(source, exact, 3), 0U);
  EXPECT_EQ(zstd.Encode(source, {}, 3), 0U);
}

TEST(ZstdCoder, RefusesATargetOfAnotherSize) {
  ZstdCoder zstd;
  Bytes coded = EncodeAll(zstd, Compressible(1000));
  for (size_t size : {0, 1, 999, 1001, 2000}) {
    Bytes target(size);
    EXPECT_THAT(zstd.Decode(coded, target), FailsWith(ErrorCode::kCorrupt)) << size;
  }
}

TEST(ZstdCoder, RefusesAFrameCutOffAnywhere) {
  ZstdCoder zstd;
  Bytes coded = EncodeAll(zstd, Compressible(300));
  Bytes target(300);
  for (size_t size = 0; size < coded.size(); ++size) {
    Bytes cut(coded.begin(), coded.begin() + static_cast<ptrdiff_t>(size));
    EXPECT_THAT(zstd.Decode(cut, target), FailsWith(ErrorCode::kCorrupt)) << size;
  }
}

TEST(ZstdCoder, RefusesTrailingBytes) {
  ZstdCoder zstd;
  Bytes coded = EncodeAll(zstd, Compressible(300));
  coded.push_back(std::byte{0});
  Bytes target(300);
  EXPECT_THAT(zstd.Decode(coded, target), FailsWith(ErrorCode::kCorrupt));
}

TEST(ZstdCoder, RefusesTwoFramesThatTogetherFillTheTarget) {
  ZstdCoder zstd;
  Bytes source = Compressible(600);
  Bytes coded = EncodeAll(zstd, ByteSpan(source).first(300));
  Bytes second = EncodeAll(zstd, ByteSpan(source).subspan(300));
  coded.insert(coded.end(), second.begin(), second.end());
  Bytes target(600);
  EXPECT_THAT(zstd.Decode(coded, target), FailsWith(ErrorCode::kCorrupt));
}

TEST(ZstdCoder, RefusesASkippableFrame) {
  ByteWriter skippable;
  skippable.Write(uint32_t{0x184D2A50});
  skippable.Write(uint32_t{3});
  skippable.Append(AsBytes("abc"));
  ZstdCoder zstd;
  EXPECT_THAT(zstd.Decode(skippable.bytes(), {}), FailsWith(ErrorCode::kCorrupt));
}

TEST(ZstdCoder, TakesAWindowOf8MiBAndNoLarger) {
  ZstdCoder zstd;
  Bytes target(4);
  constexpr unsigned k8MiB = (23 - 10) << 3;
  EXPECT_THAT(zstd.Decode(FrameWithWindow(0, "abcd"), target), IsOk());
  EXPECT_THAT(zstd.Decode(FrameWithWindow(k8MiB - 1, "abcd"), target), IsOk());
  EXPECT_THAT(zstd.Decode(FrameWithWindow(k8MiB, "abcd"), target), IsOk());
  EXPECT_EQ(AsText(target), "abcd");
  for (unsigned larger : {k8MiB + 1, k8MiB + 8, (27U - 10) << 3, 0xFFU}) {
    EXPECT_THAT(zstd.Decode(FrameWithWindow(static_cast<uint8_t>(larger), "abcd"), target),
                FailsWith(ErrorCode::kCorrupt))
        << larger;
  }
}

TEST(ZstdCoder, SurvivesRandomBytes) {
  ZstdCoder zstd;
  test::Random random(3);
  Bytes target(256);
  for (int i = 0; i < 2000; ++i) {
    Bytes bytes = random.Bytes(random.Below(64));
    uint32_t magic = 0xFD2FB528;
    if (bytes.size() >= sizeof magic) StoreLe(bytes.data(), magic);
    (void)zstd.Decode(bytes, target);
  }
  Bytes source = Compressible(256);
  EXPECT_THAT(zstd.Decode(EncodeAll(zstd, source), target), IsOk());
  EXPECT_TRUE(target == source);
}

}  // namespace
}  // namespace flyweight
