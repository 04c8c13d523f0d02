#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <new>

#include "archive_parts.h"

// Malice: fields that lie while every checksum holds. The reader must answer with an error, or with data where the
// field is one that any value is right for, and never set aside memory that the archive's own size does not justify.

namespace {

std::atomic<size_t> largest_allocation_bytes{0};

}  // namespace

[[gnu::noinline]] void* operator new(size_t size_bytes) {
  size_t largest = largest_allocation_bytes.load(std::memory_order_relaxed);
  if (size_bytes > largest) largest_allocation_bytes.store(size_bytes, std::memory_order_relaxed);
  void* memory = std::malloc(size_bytes == 0 ? 1 : size_bytes);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, size_t) noexcept { std::free(memory); }

namespace flyweight::test {
namespace {

/// Far above what these archives of a few KiB need, far below what their lies ask for.
constexpr size_t kAllocationLimitBytes = size_t{80} << 20;

struct RecordLayout {
  size_t head_offset = 0;
  size_t head_bytes = 0;
  std::vector<std::pair<size_t, size_t>> frames;  ///< offset and bytes
  size_t table_offset = 0;
  size_t table_bytes = 0;
  std::vector<size_t> check_offsets;  ///< in the first index section
};

/// Where everything lies in a sound archive whose index is stored, so that its checksums can be made right again after
/// any change.
struct Layout {
  std::vector<RecordLayout> records;
  size_t first_index = 0;
  size_t second_index = 0;
  size_t section_bytes = 0;
};

Layout LayoutOf(const Bytes& archive) {
  MemorySource source(archive);
  auto reader = ArchiveReader::Open(source);
  EXPECT_TRUE(reader.ok()) << reader.error().message;
  Layout layout;
  size_t footer = archive.size() - wire::kFooterBytes;
  layout.first_index = LoadLe<uint64_t>(archive.data() + footer + wire::kFooterFirstIndexOffset);
  layout.second_index = LoadLe<uint64_t>(archive.data() + footer + wire::kFooterSecondIndexOffset);
  layout.section_bytes = LoadLe<uint64_t>(archive.data() + footer + wire::kFooterIndexBytesOffset);
  for (const IndexFile& file : reader.value().index().files) {
    for (const IndexExtent& extent : file.extents) {
      if (extent.place != PlaceKind::kRecord) continue;
      auto opened = reader.value().OpenRecordOf(extent);
      EXPECT_TRUE(opened.ok()) << opened.error().message;
      RecordLayout record;
      record.head_offset = extent.record_offset;
      record.head_bytes = opened.value().frame_offsets[0] - extent.record_offset;
      for (size_t i = 0; i < opened.value().table.size(); ++i) {
        record.frames.emplace_back(opened.value().frame_offsets[i], opened.value().table[i].frame_bytes);
      }
      record.table_bytes = opened.value().table.size() * kChunkEntryBytes;
      record.table_offset = extent.record_offset + extent.record_bytes - record.table_bytes;
      for (size_t at = layout.first_index + wire::kSectionHeadBytes; at + 8 <= layout.second_index; ++at) {
        if (LoadLe<uint64_t>(archive.data() + at) == extent.record_check) record.check_offsets.push_back(at);
      }
      EXPECT_FALSE(record.check_offsets.empty());
      layout.records.push_back(record);
    }
  }
  return layout;
}

uint64_t HashOfTwo(ByteSpan one, ByteSpan two) {
  Bytes message = Copy(one);
  message.insert(message.end(), two.begin(), two.end());
  return Xxh3(message);
}

void FixHashes(const Layout& layout, Bytes& archive) {
  MutableByteSpan all(archive);
  for (const RecordLayout& record : layout.records) {
    for (auto [offset, bytes] : record.frames) {
      MutableByteSpan frame = all.subspan(offset, bytes);
      StoreLe(frame.data() + 16, Xxh3(frame.subspan(kFrameHeaderBytes)));
      StoreLe(frame.data() + 16, Xxh3(frame.first(kFrameHeaderBytes)));
    }
    MutableByteSpan head = all.subspan(record.head_offset, record.head_bytes);
    StoreLe(head.data() + head.size() - 8, Xxh3(head.first(head.size() - 8)));
    uint64_t check = HashOfTwo(head, all.subspan(record.table_offset, record.table_bytes));
    for (size_t offset : record.check_offsets) StoreLe(archive.data() + offset, check);
  }
  MutableByteSpan section = all.subspan(layout.first_index, layout.section_bytes);
  StoreLe(section.data() + wire::kSectionHashOffset,
          HashOfTwo(section.first(wire::kSectionHashOffset), section.subspan(wire::kSectionHeadBytes)));
  std::copy(section.begin(), section.end(), all.begin() + static_cast<ptrdiff_t>(layout.second_index));
  StoreLe(archive.data() + wire::kHeaderHashOffset, Xxh3(all.first(wire::kHeaderHashOffset)));
  MutableByteSpan footer = all.subspan(archive.size() - wire::kFooterBytes);
  std::copy_n(all.begin(), wire::kHeaderBytes, footer.begin());
  StoreLe(footer.data() + wire::kFooterHashOffset, Xxh3(footer.first(wire::kFooterHashOffset)));
}

/// The sample with a stored index, whatever the writer chose.
Bytes SampleWithStoredIndex(const Bytes& archive) {
  MemorySource source(archive);
  auto reader = ArchiveReader::Open(source);
  EXPECT_TRUE(reader.ok());
  size_t footer = archive.size() - wire::kFooterBytes;
  size_t first_index = LoadLe<uint64_t>(archive.data() + footer + wire::kFooterFirstIndexOffset);
  return Assemble(ByteSpan(archive).subspan(wire::kHeaderBytes, first_index - wire::kHeaderBytes),
                  reader.value().index());
}

Bytes GoodArchive() {
  auto sample = MakeSample(7);
  EXPECT_TRUE(sample.ok());
  return SampleWithStoredIndex(sample.value().archive);
}

Bytes GoldenArchive(const std::string& name) {
  std::ifstream in(std::filesystem::path(FLYWEIGHT_SOURCE_DIR) / "tests/golden/v1" / name, std::ios::binary);
  std::vector<char> chars{std::istreambuf_iterator<char>(in), {}};
  return SampleWithStoredIndex(Copy(std::as_bytes(std::span(chars))));
}

/// Both ways of reading must agree, and neither may ask for much memory.
void ExpectBounded(const Bytes& archive, const std::string& what) {
  largest_allocation_bytes = 0;
  auto from_memory = DecodeAll(MemorySource(archive));
  auto from_file = DecodeAll(CopyingSource(archive));
  EXPECT_LT(largest_allocation_bytes.load(), kAllocationLimitBytes) << what;
  ASSERT_EQ(from_memory.ok(), from_file.ok()) << what;
  if (from_memory.ok()) {
    EXPECT_EQ(from_memory.value().files, from_file.value().files) << what;
  } else {
    EXPECT_EQ(from_memory.error().code, from_file.error().code) << what;
    EXPECT_NE(from_memory.error().code, ErrorCode::kInternal) << what << ": " << from_memory.error().message;
    EXPECT_FALSE(from_memory.error().message.empty()) << what;
  }
}

template <typename T>
void SmashEverywhere(const Bytes& archive, const Layout& layout, std::initializer_list<uint64_t> values) {
  for (size_t at = 0; at + sizeof(T) <= archive.size(); ++at) {
    // Behind the first index stand its copy, which follows it, and the footer.
    if (at >= layout.second_index && at < archive.size() - wire::kFooterBytes) continue;
    for (uint64_t value : values) {
      Bytes smashed = archive;
      StoreLe(smashed.data() + at, static_cast<T>(value));
      FixHashes(layout, smashed);
      ExpectBounded(smashed, "byte " + std::to_string(at) + " = " + std::to_string(value));
      if (::testing::Test::HasFailure()) return;
    }
  }
}

TEST(ArchiveHostile, AnySmallFieldMayLie) {
  Bytes archive = GoodArchive();
  SmashEverywhere<uint8_t>(archive, LayoutOf(archive), {0, 1, 2, 0x7F, 0x80, 0xFF});
  SmashEverywhere<uint16_t>(archive, LayoutOf(archive), {0x8000, 0xFFFF});
}

TEST(ArchiveHostile, AnyFieldOf32BitsMayLie) {
  Bytes archive = GoodArchive();
  SmashEverywhere<uint32_t>(archive, LayoutOf(archive),
                            {0, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, uint64_t{4} << 20, uint64_t{1} << 30});
}

TEST(ArchiveHostile, AnyFieldOf64BitsMayLie) {
  Bytes archive = GoodArchive();
  SmashEverywhere<uint64_t>(archive, LayoutOf(archive),
                            {uint64_t{1} << 31, UINT32_MAX, uint64_t{1} << 32, (uint64_t{1} << 32) + 1,
                             (uint64_t{1} << 63) - 1, uint64_t{1} << 63, UINT64_MAX - 63, UINT64_MAX});
}

class HostileGolden : public ::testing::TestWithParam<const char*> {};

TEST_P(HostileGolden, FieldsOfRecordsMayLie) {
  Bytes archive = GoldenArchive(GetParam());
  Layout layout = LayoutOf(archive);
  uint64_t state = 1;
  auto below = [&state](uint64_t bound) {
    state = state * 6364136223846793005 + 1442695040888963407;
    return (state >> 33) % bound;
  };
  int refused = 0;
  for (int round = 0; round < 3000; ++round) {
    Bytes smashed = archive;
    for (uint64_t count = 1 + below(3); count > 0; --count) {
      const RecordLayout& record = layout.records[below(layout.records.size())];
      auto [frame, frame_bytes] = record.frames[below(record.frames.size())];
      // Mostly heads and the starts of frames, where the fields are.
      size_t at = record.head_offset + below(record.head_bytes - 8);
      uint64_t kind = below(4);
      if (kind == 0) at = frame + below(frame_bytes);
      if (kind == 1) at = frame + below(std::min<size_t>(frame_bytes, 64));
      if (kind == 2) at = record.table_offset + below(record.table_bytes);
      uint64_t width = uint64_t{1} << below(3);
      uint64_t value = below(3) == 0 ? UINT64_MAX : below(3) == 0 ? uint64_t{0x80000000} : below(UINT32_MAX);
      for (size_t i = 0; i < width && at + i < layout.first_index; ++i)
        smashed[at + i] = static_cast<std::byte>(value >> (8 * i));
    }
    FixHashes(layout, smashed);
    ExpectBounded(smashed, "round " + std::to_string(round));
    if (HasFailure()) return;
    refused += DecodeAll(smashed).ok() ? 0 : 1;
  }
  EXPECT_GT(refused, 2000) << "the lies must matter";
}

std::string StemOf(const ::testing::TestParamInfo<const char*>& info) {
  return std::filesystem::path(info.param).stem().string();
}

INSTANTIATE_TEST_SUITE_P(Codecs, HostileGolden,
                         ::testing::Values("codec_zstd.fly", "codecs_mixed.fly", "planes_each_method.fly",
                                           "masked_bits_runs.fly", "float_bf16.fly", "float_f16.fly", "float_f32.fly",
                                           "float_own_table.fly", "recentred_both.fly", "recentred_unary.fly",
                                           "recentred_zstd.fly", "recentred_columns_of_one.fly"),
                         StemOf);

}  // namespace
}  // namespace flyweight::test
