#include <cmath>

#include "pipeline/patch_test_tools.h"

// Patches that are lossy on request.

namespace flyweight {
namespace {

using namespace test;  // NOLINT: a test
using testing::HasSubstr;

std::vector<float> Floats(const Bytes& bytes) {
  std::vector<float> values(bytes.size() / sizeof(float));
  std::memcpy(values.data(), bytes.data(), values.size() * sizeof(float));
  return values;
}

/// Moves every element by noise of about `scale`.
void Move(SafetensorsEntry& entry, double scale, uint64_t seed) {
  Random random(seed);
  std::vector<float> values = Floats(entry.bytes);
  for (float& value : values) value += static_cast<float>(scale * random.Gaussian());
  std::memcpy(entry.bytes.data(), values.data(), entry.bytes.size());
}

Tensors FloatTensors() {
  return {MakeEntry("a.weight", DType::kF32, {300, 400}, 1), MakeEntry("b.weight", DType::kF32, {64, 256}, 2),
          MakeEntry("norm.weight", DType::kF32, {512}, 3), MakeEntry("frozen.weight", DType::kF32, {100, 100}, 4),
          MakeEntry("ids", DType::kI64, {100}, 5)};
}

Tensors Moved(Tensors tensors, double scale, uint64_t seed) {
  Move(tensors[0], scale, seed);
  Move(tensors[1], scale / 10, seed + 1);
  Move(tensors[2], scale, seed + 2);
  return tensors;
}

double SquaredDistance(const Tensors& a, const Tensors& b) {
  double sum = 0;
  for (size_t t = 0; t < 4; ++t) {
    std::vector<float> x = Floats(a[t].bytes), y = Floats(b[t].bytes);
    for (size_t i = 0; i < x.size(); ++i) sum += std::pow(static_cast<double>(x[i]) - static_cast<double>(y[i]), 2);
  }
  return sum;
}

/// The tensors of a file that was restored, whose layout is that of `like`.
Tensors ReadTensors(const std::string& path, Tensors like) {
  Bytes file = ReadFile(path);
  size_t size = 0;
  for (const SafetensorsEntry& entry : like) size += entry.bytes.size();
  size_t at = file.size() - size;
  for (SafetensorsEntry& entry : like) {
    std::memcpy(entry.bytes.data(), file.data() + at, entry.bytes.size());
    at += entry.bytes.size();
  }
  return like;
}

class LossyDelta : public testing::Test {
 protected:
  void SetUp() override {
    WriteFile(base_, BuildSafetensors(base_tensors_));
    WriteFile(tune_, BuildSafetensors(tune_tensors_));
  }
  std::string Path(const std::string& name) const { return directory_.File(name); }
  Status Make(const std::string& source, const std::vector<std::string>& bases, const std::string& target,
              const std::string& option, size_t thread_count = 0) {
    CompressOptions options;
    options.bases = bases;
    options.overwrite = true;
    options.thread_count = thread_count;
    FLYWEIGHT_ASSIGN(options.lossy.delta, ParseLossyDelta(option));
    Result<CompressSummary> made = CompressFile(source, target, options);
    return made.ok() ? Status::Ok() : Status(made.take_error());
  }
  Tensors Apply(const std::vector<std::string>& patches) {
    EXPECT_THAT(ApplyPatches(base_, patches, Path("out"), {.overwrite = true}), IsOk());
    return ReadTensors(Path("out"), base_tensors_);
  }

