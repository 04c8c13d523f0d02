#include <gtest/gtest.h>

#include <algorithm>

#include "archive/prefix.h"
#include "archive_parts.h"
#include "support/matchers.h"
#include "support/random.h"
#include "support/temp_dir.h"
#include "support/weights.h"

// Resuming as an encoder does it, with the real codec: plan as always, and use what an interrupted run left where it
// decodes to the very bytes wanted.

namespace flyweight::test {
namespace {

struct Tensor {
  DType dtype;
  Shape shape;
  Bytes bytes;
};

std::vector<Tensor> Tensors(uint64_t seed) {
  Random random(seed);
  auto tensor = [&](DType dtype, uint64_t rows, uint64_t columns) {
    return Tensor{dtype, {rows, columns}, MakeTensor(dtype, rows, columns, Pattern::kWeights, random)};
  };
  return {tensor(DType::kBF16, 600, 1024), tensor(DType::kF32, 10, 700), tensor(DType::kI64, 10, 30),
          tensor(DType::kBF16, 300, 1024)};
}

/// True where the frame is the chunk's: it decodes, and to the same bytes.
bool DecodesTo(const RecordHead& head, uint64_t chunk_index, const ArchivePrefix::Frame& frame, ByteSpan chunk,
               CodecScratch& scratch) {
  Bytes decoded(chunk.size());
  Status status = DecodeFrame(head, chunk_index, frame.bytes, frame.bytes.size(), frame.entry, decoded, scratch);
  return status.ok() && std::ranges::equal(decoded, chunk);
}

/// Writes an archive of one file; returns how many frames were used again.
size_t WriteArchive(const std::vector<Tensor>& tensors, const ArchivePrefix& previous, ByteSink& sink) {
  ArchiveWriter writer(sink);
  CodecScratch scratch;
  std::vector<IndexExtent> extents;
  size_t reused = 0;
  EXPECT_THAT(writer.Begin(), IsOk());
  for (size_t number = 0; number < tensors.size(); ++number) {
    const Tensor& tensor = tensors[number];
    MemorySource source(tensor.bytes);
    RecordPlan plan =
        PlanRecord(source, 0, tensor.bytes.size(), tensor.dtype, tensor.shape, Level::kBalanced, scratch).value();
    RecordHead parsed = ParseRecordHead(plan.head_bytes).value();
    const ArchivePrefix::Record* old = previous.Match(number, plan.head_bytes);
    EXPECT_THAT(writer.BeginRecord(plan), IsOk());
    for (uint64_t i = 0; i < plan.head.chunk_count; ++i) {
      ByteSpan chunk = std::span(tensor.bytes).subspan(i * plan.head.chunk_bytes, plan.head.ChunkDecodedBytes(i));
      Bytes buffer(FrameBound(chunk.size()));
      if (old != nullptr && i < old->frame_count) {
        Result<ArchivePrefix::Frame> frame = previous.ReadFrame(number, i, buffer);
        if (frame.ok() && DecodesTo(parsed, i, frame.value(), chunk, scratch)) {
          EXPECT_THAT(writer.AppendFrame(frame.value().bytes, frame.value().entry), IsOk());
          ++reused;
          continue;
        }
      }
      ChunkEntry entry = EncodeFrame(plan, i, chunk, buffer, scratch);
      EXPECT_THAT(writer.AppendFrame(std::span(buffer).first(entry.frame_bytes), entry), IsOk());
    }
    ArchiveWriter::RecordPlace place = writer.EndRecord().value();
    IndexExtent extent;
    extent.place = PlaceKind::kRecord;
    extent.decoded_bytes = tensor.bytes.size();
    extent.record_offset = place.offset;
    extent.record_bytes = place.record_bytes;
    extent.record_check = place.record_check;
    extents.push_back(AsTensor(extent, std::to_string(number), tensor.dtype, tensor.shape));
  }
  ArchiveIndex index;
  index.files.push_back(FileOf("f", std::move(extents)));
  EXPECT_THAT(writer.Finish(index), IsOk());
  return reused;
}

/// Writes into a file over what `left` an interrupted run there, and returns the finished bytes.
Bytes Resume(const std::vector<Tensor>& tensors, ByteSpan left, size_t& reused) {
  TempDir dir;
  {
    auto interrupted = AtomicFile::Create(dir.File("f"), AtomicOptions{.resumable = true});
    EXPECT_THAT(interrupted.value()->Append(left), IsOk());
  }
  auto file = AtomicFile::Create(dir.File("f"), AtomicOptions{.resumable = true});
  EXPECT_EQ(file.value()->PreviousBytes().size(), left.size());
  ArchivePrefix previous = ArchivePrefix::Scan(file.value()->PreviousBytes());
  reused = WriteArchive(tensors, previous, *file.value());
  EXPECT_THAT(file.value()->Commit(0600, 0), IsOk());
  EXPECT_EQ(dir.Names(), std::vector<std::string>{"f"});
  return ReadFile(dir.File("f"));
}

class Resuming : public ::testing::Test {
 protected:
  void SetUp() override {
    WriteArchive(tensors_, {}, sink_);
    ASSERT_GT(archive().size(), 100'000U);
  }
  const Bytes& archive() { return sink_.bytes(); }

  std::vector<Tensor> tensors_ = Tensors(1);
  MemorySink sink_;
};

TEST_F(Resuming, GivesTheArchiveOfAnUninterruptedRun) {
  size_t most_reused = 0;
  for (size_t sixteenths = 0; sixteenths <= 16; ++sixteenths) {
    size_t reused = 0;
    ByteSpan left = std::span(archive()).first(archive().size() * sixteenths / 16);
    EXPECT_EQ(Resume(tensors_, left, reused), archive()) << sixteenths;
    EXPECT_GE(reused, most_reused);
    most_reused = std::max(most_reused, reused);
  }
  EXPECT_EQ(most_reused, 7U) << "all chunks";
}

TEST_F(Resuming, SurvivesADamagedPartialFile) {
  Random random(5);
  for (int i = 0; i < 20; ++i) {
    Bytes left = archive();
    size_t begin = random.Below(left.size());
    size_t end = std::min(left.size(), begin + 1 + random.Below(5000));
    for (size_t at = begin; at < end; ++at) left[at] = i % 2 == 0 ? std::byte{0} : static_cast<std::byte>(at * 31);
    size_t reused = 0;
    EXPECT_EQ(Resume(tensors_, left, reused), archive()) << begin;
  }
}

TEST_F(Resuming, TakesNothingFromTheArchiveOfAnotherSource) {
  MemorySink other;
  WriteArchive(Tensors(2), {}, other);
  size_t reused = 0;
  EXPECT_EQ(Resume(tensors_, other.bytes(), reused), archive());
  EXPECT_EQ(reused, 0U);
}

TEST_F(Resuming, TakesWhatDidNotChange) {
  std::vector<Tensor> changed = tensors_;
  changed[1].bytes[100] ^= std::byte{1};
  MemorySink expected;
  WriteArchive(changed, {}, expected);
  size_t reused = 0;
  EXPECT_EQ(Resume(changed, archive(), reused), expected.bytes());
  EXPECT_GE(reused, 3U);
}

}  // namespace
}  // namespace flyweight::test
