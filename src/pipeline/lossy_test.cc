#include <cmath>
#include <limits>

#include "base/hash.h"
#include "codec/record.h"
#include "flyweight/pipeline.h"
#include "lossy/error_sums.h"
#include "simd/isa.h"
#include "support/matchers.h"
#include "support/safetensors_file.h"
#include "support/temp_dir.h"
#include "support/weights.h"

namespace flyweight {
namespace {

using test::FailsWith;
using test::IsOk;
using test::Pattern;
using test::Random;
using test::ReadFile;
using test::TempDir;
using test::WriteFile;
using testing::HasSubstr;
using Bytes = std::vector<std::byte>;

test::SafetensorsEntry Entry(std::string name, DType dtype, std::vector<uint64_t> shape, Bytes bytes) {
  return {std::move(name), std::string(Describe(dtype).name), std::move(shape), std::move(bytes)};
}

test::SafetensorsEntry Weights(std::string name, DType dtype, uint64_t rows, uint64_t columns, uint64_t seed) {
  Random random(seed);
  return Entry(std::move(name), dtype, {rows, columns},
               test::MakeTensor(dtype, rows, columns, Pattern::kWeights, random));
}

/// Weights of every kind that can and that cannot be lossy.
std::vector<test::SafetensorsEntry> Model() {
  Random random(1);
  std::vector<test::SafetensorsEntry> entries = {
      Weights("f32", DType::kF32, 600, 512, 2),  // two chunks
      Weights("f64", DType::kF64, 100, 128, 3),
      Weights("f16", DType::kF16, 100, 130, 4),
      Weights("bf16", DType::kBF16, 100, 130, 5),
      Weights("f8", DType::kF8E4M3, 100, 100, 6),
      Weights("int", DType::kI64, 80, 80, 7),
      Entry("norm", DType::kF32, {5000}, test::MakeTensor(DType::kF32, 1, 5000, Pattern::kWeights, random)),
      Entry("small", DType::kF32, {60, 60}, test::MakeTensor(DType::kF32, 60, 60, Pattern::kWeights, random)),
      Entry("scalar", DType::kF32, {}, test::MakeTensor(DType::kF32, 1, 1, Pattern::kWeights, random)),
      Entry("empty", DType::kF32, {0, 64}, {}),
      Entry("zeros", DType::kF32, {100, 100}, Bytes(40000)),
  };
  entries.push_back(entries[0]);
  entries.back().name = "tied";
  // The same bytes as another type: they may not become lossy by sharing a record.
  entries.push_back(Entry("bits", DType::kU32, {600, 512}, entries[0].bytes));
  return entries;
}

struct RoundTrip {
  ArchiveListing listing;
  Bytes archive;
  Bytes restored;
};

Result<RoundTrip> RoundTripOf(const Bytes& source, std::string_view lossy, size_t thread_count = 0) {
  TempDir directory;
  std::string path = directory.File("model.safetensors");
  WriteFile(path, source);
  CompressOptions options;
  options.thread_count = thread_count;
  FLYWEIGHT_ASSIGN(options.lossy, ParseLossyOptions(lossy));
  FLYWEIGHT_ASSIGN(CompressSummary summary, CompressFile(path, path + ".fly", options));
  RoundTrip trip;
  FLYWEIGHT_ASSIGN(trip.listing, ListArchive(path + ".fly"));
  FLYWEIGHT_TRY(VerifyFile(path + ".fly", {}));
  FLYWEIGHT_ASSIGN(DecompressSummary decompressed, DecompressFile(path + ".fly", path + ".out", {}));
  trip.archive = ReadFile(path + ".fly");
  trip.restored = ReadFile(path + ".out");
  EXPECT_EQ(ReadFile(path), source);
  EXPECT_EQ(summary.archive_bytes, trip.archive.size());
  EXPECT_EQ(decompressed.file_bytes, trip.restored.size());
  return trip;
}

/// Bytes of the tensors of a file, by their place in the listing.
void ForEachTensor(const RoundTrip& trip, const Bytes& source,
                   const std::function<void(const ListedTensor&, ByteSpan, ByteSpan)>& visit) {
  ASSERT_EQ(trip.restored.size(), source.size());
  size_t offset = 0;
  for (const ListedTensor& extent : trip.listing.extents) {
    auto size = static_cast<size_t>(extent.decoded_bytes);
    visit(extent, ByteSpan(source).subspan(offset, size), ByteSpan(trip.restored).subspan(offset, size));
    offset += size;
  }
}

/// Every tensor is either what it was, or has the error that the listing says.
void ExpectRecordedErrors(const RoundTrip& trip, const Bytes& source) {
  ForEachTensor(trip, source, [](const ListedTensor& tensor, ByteSpan before, ByteSpan after) {
    bool is_equal = std::equal(before.begin(), before.end(), after.begin());
    EXPECT_EQ(is_equal, !tensor.lossy.has_value()) << tensor.name;
    if (!tensor.lossy.has_value()) return;
    double worst = MeasureErrors(tensor.dtype, before, after).max_abs;
    EXPECT_EQ(worst, tensor.lossy->max_error) << tensor.name;
    EXPECT_GT(tensor.lossy->rms_error, 0) << tensor.name;
    EXPECT_LE(tensor.lossy->rms_error, tensor.lossy->max_error) << tensor.name;
  });
}

std::map<std::string, std::string> MethodsOf(const ArchiveListing& listing) {
  std::map<std::string, std::string> methods;
  for (const ListedTensor& tensor : listing.extents) {
    if (tensor.lossy.has_value()) methods[tensor.name] = tensor.lossy->method;
  }
  return methods;
}

using Methods = std::map<std::string, std::string>;

/// Whether blocks got minima is for the error to decide.
Methods WithoutMinima(Methods methods) {
  for (auto& [name, method] : methods) method = method.substr(0, method.find("+min"));
  return methods;
}

TEST(Lossy, EachMethodIsForTheTensorsThatItMakesSmaller) {
  Bytes source = test::BuildSafetensors(Model());
  const std::pair<const char*, Methods> kCases[] = {
      {"fp16", {{"f32", "fp16"}, {"f64", "fp16"}, {"norm", "fp16"}, {"small", "fp16"}, {"tied", "fp16"}}},
      {"bf16", {{"f32", "bf16"}, {"f64", "bf16"}, {"norm", "bf16"}, {"small", "bf16"}, {"tied", "bf16"}}},
      {"int8", {{"f32", "int8/64"}, {"f64", "int8/64"}, {"f16", "int8/64"}, {"bf16", "int8/64"}, {"tied", "int8/64"}}},
      {"int4:32",
       {{"f32", "int4/32"}, {"f64", "int4/32"}, {"f16", "int4/32"}, {"bf16", "int4/32"}, {"tied", "int4/32"}}},
  };
  for (const auto& [method, expected] : kCases) {
    auto trip = RoundTripOf(source, method);
    ASSERT_THAT(trip, IsOk()) << method;
    EXPECT_EQ(WithoutMinima(MethodsOf(trip.value().listing)), expected) << method;
    EXPECT_TRUE(trip.value().listing.is_lossy);
    EXPECT_TRUE(trip.value().listing.files[0].is_lossy);
    EXPECT_EQ(trip.value().listing.files[0].sha256_hex, ToHex(Sha256(trip.value().restored)));
    EXPECT_EQ(trip.value().listing.files[0].original_sha256_hex, ToHex(Sha256(source)));
    ExpectRecordedErrors(trip.value(), source);
  }
}

TEST(Lossy, NothingIsLossyThatWasNotAskedToBe) {
  TempDir directory;
  std::string path = directory.File("model.safetensors");
  Bytes source = test::BuildSafetensors(Model());
  WriteFile(path, source);
  ASSERT_THAT(CompressFile(path, path + ".fly", {}), IsOk());
  auto listing = ListArchive(path + ".fly");
  ASSERT_THAT(listing, IsOk());
  EXPECT_FALSE(listing.value().is_lossy);
  EXPECT_FALSE(listing.value().files[0].is_lossy);
  EXPECT_TRUE(MethodsOf(listing.value()).empty());
  EXPECT_TRUE(listing.value().files[0].original_sha256_hex.empty());
}

TEST(Lossy, AFileWithoutFloatsStaysLossless) {
  Bytes source = test::BuildSafetensors({Weights("int", DType::kI32, 100, 100, 1)});
  auto trip = RoundTripOf(source, "int4");
  ASSERT_THAT(trip, IsOk());
  EXPECT_FALSE(trip.value().listing.is_lossy);
  EXPECT_EQ(trip.value().restored, source);
}

TEST(Lossy, ThreadsAndInstructionSetsGiveTheSameBytes) {
  Bytes source = test::BuildSafetensors(Model());
  for (const char* method : {"fp16", "int4", "auto=12bit"}) {
    auto expected = RoundTripOf(source, method, 1);
    ASSERT_THAT(expected, IsOk());
    for (Isa isa : SupportedIsas()) {
      ASSERT_TRUE(ForceIsa(isa));
      auto trip = RoundTripOf(source, method, 4);
      ASSERT_THAT(trip, IsOk());
      EXPECT_EQ(trip.value().archive, expected.value().archive) << method << " " << IsaName(isa);
    }
    ForceIsa(std::nullopt);
  }
}

/// A matrix of weights in which some elements are others.
Bytes WeightsWith(std::vector<float> others) {
  Bytes bytes = Weights("", DType::kF32, 100, 100, 9).bytes;
  for (size_t i = 0; i < others.size(); ++i) StoreLe(bytes.data() + 4 * (37 + 101 * i), others[i]);
  return bytes;
}

TEST(Lossy, WhatAMethodCannotHoldGetsAnotherOrStaysLossless) {
  constexpr float kInf = std::numeric_limits<float>::infinity();
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  Random random(3);
  Bytes tiny = test::MakeTensor(DType::kF32, 100, 100, Pattern::kPlainGaussian, random);
  for (size_t i = 0; i < 10000; ++i) StoreLe(tiny.data() + 4 * i, LoadLe<float>(tiny.data() + 4 * i) * 1e-8F);
  Bytes source = test::BuildSafetensors({
      Entry("large", DType::kF32, {100, 100}, WeightsWith({1e5F})),
      Entry("largest", DType::kF32, {100, 100}, WeightsWith({std::numeric_limits<float>::max()})),
      Entry("specials", DType::kF32, {100, 100}, WeightsWith({kInf, -kInf, kNan, -0.0F, 1e-42F})),
      Entry("tiny", DType::kF32, {100, 100}, tiny),
  });
  auto halves = RoundTripOf(source, "fp16");
  ASSERT_THAT(halves, IsOk());
  EXPECT_EQ(MethodsOf(halves.value().listing), (Methods{{"large", "bf16"}, {"specials", "fp16"}, {"tiny", "bf16"}}));
  ForEachTensor(halves.value(), source, [](const ListedTensor& tensor, ByteSpan before, ByteSpan after) {
    for (size_t i = 0; i + 4 <= before.size() && tensor.name == "specials"; i += 4) {
      float a = LoadLe<float>(before.data() + i), b = LoadLe<float>(after.data() + i);
      EXPECT_EQ(std::isnan(a), std::isnan(b));
      EXPECT_EQ(std::isinf(a), std::isinf(b));
      EXPECT_EQ(std::signbit(a), std::signbit(b));
    }
  });
  auto blocks = RoundTripOf(source, "int8");
  ASSERT_THAT(blocks, IsOk());
  EXPECT_EQ(MethodsOf(blocks.value().listing), (Methods{{"large", "int8/64"}, {"tiny", "int8/64"}}));
}

TEST(Lossy, BlocksOfOneSignGetMinima) {
  Bytes bytes(4 * 64 * 256);
  Random random(4);
  for (size_t i = 0; i < 64 * 256; ++i) StoreLe(bytes.data() + 4 * i, static_cast<float>(5 + random.Unit()));
  Bytes source = test::BuildSafetensors({Entry("ones", DType::kF32, {64, 256}, bytes)});
  auto trip = RoundTripOf(source, "int4");
  ASSERT_THAT(trip, IsOk());
  EXPECT_EQ(MethodsOf(trip.value().listing), (Methods{{"ones", "int4/64+min"}}));
  ExpectRecordedErrors(trip.value(), source);
}

TEST(Lossy, BudgetsAreMetAndMoreGivesLessError) {
  std::vector<test::SafetensorsEntry> entries;
  for (uint64_t i = 0; i < 6; ++i) entries.push_back(Weights("w" + std::to_string(i), DType::kF32, 300, 400, i));
  Bytes source = test::BuildSafetensors(entries);
  double last_error = std::numeric_limits<double>::infinity();
  for (double bits : {4.0, 5.5, 8.5, 12.0}) {
    auto trip = RoundTripOf(source, "auto=" + std::to_string(bits) + "bit");
    ASSERT_THAT(trip, IsOk());
    EXPECT_LE(static_cast<double>(trip.value().archive.size()), bits / 8 * 720000 * 1.01) << bits;
    EXPECT_GE(static_cast<double>(trip.value().archive.size()), bits / 8 * 720000 * 0.75) << bits;
    ExpectRecordedErrors(trip.value(), source);
    double error = 0;
    for (const ListedTensor& tensor : trip.value().listing.extents) {
      if (tensor.lossy.has_value()) error += tensor.lossy->rms_error * tensor.lossy->rms_error;
    }
    EXPECT_LT(error, last_error) << bits;
    last_error = error;
  }
  auto lossless = RoundTripOf(source, "auto=1G");
  ASSERT_THAT(lossless, IsOk());
  EXPECT_EQ(lossless.value().restored, source);
  EXPECT_FALSE(lossless.value().listing.is_lossy);
  auto impossible = RoundTripOf(source, "auto=1.5bit");
  ASSERT_THAT(impossible, FailsWith(ErrorCode::kInvalidArgument));
  EXPECT_THAT(impossible.error().message, HasSubstr("at least"));
}

TEST(Lossy, NeverRemovesItsSource) {
  TempDir directory;
  std::string path = directory.File("model.safetensors");
  WriteFile(path, test::BuildSafetensors(Model()));
  CompressOptions options;
  options.lossy = ParseLossyOptions("fp16").value();
  options.remove_source = true;
  EXPECT_THAT(CompressFile(path, path + ".fly", options), FailsWith(ErrorCode::kInvalidArgument));
  EXPECT_FALSE(ReadFile(path).empty());
}

TEST(Lossy, NoFlippedBitIsSilent) {
  TempDir directory;
  Bytes source = test::BuildSafetensors({Weights("w", DType::kF32, 70, 64, 1), Weights("v", DType::kF32, 70, 64, 2)});
  Random random(8);
  for (const char* method : {"fp16", "bf16", "int8", "int4"}) {
    auto trip = RoundTripOf(source, method);
    ASSERT_THAT(trip, IsOk());
    for (int round = 0; round < 300; ++round) {
      Bytes damaged = trip.value().archive;
      size_t bit = random.Below(damaged.size() * 8);
      damaged[bit / 8] ^= static_cast<std::byte>(1 << bit % 8);
      Bytes decoded(source.size());
      auto archive = Archive::OpenBytes(damaged);
      bool is_noticed = !archive.ok() || !archive.value().DecodeFile(decoded, 1, true).ok();
      if (is_noticed) continue;
      EXPECT_EQ(decoded, trip.value().restored) << bit;
      EXPECT_TRUE(archive.value().listing().is_lossy);
      WriteFile(directory.File("damaged"), damaged);
      EXPECT_FALSE(VerifyFile(directory.File("damaged"), {.thread_count = 1}).ok()) << bit;
    }
  }
}

}  // namespace
}  // namespace flyweight