  Tensors base_tensors_ = FloatTensors();
  Tensors tune_tensors_ = Moved(FloatTensors(), 1e-3, 50);
  TempDir directory_;
  std::string base_ = directory_.File("base.safetensors");
  std::string tune_ = directory_.File("tune.safetensors");
};

TEST_F(LossyDelta, LosesWhatWasAllowedAndSaysSo) {
  ASSERT_THAT(MakePatch(tune_, {base_}, Path("exact.fly")), IsOk());
  const double change = SquaredDistance(tune_tensors_, base_tensors_);
  uint64_t last_size = std::filesystem::file_size(Path("exact.fly"));
  for (const char* error : {"0.01", "0.1", "0.5"}) {
    SCOPED_TRACE(error);
    ASSERT_THAT(Make(tune_, {base_}, Path("p.fly"), std::string("error=") + error), IsOk());
    Tensors result = Apply({Path("p.fly")});
    const double found = std::sqrt(SquaredDistance(result, tune_tensors_) / change);
    EXPECT_LE(found, std::stod(error));
    EXPECT_GE(found, 0.9 * std::stod(error));
    EXPECT_LT(std::filesystem::file_size(Path("p.fly")), last_size * 9 / 10);
    last_size = std::filesystem::file_size(Path("p.fly"));

    Result<ArchiveListing> listing = ListArchive(Path("p.fly"));
    ASSERT_THAT(listing, IsOk());
    EXPECT_TRUE(listing.value().is_lossy);
    const ListedTensor& large = TensorOf(listing.value(), "a.weight");
    ASSERT_TRUE(large.lossy.has_value());
    EXPECT_EQ(large.lossy->method, "delta");
    EXPECT_NEAR(large.lossy->relative_error.value(), found, 0.1 * found);
    EXPECT_FALSE(TensorOf(listing.value(), "frozen.weight").lossy.has_value());
    EXPECT_FALSE(TensorOf(listing.value(), "ids").lossy.has_value());
    EXPECT_TRUE(result[3].bytes == tune_tensors_[3].bytes);
    EXPECT_TRUE(result[4].bytes == tune_tensors_[4].bytes);
    VerifyOptions options;
    options.bases = {base_};
    EXPECT_THAT(VerifyFile(Path("p.fly"), options), IsOk());
    EXPECT_THAT(VerifyFile(Path("p.fly"), {}), IsOk());
  }
}

TEST_F(LossyDelta, TakesTheNamedStrategies) {
  struct Case {
    const char* option;
    const char* method;
    double most;
  };
  for (const Case& c : {Case{"strategy=int4,outliers=0.01", "delta int4", 0.2},
                        {"strategy=sparse,keep=0.5", "delta sparse", 0.5},
                        {"strategy=one_bit", "delta 1 bit", 0.7}}) {
    SCOPED_TRACE(c.option);
    ASSERT_THAT(Make(tune_, {base_}, Path("p.fly"), c.option), IsOk());
    Tensors result = Apply({Path("p.fly")});
    const double change = SquaredDistance(tune_tensors_, base_tensors_);
    EXPECT_LT(std::sqrt(SquaredDistance(result, tune_tensors_) / change), c.most);
    EXPECT_EQ(TensorOf(ListArchive(Path("p.fly")).value(), "a.weight").lossy->method, c.method);
  }
}

TEST_F(LossyDelta, ATensorThatWouldLoseTooMuchIsExact) {
  // The second tensor moves by a tenth of the others: the common step leaves little of it.
  ASSERT_THAT(Make(tune_, {base_}, Path("p.fly"), "error=0.5,tensor=0.7"), IsOk());
  Result<ArchiveListing> listing = ListArchive(Path("p.fly"));
  ASSERT_THAT(listing, IsOk());
  EXPECT_TRUE(TensorOf(listing.value(), "a.weight").lossy.has_value());
  EXPECT_FALSE(TensorOf(listing.value(), "b.weight").lossy.has_value());
  EXPECT_TRUE(Apply({Path("p.fly")})[1].bytes == tune_tensors_[1].bytes);
}

TEST_F(LossyDelta, ErrorsDoNotAddUpAlongTenLinks) {
  std::vector<std::string> bases = {base_};
  Tensors version = base_tensors_;
  double first = 0;
  for (uint64_t link = 1; link <= 10; ++link) {
    version = Moved(version, 1e-3, 100 * link);
    WriteFile(Path("version.safetensors"), BuildSafetensors(version));
    std::string patch = Path(std::to_string(link) + ".fly");
    ASSERT_THAT(Make(Path("version.safetensors"), bases, patch, "error=0.3"), IsOk());
    bases.push_back(patch);
    Tensors result = Apply({bases.begin() + 1, bases.end()});
    const double error = std::sqrt(SquaredDistance(result, version));
    if (link == 1) first = error;
    EXPECT_LT(error, 1.1 * first) << link;
  }
  EXPECT_THAT(MakePatch(Path("version.safetensors"), bases, Path("exact.fly")), IsOk());
  bases.push_back(Path("exact.fly"));
  EXPECT_EQ(SquaredDistance(Apply({bases.begin() + 1, bases.end()}), version), 0);
}

TEST_F(LossyDelta, TensorsThatAreSmallerExactlyStayExact) {
  WriteFile(base_, BuildSafetensors(BaseTensors()));
  WriteFile(tune_, BuildSafetensors(TunedTensors(BaseTensors(), 5)));
  ASSERT_THAT(MakePatch(tune_, {base_}, Path("exact.fly")), IsOk());
  ASSERT_THAT(Make(tune_, {base_}, Path("p.fly"), "error=0.001"), IsOk());
  EXPECT_LE(std::filesystem::file_size(Path("p.fly")), std::filesystem::file_size(Path("exact.fly")) + 200);
  ASSERT_THAT(ApplyPatches(base_, {Path("p.fly")}, Path("out"), {}), IsOk());
}

TEST_F(LossyDelta, WhereAllTensorsStayExactTheArchiveIsNotLossy) {
  Tensors base = {base_tensors_[0]}, tune = base;
  for (size_t i = 0; i < tune[0].bytes.size(); i += 4 * 97) tune[0].bytes[i] ^= std::byte{0x11};
  WriteFile(base_, BuildSafetensors(base));
  WriteFile(tune_, BuildSafetensors(tune));
  ASSERT_THAT(MakePatch(tune_, {base_}, Path("exact.fly")), IsOk());
  ASSERT_THAT(Make(tune_, {base_}, Path("p.fly"), "error=0.001"), IsOk());
  EXPECT_FALSE(ListArchive(Path("p.fly")).value().is_lossy);
  EXPECT_TRUE(ReadFile(Path("p.fly")) == ReadFile(Path("exact.fly")));
}

TEST_F(LossyDelta, TensorsThatAreSmallerAloneStayExact) {
  Tensors base = {base_tensors_[0]}, tune = base;
  tune[0].bytes.assign(tune[0].bytes.size(), std::byte{0});
  WriteFile(base_, BuildSafetensors(base));
  WriteFile(tune_, BuildSafetensors(tune));
  ASSERT_THAT(Make(tune_, {base_}, Path("p.fly"), "error=0.1"), IsOk());
  EXPECT_FALSE(ListArchive(Path("p.fly")).value().is_lossy);
  EXPECT_LT(std::filesystem::file_size(Path("p.fly")), 2500U);
}

TEST_F(LossyDelta, HugeElementsComeBackAsNumbers) {
  SafetensorsEntry base = MakeEntry("w", DType::kBF16, {100, 100}, 1), tune = base;
  Tune(tune, 1, 2);
  const uint16_t huge = 0x7F62;  // 3.0e38
  std::memcpy(tune.bytes.data() + 10, &huge, sizeof huge);
  WriteFile(base_, BuildSafetensors({base}));
  WriteFile(tune_, BuildSafetensors({tune}));
  for (const char* error : {"error=0.1", "error=0.5", "error=0.9"}) {
    ASSERT_THAT(Make(tune_, {base_}, Path("p.fly"), error), IsOk()) << error;
    EXPECT_THAT(ApplyPatches(base_, {Path("p.fly")}, Path("out"), {.overwrite = true}), IsOk());
  }
}

TEST_F(LossyDelta, EqualTensorsComeBackEqual) {
  Tensors base = base_tensors_, tune = tune_tensors_;
  base.push_back(base[0]);
  tune.push_back(tune[0]);
  base.back().name = tune.back().name = "tied.weight";
  WriteFile(base_, BuildSafetensors(base));
  WriteFile(tune_, BuildSafetensors(tune));
  ASSERT_THAT(Make(tune_, {base_}, Path("p.fly"), "error=0.2"), IsOk());
  ASSERT_THAT(ApplyPatches(base_, {Path("p.fly")}, Path("out"), {}), IsOk());
  Tensors result = ReadTensors(Path("out"), base);
  EXPECT_TRUE(result[0].bytes == result.back().bytes);
}

TEST_F(LossyDelta, DoesNotDependOnThreads) {
  Bytes expected;
  for (size_t thread_count : {1, 3}) {
    ASSERT_THAT(Make(tune_, {base_}, Path("p.fly"), "error=0.1", thread_count), IsOk());
    Bytes written = ReadFile(Path("p.fly"));
    if (expected.empty()) expected = written;
    EXPECT_TRUE(written == expected);
  }
}

TEST_F(LossyDelta, AnotherBaseIsRefused) {
  ASSERT_THAT(Make(tune_, {base_}, Path("p.fly"), "error=0.1"), IsOk());
  EXPECT_THAT(ApplyPatches(tune_, {Path("p.fly")}, Path("out"), {}), FailsWith(ErrorCode::kBaseMismatch));
  EXPECT_FALSE(std::filesystem::exists(Path("out")));
}

TEST_F(LossyDelta, WhatMakesNoSenseIsRefused) {
  EXPECT_THAT(Make(tune_, {}, Path("p.fly"), "error=0.1"), FailsWith(ErrorCode::kInvalidArgument));
  CompressOptions options;
  options.bases = {base_};
  options.lossy.delta = LossyDeltaOptions();
  options.remove_source = true;
  EXPECT_THAT(CompressFile(tune_, Path("p.fly"), options), FailsWith(ErrorCode::kInvalidArgument));
  EXPECT_TRUE(std::filesystem::exists(tune_));
  options.remove_source = false;
  options.lossy.method = LossyChoice{LossyMethod::kBF16, 16, false, 0};
  EXPECT_THAT(CompressFile(tune_, Path("p.fly"), options), FailsWith(ErrorCode::kInvalidArgument));
}

TEST(LossyDeltaOptions, EveryWayToWriteThemIsUnderstoodOrRefused) {
  EXPECT_EQ(ParseLossyDelta("error=0.05").value().error, 0.05);
  EXPECT_EQ(ParseLossyDelta("error=1e-4,tensor=0.5").value().tensor_error, 0.5);
  EXPECT_EQ(ParseLossyDelta("strategy=int4,outliers=0.05").value().exact_fraction, 0.05);
  EXPECT_EQ(ParseLossyDelta("strategy=int4").value().exact_fraction, 0.01);
  EXPECT_EQ(ParseLossyDelta("strategy=sparse").value().exact_fraction, 0.1);
  EXPECT_EQ(ParseLossyDelta("strategy=quantized").value().method, DeltaMethod::kOneBit);
  for (const char* text : {"",
                           ",",
                           "error",
                           "error=",
                           "error=0",
                           "error=1",
                           "error=-1",
                           "error=nan",
                           "error=inf",
                           "error=0.1x",
                           "errors=1",
                           "error=0.1,",
                           "strategy=int5",
                           "strategy=int4,error=0.1",
                           "strategy=int4,keep=0.1",
                           "outliers=0.1",
                           "keep=0.1",
                           "strategy=sparse,keep=1.1",
                           "strategy=sparse,keep=-0.1",
                           "tensor=0",
                           "tensor=1.5"}) {
    EXPECT_FALSE(ParseLossyDelta(text).ok()) << text;
  }
}

}  // namespace
}  // namespace flyweight
