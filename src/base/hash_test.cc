#include "base/hash.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "base/xxh3_kernels.h"
#include "support/random.h"

namespace flyweight {
namespace {

std::string Sha256Hex(std::string_view text) { return ToHex(Sha256(AsBytes(text))); }

TEST(Xxh3, GivesThePublishedValues) {
  // XXH3_64bits with seed 0, as the reference implementation gives them: the empty input, and short ones of other
  // length classes.
  EXPECT_EQ(Xxh3({}), 0x2D06800538D394C2U);
  EXPECT_EQ(Xxh3(AsBytes("a")), 0xE6C632B61E964E1FU);
  EXPECT_EQ(Xxh3(AsBytes("abc")), 0x78AF5F94892F3950U);
}

TEST(Xxh3, DependsOnEveryByteAndOnTheLength) {
  test::Random random(1);
  for (size_t size : {1U, 16U, 17U, 128U, 129U, 240U, 241U, 5000U}) {
    std::vector<std::byte> bytes = random.Bytes(size);
    uint64_t hash = Xxh3(bytes);
    EXPECT_EQ(hash, Xxh3(bytes));
    for (size_t at = 0; at < size; at += 1 + size / 50) {
      bytes[at] ^= std::byte{1};
      EXPECT_NE(Xxh3(bytes), hash) << size << " " << at;
      bytes[at] ^= std::byte{1};
    }
    EXPECT_NE(Xxh3(ByteSpan(bytes).first(size - 1)), hash);
  }
}

struct Xxh3Kernel {
  const char* name;
  uint64_t (*hash)(const void* bytes, size_t size);
};

std::vector<Xxh3Kernel> KernelsThisCpuRuns() {
  std::vector<Xxh3Kernel> kernels = {{"baseline", Xxh3Baseline}};
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi2")) {
    kernels.push_back({"avx2", Xxh3Avx2});
  }
  if (__builtin_cpu_supports("avx512vbmi2")) kernels.push_back({"avx512", Xxh3Avx512});
#endif
  return kernels;
}

TEST(Xxh3, IsTheSameFromEveryInstructionSet) {
  test::Random random(3);
  std::vector<std::byte> bytes = random.Bytes(70'000);
  for (size_t trial = 0; trial < 500; ++trial) {
    size_t size = trial < 300 ? trial : random.Size(60'000);
    ByteSpan piece = ByteSpan(bytes).subspan(static_cast<size_t>(random.Below(64)), size);
    uint64_t expected = Xxh3Baseline(piece.data(), piece.size());
    EXPECT_EQ(Xxh3(piece), expected);
    for (const Xxh3Kernel& kernel : KernelsThisCpuRuns()) {
      EXPECT_EQ(kernel.hash(piece.data(), size), expected) << kernel.name << " " << size;
    }
  }
}

TEST(Xxh3Stream, DoesNotDependOnThePieces) {
  test::Random random(4);
  std::vector<std::byte> bytes = random.Bytes(10'000);
  for (int trial = 0; trial < 200; ++trial) {
    ByteSpan rest = ByteSpan(bytes).first(random.Size(bytes.size()));
    uint64_t expected = Xxh3(rest);
    Xxh3Stream stream;
    while (!rest.empty()) {
      size_t count = random.Size(std::min<size_t>(rest.size(), 700));
      stream.Update(rest.first(count));
      rest = rest.subspan(count);
    }
    EXPECT_EQ(stream.Finish(), expected);
    EXPECT_EQ(stream.Finish(), expected);  // asking changes nothing
  }
}

TEST(Xxh3Stream, OfNothingIsTheHashOfNothing) {
  Xxh3Stream stream;
  stream.Update({});
  EXPECT_EQ(stream.Finish(), Xxh3({}));
}

TEST(Xxh3Stream, GoesOnFromACopy) {
  test::Random random(5);
  std::vector<std::byte> bytes = random.Bytes(2000);
  Xxh3Stream first;
  first.Update(ByteSpan(bytes).first(1234));
  Xxh3Stream copy = first;
  first.Update(AsBytes("another end"));
  copy.Update(ByteSpan(bytes).subspan(1234));
  EXPECT_EQ(copy.Finish(), Xxh3(bytes));
}

TEST(Sha256, GivesTheValuesOfTheStandard) {
  // FIPS 180-4 examples.
  EXPECT_EQ(Sha256Hex(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(Sha256Hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(Sha256Hex("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  EXPECT_EQ(Sha256Hex(std::string(1'000'000, 'a')), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(Sha256Stream, DoesNotDependOnThePieces) {
  test::Random random(2);
  std::vector<std::byte> bytes = random.Bytes(10'000);
  Digest whole = Sha256(bytes);
  for (int trial = 0; trial < 20; ++trial) {
    Sha256Stream stream;
    ByteSpan rest = bytes;
    while (!rest.empty()) {
      size_t count = static_cast<size_t>(random.Between(0, std::min<size_t>(rest.size(), 300)));
      stream.Update(rest.first(count));
      rest = rest.subspan(count);
    }
    EXPECT_EQ(stream.Finish(), whole);
  }
}

TEST(Sha256Stream, CanBeMovedHalfWay) {
  Sha256Stream first;
  first.Update(AsBytes("ab"));
  Sha256Stream second(std::move(first));
  second.Update(AsBytes("c"));
  Sha256Stream third;
  third = std::move(second);
  EXPECT_EQ(third.Finish(), Sha256(AsBytes("abc")));
}

TEST(Sha256Stream, OfNothingIsTheDigestOfNothing) {
  Sha256Stream stream;
  stream.Update({});
  EXPECT_EQ(stream.Finish(), Sha256({}));
}

TEST(ToHex, WritesTwoLowerCaseDigitsAByte) {
  std::byte bytes[] = {std::byte{0x00}, std::byte{0x0F}, std::byte{0xA5}, std::byte{0xFF}};
  EXPECT_EQ(ToHex(bytes), "000fa5ff");
  EXPECT_EQ(ToHex({}), "");
}

}  // namespace
}  // namespace flyweight
