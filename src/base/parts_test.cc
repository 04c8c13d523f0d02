#include "base/parts.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>

#include "support/child_process.h"
#include "support/matchers.h"
#include "support/random.h"
#include "support/temp_dir.h"

namespace flyweight {
namespace {

using test::FailsWith;
using test::IsOk;
using testing::HasSubstr;
using Bytes = std::vector<std::byte>;
using Names = std::vector<std::string>;

constexpr uint64_t kSize = kPartMinBytes;
constexpr size_t kPayload = kPartMinBytes - kPartHeaderBytes;
constexpr int64_t kTime = 1'600'000'000'000'000'000;

Bytes Content(size_t size_bytes, uint64_t seed = 1) {
  test::Random random(seed);
  return random.Bytes(size_bytes);
}

std::unique_ptr<PartsFile> CreateOrDie(const std::string& path, PartsOptions options = {.part_bytes = kSize}) {
  Result<std::unique_ptr<PartsFile>> file = PartsFile::Create(path, options);
  EXPECT_THAT(file, IsOk());
  return file.ok() ? std::move(file).value() : nullptr;
}

/// Appends in pieces that do not fit the parts.
Status AppendInPieces(OutputFile& file, ByteSpan content) {
  while (!content.empty()) {
    size_t count = std::min<size_t>(content.size(), 300);
    FLYWEIGHT_TRY(file.Append(content.first(count)));
    content = content.subspan(count);
  }
  return Status::Ok();
}

void WriteParts(const std::string& path, const Bytes& content, PartsOptions options = {.part_bytes = kSize}) {
  std::unique_ptr<PartsFile> file = CreateOrDie(path, options);
  ASSERT_THAT(AppendInPieces(*file, content), IsOk());
  ASSERT_THAT(file->Commit(0640, kTime), IsOk());
}

Result<Bytes> ReadAll(const ByteSource& source) {
  Bytes bytes(static_cast<size_t>(source.size()));
  FLYWEIGHT_TRY(source.ReadAt(0, bytes));
  return bytes;
}

Result<Bytes> OpenAndRead(const std::string& path) {
  FLYWEIGHT_ASSIGN(std::unique_ptr<PartsSource> source, PartsSource::Open(path));
  return ReadAll(*source);
}

TEST(PartName, HasAtLeastThreeDigits) {
  EXPECT_EQ(PartName("a", 1), "a.001");
  EXPECT_EQ(PartName("a", 999), "a.999");
  EXPECT_EQ(PartName("a", 1000), "a.1000");
  EXPECT_EQ(WithoutPartNumber("d/a.fly.001"), "d/a.fly");
  EXPECT_EQ(WithoutPartNumber("a.1000"), "a");
  for (const char* name : {"a", "a.1", "a.01", "a.0x1", "a.", ".001", "d/.001", "a.001/b"}) {
    EXPECT_EQ(WithoutPartNumber(name), "") << name;
  }
}

TEST(PartHeader, SurvivesWritingAndParsing) {
  PartHeader header{.number = 2, .count = 3, .payload_offset = 100, .payload_bytes = 100, .archive_bytes = 250};
  header.payload_xxh3 = 77;
  header.identity.fill(std::byte{9});
  Result<PartHeader> parsed = ParsePartHeader(WritePartHeader(header));
  ASSERT_THAT(parsed, IsOk());
  EXPECT_EQ(parsed.value(), header);
}

TEST(PartHeader, NoticesEveryFlippedBit) {
  PartHeader header{.number = 1, .count = 1, .payload_bytes = 5, .archive_bytes = 5};
  auto bytes = WritePartHeader(header);
  for (size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    auto damaged = bytes;
    damaged[bit / 8] ^= std::byte{1} << (bit % 8);
    EXPECT_FALSE(ParsePartHeader(damaged).ok()) << bit;
  }
}

TEST(PartHeader, MustAgreeWithItself) {
  PartHeader good{.number = 2, .count = 3, .payload_offset = 100, .payload_bytes = 100, .archive_bytes = 250};
  ASSERT_THAT(ParsePartHeader(WritePartHeader(good)), IsOk());
  auto with = [&](auto change) {
    PartHeader header = good;
    change(header);
    return ParsePartHeader(WritePartHeader(header));
  };
  EXPECT_THAT(with([](PartHeader& h) { h.number = 0; }), FailsWith(ErrorCode::kCorrupt));
  EXPECT_THAT(with([](PartHeader& h) { h.number = 4; }), FailsWith(ErrorCode::kCorrupt));
  EXPECT_THAT(with([](PartHeader& h) { h.count = 0; }), FailsWith(ErrorCode::kCorrupt));
  EXPECT_THAT(with([](PartHeader& h) { h.count = UINT32_MAX; }), FailsWith(ErrorCode::kLimitExceeded));
  EXPECT_THAT(with([](PartHeader& h) { h.payload_bytes = UINT64_MAX; }), FailsWith(ErrorCode::kCorrupt));
  EXPECT_THAT(with([](PartHeader& h) { h.payload_bytes = 0; }), FailsWith(ErrorCode::kCorrupt));
  EXPECT_THAT(with([](PartHeader& h) { h.payload_offset = UINT64_MAX - 10; }), FailsWith(ErrorCode::kCorrupt));
  EXPECT_THAT(with([](PartHeader& h) { h.payload_offset = 99; }), FailsWith(ErrorCode::kCorrupt));
  EXPECT_THAT(with([](PartHeader& h) { h.archive_bytes = 200; }), FailsWith(ErrorCode::kCorrupt));
  EXPECT_THAT(with([](PartHeader& h) { h.number = h.count; }), FailsWith(ErrorCode::kCorrupt));
}

class PartsOfSize : public ::testing::TestWithParam<size_t> {};

INSTANTIATE_TEST_SUITE_P(Parts, PartsOfSize,
                         ::testing::Values(0, 1, kPayload - 1, kPayload, kPayload + 1, 3 * kPayload,
                                           5 * kPayload + 77));

TEST_P(PartsOfSize, GiveBackWhatWasWritten) {
  test::TempDir dir;
  Bytes content = Content(GetParam());
  std::unique_ptr<PartsFile> file = CreateOrDie(dir.File("a"));
  ASSERT_THAT(AppendInPieces(*file, content), IsOk());
  ASSERT_THAT(file->Sync(), IsOk());
  Result<std::unique_ptr<ByteSource>> back = file->ReadBack();
  ASSERT_THAT(back, IsOk());
  EXPECT_EQ(ReadAll(*back.value()).value(), content);
  for (const std::string& name : dir.Names()) EXPECT_TRUE(name.starts_with(".a.")) << name;
  ASSERT_THAT(file->Commit(0640, kTime), IsOk());

  size_t part_count = std::max<size_t>(1, (content.size() + kPayload - 1) / kPayload);
  EXPECT_EQ(file->part_count(), part_count);
  file.reset();
  Names names = dir.Names();
  ASSERT_EQ(names.size(), part_count);
  for (size_t i = 0; i < part_count; ++i) {
    EXPECT_EQ(names[i], PartName("a", static_cast<uint32_t>(i + 1)));
    struct stat status;
    ASSERT_EQ(stat(dir.File(names[i]).c_str(), &status), 0);
    EXPECT_LE(static_cast<uint64_t>(status.st_size), kSize);
    EXPECT_EQ(status.st_mode & 07777U, 0640U);
    EXPECT_EQ(status.st_mtim.tv_sec, kTime / 1'000'000'000);
  }
  names.emplace_back("a");
  for (const std::string& name : names) {
    Result<Bytes> read = OpenAndRead(dir.File(name));
    ASSERT_THAT(read, IsOk()) << name;
    EXPECT_EQ(read.value(), content);
  }
  EXPECT_THAT(PartsSource::Open(dir.File("a")).value()->VerifyParts({}), IsOk());
}

TEST(PartsFile, SameContentGivesTheSameParts) {
  test::TempDir dir;
  Bytes content = Content(3000);
  WriteParts(dir.File("a"), content);
  WriteParts(dir.File("b"), content);
  for (const char* number : {"001", "002", "003"}) {
    EXPECT_EQ(test::ReadFile(dir.File(std::string("a.") + number)),
              test::ReadFile(dir.File(std::string("b.") + number)));
  }
}

TEST(PartsFile, LeavesNothingWithoutCommit) {
  test::TempDir dir;
  std::unique_ptr<PartsFile> file = CreateOrDie(dir.File("a"));
  ASSERT_THAT(file->Append(Content(5000)), IsOk());
  EXPECT_EQ(dir.Names().size(), 5U);
  file.reset();
  EXPECT_TRUE(dir.Names().empty());
}

TEST(PartsFile, LeavesNothingAfterASignal) {
  test::TempDir dir;
  std::unique_ptr<PartsFile> file = CreateOrDie(dir.File("a"));
  ASSERT_THAT(file->Append(Content(70 * kPayload)), IsOk());
  RemoveTemporaryFiles();
  EXPECT_TRUE(dir.Names().empty());
}

TEST(PartsFile, RefusesPartsThatAreTooSmall) {
  test::TempDir dir;
  EXPECT_THAT(PartsFile::Create(dir.File("a"), {.part_bytes = kSize - 1}), FailsWith(ErrorCode::kInvalidArgument));
  EXPECT_TRUE(dir.Names().empty());
}

TEST(PartsFile, RefusesNamesThatAreTaken) {
  test::TempDir dir;
  test::WriteFile(dir.File("a.002"), "precious");
  std::unique_ptr<PartsFile> file = CreateOrDie(dir.File("a"));
  EXPECT_THAT(file->Append(Content(5000)), FailsWith(ErrorCode::kExists));
  file.reset();
  EXPECT_EQ(dir.Names(), Names{"a.002"});
  test::WriteFile(dir.File("a.001"), "precious");
  EXPECT_THAT(PartsFile::Create(dir.File("a"), {.part_bytes = kSize}), FailsWith(ErrorCode::kExists));
}

TEST(PartsFile, TakesBackItsNamesWhereOneIsTakenMeanwhile) {
  test::TempDir dir;
  std::unique_ptr<PartsFile> file = CreateOrDie(dir.File("a"));
  ASSERT_THAT(file->Append(Content(5000)), IsOk());
  test::WriteFile(dir.File("a.002"), "theirs");
  EXPECT_THAT(file->Commit(0600, kTime), FailsWith(ErrorCode::kExists));
  file.reset();
  EXPECT_EQ(dir.Names(), Names{"a.002"});
  EXPECT_EQ(test::ReadText(dir.File("a.002")), "theirs");
}

TEST(PartsFile, IsRefusedToASecondRun) {
  test::TempDir dir;
  std::unique_ptr<PartsFile> file = CreateOrDie(dir.File("a"));
  EXPECT_THAT(PartsFile::Create(dir.File("a"), {.overwrite = true, .part_bytes = kSize}),
              FailsWith(ErrorCode::kExists));
}

TEST(PartsFile, OverwritesAndRemovesPartsThatAreLeftOverButNothingElse) {
  test::TempDir dir;
  WriteParts(dir.File("a"), Content(6 * kPayload));
  test::WriteFile(dir.File("a.007"), "not a part");
  Bytes content = Content(2 * kPayload, 2);
  WriteParts(dir.File("a"), content, {.overwrite = true, .part_bytes = kSize});
  EXPECT_EQ(dir.Names(), (Names{"a.001", "a.002", "a.007"}));
  EXPECT_EQ(OpenAndRead(dir.File("a")).value(), content);
}

TEST(PartsFile, KeepsTheOldArchiveUntilCommit) {
  test::TempDir dir;
  Bytes old = Content(3000);
  WriteParts(dir.File("a"), old);
  {
    std::unique_ptr<PartsFile> file = CreateOrDie(dir.File("a"), {.overwrite = true, .part_bytes = kSize});
    ASSERT_THAT(file->Append(Content(9000, 2)), IsOk());
    EXPECT_EQ(OpenAndRead(dir.File("a")).value(), old);
  }
  EXPECT_EQ(OpenAndRead(dir.File("a")).value(), old);
}

/// Writes parts in a child that dies before it commits.
void WriteAndDie(const std::string& path, const Bytes& content) {
  int status = test::RunInChild([&] {
    Result<std::unique_ptr<PartsFile>> file = PartsFile::Create(path, {.part_bytes = kSize});
    if (!file.ok() || !file.value()->Append(content).ok()) return 1;
    kill(getpid(), SIGKILL);
    return 2;
  });
  ASSERT_TRUE(WIFSIGNALED(status));
}

TEST(PartsFile, RemovesTheDebrisOfAKilledRun) {
  test::TempDir dir;
  WriteAndDie(dir.File("a"), Content(9000));
  ASSERT_EQ(dir.Names().size(), 9U);
  Bytes content = Content(1500, 2);
  WriteParts(dir.File("a"), content);
  EXPECT_EQ(dir.Names(), (Names{"a.001", "a.002"}));
  EXPECT_EQ(OpenAndRead(dir.File("a")).value(), content);
}

TEST(PartsFile, RemovesTheDebrisOfAKilledRunWhereNamesAreLong) {
  test::TempDir dir;
  std::string name(250, 'n');
  WriteAndDie(dir.File(name), Content(9000));
  ASSERT_EQ(dir.Names().size(), 9U);
  WriteParts(dir.File(name), Content(1500, 2));
  EXPECT_EQ(dir.Names(), (Names{name + ".001", name + ".002"}));
}

TEST(PartsFile, ResumesWhatAKilledRunLeft) {
  test::TempDir dir;
  Bytes content = Content(9000);
  WriteAndDie(dir.File("a"), Bytes(content.begin(), content.begin() + 5000));
  PartsOptions options{.resumable = true, .part_bytes = kSize};
  std::unique_ptr<PartsFile> file = CreateOrDie(dir.File("a"), options);
  Result<Bytes> previous = ReadAll(file->PreviousBytes());
  ASSERT_THAT(previous, IsOk());
  EXPECT_EQ(previous.value(), Bytes(content.begin(), content.begin() + 5000));
  ASSERT_THAT(file->Append(std::span(content).first(7000)), IsOk());
  file.reset();

  file = CreateOrDie(dir.File("a"), options);
  EXPECT_EQ(ReadAll(file->PreviousBytes()).value().size(), 7000U);
  ASSERT_THAT(file->Append(std::span(content).first(3000)), IsOk());
  ASSERT_THAT(file->Commit(0600, kTime), IsOk());
  EXPECT_EQ(dir.Names(), (Names{"a.001", "a.002", "a.003"}));
  EXPECT_EQ(OpenAndRead(dir.File("a")).value(), Bytes(content.begin(), content.begin() + 3000));
}

/// What a kill in the middle of Commit leaves: the last parts have their names, the first do not.
void InterruptCommit(const test::TempDir& dir, const Bytes& content) {
  WriteParts(dir.File("a"), content);
  for (const char* name : {"a.001", "a.002"}) std::filesystem::rename(dir.File(name), dir.File(PartialNameOf(name)));
}

TEST(PartsFile, TakesBackAnInterruptedCommit) {
  test::TempDir dir;
  Bytes content = Content(5000);
  InterruptCommit(dir, content);
  EXPECT_THAT(PartsSource::Open(dir.File("a")), FailsWith(ErrorCode::kIo));
  WriteParts(dir.File("a"), Content(100, 2));
  EXPECT_EQ(dir.Names(), Names{"a.001"});

  std::filesystem::remove(dir.File("a.001"));
  InterruptCommit(dir, content);
  std::unique_ptr<PartsFile> file = CreateOrDie(dir.File("a"), {.resumable = true, .part_bytes = kSize});
  EXPECT_EQ(ReadAll(file->PreviousBytes()).value(), content);
  ASSERT_THAT(file->Append(content), IsOk());
  ASSERT_THAT(file->Commit(0600, kTime), IsOk());
  EXPECT_EQ(dir.Names().size(), 5U);
  EXPECT_EQ(OpenAndRead(dir.File("a")).value(), content);
}

TEST(PartsFile, TakesBackOnlyPartsOfTheInterruptedArchive) {
  test::TempDir dir;
  WriteParts(dir.File("a"), Content(5000, 7));
  std::filesystem::rename(dir.File("a.003"), dir.File("kept"));
  for (const char* number : {"001", "002", "004", "005"}) std::filesystem::remove(dir.File(std::string("a.") + number));
  InterruptCommit(dir, Content(2500));
  std::filesystem::rename(dir.File("a.003"), dir.File("spare"));
  std::filesystem::rename(dir.File("kept"), dir.File("a.003"));
  std::unique_ptr<PartsFile> file = CreateOrDie(dir.File("a"));
  EXPECT_THAT(file->Append(Content(5000)), FailsWith(ErrorCode::kExists));
  file.reset();
  EXPECT_EQ(dir.Names(), (Names{"a.003", "spare"}));
}

TEST(PartsSource, IsNotMistakenForOtherFiles) {
  test::TempDir dir;
  test::WriteFile(dir.File("b.001"), "not a part at all");
  test::WriteFile(dir.File("b"), "nor this");
  for (const char* name : {"b", "b.001", "missing"}) {
    Result<std::optional<std::string>> base = PartsSource::FindBase(dir.File(name));
    ASSERT_THAT(base, IsOk());
    EXPECT_FALSE(base.value().has_value()) << name;
  }
  WriteParts(dir.File("a"), Content(3000));
  for (const char* name : {"a", "a.001", "a.003"}) {
    EXPECT_EQ(PartsSource::FindBase(dir.File(name)).value(), dir.File("a")) << name;
  }
  test::WriteFile(dir.File("a"), "a file of that name counts");
  EXPECT_FALSE(PartsSource::FindBase(dir.File("a")).value().has_value());
  std::filesystem::rename(dir.File("a.001"), dir.File("first"));
  EXPECT_THAT(PartsSource::FindBase(dir.File("first")), FailsWith(ErrorCode::kInvalidArgument));
}

TEST(PartsSource, ReadsAcrossParts) {
  test::TempDir dir;
  Bytes content = Content(5 * kPayload + 100);
  WriteParts(dir.File("a"), content);
  std::unique_ptr<PartsSource> source = std::move(PartsSource::Open(dir.File("a.002"))).value();
  test::Random random(3);
  for (int i = 0; i < 300; ++i) {
    size_t begin = random.Below(content.size() + 1);
    Bytes target(random.Below(content.size() - begin + 1));
    ASSERT_THAT(source->ReadAt(begin, target), IsOk());
    EXPECT_TRUE(std::ranges::equal(target, std::span(content).subspan(begin, target.size())));
  }
  Bytes target(1);
  EXPECT_THAT(source->ReadAt(content.size(), target), FailsWith(ErrorCode::kTruncated));
}

TEST(PartsSource, ReadsMorePartsThanItKeepsOpen) {
  test::TempDir dir;
  constexpr uint32_t kCount = 1002;
  Bytes content = Content((kCount - 1) * 10 + 5);
  std::vector<PartHeader> headers(kCount);
  for (uint32_t i = 0; i < kCount; ++i) {
    headers[i] = {.number = i + 1, .count = kCount, .payload_offset = i * 10, .archive_bytes = content.size()};
    headers[i].payload_bytes = std::min<uint64_t>(10, content.size() - i * 10);
    headers[i].payload_xxh3 = Xxh3(std::span(content).subspan(i * 10, headers[i].payload_bytes));
  }
  PartsIdentity identity = IdentityOfParts(headers);
  for (PartHeader& header : headers) {
    header.identity = identity;
    auto start = WritePartHeader(header);
    Bytes bytes(start.begin(), start.end());
    auto payload = content.begin() + static_cast<ptrdiff_t>(header.payload_offset);
    bytes.insert(bytes.end(), payload, payload + static_cast<ptrdiff_t>(header.payload_bytes));
    test::WriteFile(dir.File(PartName("a", header.number)), bytes);
  }
  std::unique_ptr<PartsSource> source = std::move(PartsSource::Open(dir.File("a.1002"))).value();
  EXPECT_EQ(ReadAll(*source).value(), content);
  EXPECT_THAT(source->VerifyParts({}), IsOk());
  EXPECT_THAT(source->CheckUnchanged(), IsOk());
  test::WriteFile(dir.File("a.1000"), "not opened until it is read");
  EXPECT_FALSE(ReadAll(*source).ok());
}

struct Fault {
  const char* name;
  std::function<void(const test::TempDir&)> make;
  ErrorCode code;
  std::string message;
};

void Rewrite(const std::string& path, const std::function<void(Bytes&)>& change) {
  Bytes bytes = test::ReadFile(path);
  change(bytes);
  test::WriteFile(path, bytes);
}

std::vector<Fault> Faults() {
  return {
      {"Missing", [](auto& dir) { std::filesystem::remove(dir.File("a.002")); }, ErrorCode::kIo,
       "part 2 of 4 is missing: there is no '"},
      {"FirstMissing", [](auto& dir) { std::filesystem::remove(dir.File("a.001")); }, ErrorCode::kIo,
       "part 1 is missing"},
      {"Exchanged",
       [](auto& dir) {
         std::filesystem::rename(dir.File("a.002"), dir.File("x"));
         std::filesystem::rename(dir.File("a.003"), dir.File("a.002"));
         std::filesystem::rename(dir.File("x"), dir.File("a.003"));
       },
       ErrorCode::kCorrupt, "a.002': it is part 3"},
      {"OfAnotherArchive",
       [](auto& dir) {
         WriteParts(dir.File("b"), Content(3 * kPayload + 5, 9));
         std::filesystem::rename(dir.File("b.003"), dir.File("a.003"));
       },
       ErrorCode::kCorrupt, "a.003': it belongs to another archive"},
      {"Cut", [](auto& dir) { Rewrite(dir.File("a.003"), [](Bytes& bytes) { bytes.pop_back(); }); },
       ErrorCode::kTruncated, "a.003': it is cut off: 1 bytes are missing"},
      {"CutInItsHeader", [](auto& dir) { Rewrite(dir.File("a.003"), [](Bytes& bytes) { bytes.resize(50); }); },
       ErrorCode::kTruncated, "a.003': it is cut off"},
      {"Emptied", [](auto& dir) { test::WriteFile(dir.File("a.003"), ""); }, ErrorCode::kCorrupt,
       "a.003': it is not a part"},
      {"Longer", [](auto& dir) { Rewrite(dir.File("a.003"), [](Bytes& bytes) { bytes.resize(bytes.size() + 3); }); },
       ErrorCode::kCorrupt, "a.003': 3 bytes stand behind its end"},
      {"DamagedHeader", [](auto& dir) { Rewrite(dir.File("a.003"), [](Bytes& bytes) { bytes[60] ^= std::byte{1}; }); },
       ErrorCode::kChecksumMismatch, "a.003': its header is damaged"},
      {"NoPart", [](auto& dir) { test::WriteFile(dir.File("a.003"), std::string(2000, 'x')); }, ErrorCode::kCorrupt,
       "a.003': it is not a part"},
  };
}

class PartsFault : public ::testing::TestWithParam<Fault> {};

std::string FaultName(const ::testing::TestParamInfo<Fault>& fault) { return fault.param.name; }

INSTANTIATE_TEST_SUITE_P(Parts, PartsFault, ::testing::ValuesIn(Faults()), FaultName);

TEST_P(PartsFault, IsNamedWhenTheyAreOpened) {
  test::TempDir dir;
  WriteParts(dir.File("a"), Content(3 * kPayload + 5));
  ASSERT_THAT(PartsSource::Open(dir.File("a")), IsOk());
  GetParam().make(dir);
  Result<std::unique_ptr<PartsSource>> opened = PartsSource::Open(dir.File("a"));
  ASSERT_THAT(opened, FailsWith(GetParam().code));
  EXPECT_THAT(opened.error().message, HasSubstr(GetParam().message));
}

TEST(PartsSource, VerifyNamesThePartThatIsDamaged) {
  test::TempDir dir;
  WriteParts(dir.File("a"), Content(3 * kPayload + 5));
  Rewrite(dir.File("a.002"), [](Bytes& bytes) { bytes[500] ^= std::byte{8}; });
  Result<std::unique_ptr<PartsSource>> source = PartsSource::Open(dir.File("a"));
  ASSERT_THAT(source, IsOk());
  Status verified = source.value()->VerifyParts({});
  ASSERT_THAT(verified, FailsWith(ErrorCode::kChecksumMismatch));
  EXPECT_THAT(verified.error().message, HasSubstr("a.002'"));
}

TEST(PartsSource, VerifyNoticesAPartThatWasForged) {
  test::TempDir dir;
  WriteParts(dir.File("a"), Content(3 * kPayload + 5));
  Rewrite(dir.File("a.002"), [](Bytes& bytes) {
    bytes[500] ^= std::byte{8};
    PartHeader header = ParsePartHeader(std::span(bytes).first(kPartHeaderBytes)).value();
    header.payload_xxh3 = Xxh3(std::span(bytes).subspan(kPartHeaderBytes));
    std::ranges::copy(WritePartHeader(header), bytes.begin());
  });
  EXPECT_THAT(PartsSource::Open(dir.File("a")).value()->VerifyParts({}), FailsWith(ErrorCode::kCorrupt));
}

TEST(PartsSource, NoticesPartsThatChange) {
  test::TempDir dir;
  WriteParts(dir.File("a"), Content(3 * kPayload + 5));
  std::unique_ptr<PartsSource> source = std::move(PartsSource::Open(dir.File("a"))).value();
  EXPECT_THAT(source->CheckUnchanged(), IsOk());
  std::filesystem::rename(dir.File("a.003"), dir.File("b"));
  EXPECT_THAT(source->CheckUnchanged(), FailsWith(ErrorCode::kSourceChanged));
  std::filesystem::copy(dir.File("b"), dir.File("a.003"));
  EXPECT_THAT(source->CheckUnchanged(), FailsWith(ErrorCode::kSourceChanged));
}

}  // namespace
}  // namespace flyweight
