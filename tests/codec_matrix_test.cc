#include <algorithm>
#include <cmath>
#include <string>

#include "codec/codec_test_tools.h"
#include "flyweight/tensor.h"
#include "simd/isa.h"
#include "support/random.h"
#include "support/weights.h"

// Round trips of records over dtype x size x distribution x ISA: every ISA gives the frames of the scalar one, decodes
// them with and without readable bytes behind them, and writes nowhere but into buffers of the size it asked for.

namespace flyweight {
namespace {

using test::Bytes;
using test::EncodedRecord;
using test::IsOk;
using test::Pattern;
using test::Random;

constexpr size_t kSmallCounts[] = {0, 1, 2, 15, 16, 17, 255, 256, 511, 512, 513, 4095, 4096};
constexpr size_t kLargeCounts[] = {65535, 65537, 262143, 262145};

constexpr DType kAllDTypes[] = {
    DType::kOpaque, DType::kBool,   DType::kU8,     DType::kI8,         DType::kU16,        DType::kI16,
    DType::kU32,    DType::kI32,    DType::kU64,    DType::kI64,        DType::kF16,        DType::kBF16,
    DType::kF32,    DType::kF64,    DType::kC64,    DType::kF8E4M3,     DType::kF8E5M2,     DType::kF8E8M0,
    DType::kF4,     DType::kF6E2M3, DType::kF6E3M2, DType::kF8E4M3FNUZ, DType::kF8E5M2FNUZ,
};

struct Tensor {
  Shape shape;
  Bytes bytes;
};

// As square a matrix of `count` elements as there is.
Tensor MakeSquare(DType dtype, size_t count, Pattern pattern) {
  size_t rows = std::max<size_t>(1, static_cast<size_t>(std::sqrt(static_cast<double>(count))));
  while (count % rows != 0) --rows;
  Random random(count + static_cast<size_t>(pattern));
  return {{rows, count / rows}, test::MakeTensor(dtype, rows, count / rows, pattern, random)};
}

// Bytes at an odd address, with nothing behind them.
class Unaligned {
 public:
  Unaligned(size_t size_bytes, size_t offset) : offset_(offset), bytes_(offset + size_bytes, std::byte{0xA5}) {}
  Unaligned(ByteSpan content, size_t offset) : Unaligned(content.size(), offset) {
    std::copy(content.begin(), content.end(), span().begin());
  }
  MutableByteSpan span() { return MutableByteSpan(bytes_).subspan(offset_); }

 private:
  size_t offset_;
  Bytes bytes_;
};

EncodedRecord EncodeUnaligned(const Tensor& tensor, DType dtype, Level level, CodecScratch& scratch) {
  EncodedRecord record;
  Unaligned content(tensor.bytes, 1);
  MemorySource source(content.span());
  Result<RecordPlan> plan = PlanRecord(source, 0, tensor.bytes.size(), dtype, tensor.shape, level, scratch);
  EXPECT_THAT(plan, IsOk());
  record.plan = std::move(plan).value();
  for (uint64_t i = 0; i < record.plan.head.chunk_count; ++i) {
    ByteSpan chunk = test::ChunkOf(record.plan.head, content.span(), i);
    Unaligned frame(FrameBound(chunk.size()), 3);
    record.table.push_back(EncodeFrame(record.plan, i, chunk, frame.span(), scratch));
    EXPECT_LE(record.table[i].frame_bytes, kFrameHeaderBytes + chunk.size()) << "larger than stored";
    MutableByteSpan used = frame.span().first(record.table[i].frame_bytes);
    record.frames.emplace_back(used.begin(), used.end());
  }
  return record;
}

void ExpectRestores(const EncodedRecord& record, const Bytes& expected, bool readable_padding, CodecScratch& scratch) {
  Result<RecordHead> head = ParseRecordHead(record.plan.head_bytes);
  ASSERT_THAT(head, IsOk());
  ASSERT_EQ(head.value().decoded_bytes, expected.size());
  for (uint64_t i = 0; i < head.value().chunk_count; ++i) {
    Bytes padded = record.frames[i];
    if (readable_padding) padded.resize(padded.size() + kDecodePaddingBytes, std::byte{0xEE});
    Unaligned frame(padded, 5), target(head.value().ChunkDecodedBytes(i), 7);
    ASSERT_THAT(ScrubFrame(record.frames[i], record.table[i]), IsOk());
    ASSERT_THAT(DecodeFrame(head.value(), i, frame.span().first(record.frames[i].size()), padded.size(),
                            record.table[i], target.span(), scratch),
                IsOk());
    ASSERT_TRUE(std::ranges::equal(target.span(), test::ChunkOf(head.value(), expected, i))) << "chunk " << i;
  }
}

class CodecMatrix : public testing::TestWithParam<DType> {
 protected:
  ~CodecMatrix() override { ForceIsa(std::nullopt); }

  void ExpectRoundTrips(size_t count, Pattern pattern) {
    for (Level level : {Level::kFast, Level::kBalanced, Level::kHigh, Level::kMax})
      ExpectRoundTrips(count, pattern, level);
  }

  void ExpectRoundTrips(size_t count, Pattern pattern, Level level) {
    SCOPED_TRACE(std::to_string(count) + " elements, " + std::string(test::PatternName(pattern)) + ", level " +
                 std::to_string(static_cast<int>(level)));
    Tensor tensor = MakeSquare(GetParam(), count, pattern);
    ForceIsa(Isa::kScalar);
    EncodedRecord reference = EncodeUnaligned(tensor, GetParam(), level, scratch_);
    for (Isa isa : SupportedIsas()) {
      SCOPED_TRACE(IsaName(isa));
      ASSERT_TRUE(ForceIsa(isa));
      if (isa != Isa::kScalar) {
        EncodedRecord record = EncodeUnaligned(tensor, GetParam(), level, scratch_);
        ASSERT_TRUE(record.plan.head_bytes == reference.plan.head_bytes);
        ASSERT_TRUE(record.frames == reference.frames);
      }
      ExpectRestores(reference, tensor.bytes, static_cast<size_t>(pattern) % 2 == 0, scratch_);
      ExpectRestores(reference, tensor.bytes, static_cast<size_t>(pattern) % 2 != 0, scratch_);
    }
  }

  CodecScratch scratch_;  // one for all, as a thread has it
};

TEST_P(CodecMatrix, RoundTripsSmallTensorsOfEveryPattern) {
  for (size_t count : kSmallCounts) {
    for (Pattern pattern : test::kAllPatterns) ExpectRoundTrips(count, pattern);
  }
}

// Types whose numbers are coded field by field get every pattern, the others a few at each size.
TEST_P(CodecMatrix, RoundTripsLargeTensors) {
  bool has_float_fields =
      GetParam() == DType::kF16 || GetParam() == DType::kBF16 || GetParam() == DType::kF32 || GetParam() == DType::kC64;
  size_t pattern_count = has_float_fields ? test::kAllPatterns.size() : 4;
  size_t turn = static_cast<size_t>(GetParam());
  for (size_t count : kLargeCounts) {
    for (size_t i = 0; i < pattern_count; ++i)
      ExpectRoundTrips(count, test::kAllPatterns[turn++ % test::kAllPatterns.size()]);
  }
}

INSTANTIATE_TEST_SUITE_P(EachDType, CodecMatrix, testing::ValuesIn(kAllDTypes), [](const auto& each) {
  std::string name(Describe(each.param).name);
  std::erase_if(name, [](char c) { return std::isalnum(static_cast<unsigned char>(c)) == 0; });
  return name.empty() ? "Opaque" : name;
});

}  // namespace
}  // namespace flyweight
