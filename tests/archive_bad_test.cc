#include <gtest/gtest.h>
#include <zstd.h>

#include <functional>

#include "archive_parts.h"

// Handcrafted bad archives: one broken rule of docs/format.md each, every checksum right, and the error it must give.

namespace flyweight::test {
namespace {

/// What a case may change before the archive is put together.
struct Draft {
  std::vector<StoredRecord> records = {MakeStoredRecord(Noise(150, 1), 64), MakeStoredRecord(Noise(64, 2), 64)};
  ArchiveIndex index;
  Bytes record_bytes;
  std::function<void(Bytes&)> change_body = [](Bytes&) {};
  std::function<void(Bytes&)> change_section = [](Bytes&) {};
  std::function<void(Bytes&)> change_second_section = [](Bytes&) {};
  std::function<void(Bytes&)> change_header = [](Bytes&) {};
  std::function<void(Bytes&)> change_footer = [](Bytes&) {};

  Draft() { DescribeRecords(); }

  /// Extents: 0 inline (10 bytes), 1 and 2 records, 3 the same as 1, 4 inline tensor, 5 empty.
  void DescribeRecords() {
    record_bytes.clear();
    std::vector<IndexExtent> extents = {InlineExtent(Noise(10, 3))};
    for (const StoredRecord& record : records) {
      extents.push_back(RecordExtent(wire::kHeaderBytes + record_bytes.size(), record));
      Bytes whole = record.Whole();
      record_bytes.insert(record_bytes.end(), whole.begin(), whole.end());
    }
    extents.push_back(SameExtent(1, records[0].plan.head.decoded_bytes));
    extents.push_back(AsTensor(InlineExtent(Noise(24, 4)), "t", DType::kF32, {2, 3}));
    extents.push_back(InlineExtent({}));
    index.files = {FileOf("file", std::move(extents))};
  }

  IndexExtent& extent(size_t number) { return index.files[0].extents[number]; }
  IndexFile& file() { return index.files[0]; }

  static void Rehash(Bytes& bytes, size_t hash_offset) {
    StoreLe(bytes.data() + hash_offset, Xxh3(ByteSpan(bytes).first(hash_offset)));
  }

  static void RehashSection(Bytes& section) {
    Bytes message(section.begin(), section.begin() + wire::kSectionHashOffset);
    message.insert(message.end(), section.begin() + wire::kSectionHeadBytes, section.end());
    StoreLe(section.data() + wire::kSectionHashOffset, Xxh3(message));
  }

  Bytes Build() const {
    Bytes body = SerializeIndex(index);
    change_body(body);
    Bytes section = StoredSection(wire::kSectionKindIndex, body);
    change_section(section);
    RehashSection(section);
    Bytes second = section;
    change_second_section(second);
    RehashSection(second);
    Bytes archive = AssembleSections(record_bytes, section, second);

    Bytes header(archive.begin(), archive.begin() + wire::kHeaderBytes);
    change_header(header);
    Rehash(header, wire::kHeaderHashOffset);
    Bytes footer(archive.end() - wire::kFooterBytes, archive.end());
    std::copy(header.begin(), header.end(), footer.begin());
    change_footer(footer);
    Rehash(footer, wire::kFooterHashOffset);
    std::copy(header.begin(), header.end(), archive.begin());
    std::copy(footer.begin(), footer.end(), archive.end() - wire::kFooterBytes);
    return archive;
  }
};

template <typename T>
std::function<void(Bytes&)> Put(size_t offset, T value) {
  return [offset, value](Bytes& bytes) { StoreLe(bytes.data() + offset, value); };
}

struct BadArchive {
  const char* name;
  ErrorCode expected;
  std::function<void(Draft&)> spoil;
};

void PrintTo(const BadArchive& bad, std::ostream* out) { *out << bad.name; }

/// Body offsets of the draft's index: file count 0, reserved 4, then the file.
constexpr size_t kBodyFile = 8;
constexpr size_t kBodyHasSha256 = kBodyFile + 2 + 4 + 1;
constexpr size_t kBodyAttributeCount = kBodyHasSha256 + 1 + 32 + 8;
constexpr size_t kBodyExtentCount = kBodyAttributeCount + 4;
constexpr size_t kBodyExtents = kBodyExtentCount + 8;

void SetZstdSection(Bytes& section, ByteSpan stored, uint64_t decoded_bytes) {
  section.resize(wire::kSectionHeadBytes);
  section.insert(section.end(), stored.begin(), stored.end());
  StoreLe(section.data() + wire::kSectionMethodOffset, wire::kSectionZstd);
  StoreLe(section.data() + wire::kSectionStoredBytesOffset, uint64_t{stored.size()});
  StoreLe(section.data() + wire::kSectionDecodedBytesOffset, decoded_bytes);
}

Bytes ZstdFrame(ByteSpan content, bool with_size = true) {
  Bytes frame(ZSTD_compressBound(content.size()));
  ZSTD_CCtx* context = ZSTD_createCCtx();
  ZSTD_CCtx_setParameter(context, ZSTD_c_contentSizeFlag, with_size ? 1 : 0);
  frame.resize(ZSTD_compress2(context, frame.data(), frame.size(), content.data(), content.size()));
  ZSTD_freeCCtx(context);
  return frame;
}

Bytes BodyOf(const Bytes& section) { return {section.begin() + wire::kSectionHeadBytes, section.end()}; }

/// Spoils the first record's head, with its hash and the index made right again.
void SpoilHead(Draft& draft, const std::function<void(Bytes&)>& change) {
  Bytes& head = draft.records[0].plan.head_bytes;
  change(head);
  Draft::Rehash(head, head.size() - 8);
  draft.DescribeRecords();
}

/// Gives the first record's first chunk another frame.
void SpoilFrame(Draft& draft, uint8_t codec, ByteSpan payload) {
  StoredRecord& record = draft.records[0];
  record.frames[0] = MakeFrame(codec, payload, Noise(150, 1));
  StoreLe(record.frames[0].data() + 8, record.table[0].decoded_xxh3);
  Bytes start(record.frames[0].begin(), record.frames[0].begin() + 16);
  ByteWriter hashed;
  hashed.Append(start);
  hashed.Write(Xxh3(payload));
  StoreLe(record.frames[0].data() + 16, Xxh3(hashed.bytes()));
  record.table[0].frame_bytes = static_cast<uint32_t>(record.frames[0].size());
  draft.DescribeRecords();
}

using E = ErrorCode;

// clang-format off
const BadArchive kHeaderAndFooter[] = {
  {"VersionOfTomorrow", E::kUnsupportedVersion, [](Draft& d) { d.change_header = Put<uint16_t>(8, 2); }},
  {"VersionZero", E::kCorrupt, [](Draft& d) { d.change_header = Put<uint16_t>(8, 0); }},
  {"HeaderOfAnotherSize", E::kCorrupt, [](Draft& d) { d.change_header = Put<uint16_t>(10, 65); }},
  {"HeaderReserved", E::kCorrupt, [](Draft& d) { d.change_header = Put<uint8_t>(12, 1); }},
  {"HeaderReservedToo", E::kCorrupt, [](Draft& d) { d.change_header = Put<uint8_t>(55, 1); }},
  {"HeaderMagic", E::kCorrupt, [](Draft& d) { d.change_header = Put<uint8_t>(0, 0x88); }},
  {"RequiredExternalExtents", E::kUnsupportedFeature, [](Draft& d) { d.change_header = Put<uint64_t>(16, 1); }},
  {"RequiredUnknown", E::kUnsupportedFeature, [](Draft& d) { d.change_header = Put<uint64_t>(16, uint64_t{1} << 63); }},
  {"FooterOfAnotherHeader", E::kCorrupt, [](Draft& d) { d.change_footer = [](Bytes& footer) {
     HeaderBytes other = WriteHeader({.required_features = 0, .optional_features = 1});
     std::copy(other.begin(), other.end(), footer.begin()); }; }},
  {"FooterHeaderHash", E::kChecksumMismatch, [](Draft& d) { d.change_footer = Put<uint8_t>(24, 1); }},
  {"FooterReserved", E::kCorrupt, [](Draft& d) { d.change_footer = Put<uint8_t>(111, 1); }},
  {"FirstIndexInHeader", E::kCorrupt, [](Draft& d) { d.change_footer = Put<uint64_t>(64, 63); }},
  {"FirstIndexBehindEnd", E::kCorrupt, [](Draft& d) { d.change_footer = Put<uint64_t>(64, 100000); }},
  {"FirstIndexNear2To64", E::kCorrupt, [](Draft& d) { d.change_footer = Put<uint64_t>(64, UINT64_MAX - 8); }},
  {"SecondIndexNear2To64", E::kCorrupt, [](Draft& d) { d.change_footer = Put<uint64_t>(72, UINT64_MAX - 8); }},
  {"SecondIndexOverFirst", E::kCorrupt, [](Draft& d) { d.change_footer = Put<uint64_t>(72, 65); }},
  {"IndexOfNoBytes", E::kCorrupt, [](Draft& d) { d.change_footer = Put<uint64_t>(80, 0); }},
  {"IndexOf31Bytes", E::kCorrupt, [](Draft& d) { d.change_footer = Put<uint64_t>(80, 31); }},
  {"IndexOf2To31Bytes", E::kLimitExceeded, [](Draft& d) { d.change_footer = Put<uint64_t>(80, uint64_t{1} << 31); }},
  {"IndexOf2To63Bytes", E::kLimitExceeded, [](Draft& d) { d.change_footer = Put<uint64_t>(80, uint64_t{1} << 63); }},
  {"IndexLongerThanItsSection", E::kCorrupt, [](Draft& d) { d.change_footer = Put<uint64_t>(80, 400); }},
  {"ArchiveLonger", E::kTruncated, [](Draft& d) { d.change_footer = Put<uint64_t>(88, uint64_t{1} << 63); }},
  {"ArchiveShorter", E::kCorrupt, [](Draft& d) { d.change_footer = Put<uint64_t>(88, 0); }},
};

const BadArchive kSections[] = {
  {"KindParity", E::kCorrupt, [](Draft& d) { d.change_section = Put<uint32_t>(0, 0x59524150); }},
  {"MethodUnknown", E::kUnsupportedFeature, [](Draft& d) { d.change_section = Put<uint32_t>(4, 2); }},
  {"StoredBytesMore", E::kCorrupt, [](Draft& d) { d.change_section = Put<uint64_t>(8, uint64_t{1} << 63); }},
  {"StoredBytesFewer", E::kCorrupt, [](Draft& d) { d.change_section = Put<uint64_t>(8, 0); }},
  {"DecodedBytesOther", E::kCorrupt, [](Draft& d) { d.change_section = Put<uint64_t>(16, 0); }},
  {"DecodedBytesOver2To30", E::kLimitExceeded, [](Draft& d) { d.change_section = Put<uint64_t>(16, (uint64_t{1} << 30) + 1); }},
  {"DecodedBytes2To63", E::kLimitExceeded, [](Draft& d) { d.change_section = Put<uint64_t>(16, uint64_t{1} << 63); }},
  {"CopiesDiffer", E::kCorrupt, [](Draft& d) { d.change_second_section = [](Bytes& s) { s.back() ^= std::byte{1}; }; }},
  {"ZstdGarbage", E::kCorrupt, [](Draft& d) { d.change_section = [](Bytes& s) { SetZstdSection(s, Noise(50, 1), 50); }; }},
  {"ZstdNothing", E::kCorrupt, [](Draft& d) { d.change_section = [](Bytes& s) { SetZstdSection(s, {}, 0); }; }},
  {"ZstdOtherSize", E::kCorrupt, [](Draft& d) { d.change_section = [](Bytes& s) {
     Bytes body = BodyOf(s); SetZstdSection(s, ZstdFrame(body), body.size() + 1); }; }},
  {"ZstdWithoutSize", E::kCorrupt, [](Draft& d) { d.change_section = [](Bytes& s) {
     Bytes body = BodyOf(s); SetZstdSection(s, ZstdFrame(body, false), body.size()); }; }},
  {"ZstdAndMore", E::kCorrupt, [](Draft& d) { d.change_section = [](Bytes& s) {
     Bytes body = BodyOf(s); Bytes frame = ZstdFrame(body); frame.push_back(std::byte{0}); SetZstdSection(s, frame, body.size()); }; }},
  {"ZstdTwoFrames", E::kCorrupt, [](Draft& d) { d.change_section = [](Bytes& s) {
     Bytes body = BodyOf(s); Bytes frame = ZstdFrame(body); Bytes empty = ZstdFrame({}); frame.insert(frame.end(), empty.begin(), empty.end());
     SetZstdSection(s, frame, body.size()); }; }},
  {"ZstdCutOff", E::kCorrupt, [](Draft& d) { d.change_section = [](Bytes& s) {
     Bytes body = BodyOf(s); Bytes frame = ZstdFrame(body); frame.pop_back(); SetZstdSection(s, frame, body.size()); }; }},
  {"ZstdBomb", E::kLimitExceeded, [](Draft& d) { d.change_section = [](Bytes& s) {
     Bytes zeros(size_t{20} << 20); SetZstdSection(s, ZstdFrame(zeros), zeros.size()); }; }},
  {"ZstdBombThatLies", E::kCorrupt, [](Draft& d) { d.change_section = [](Bytes& s) {
     Bytes zeros(size_t{20} << 20); SetZstdSection(s, ZstdFrame(zeros), 1000); }; }},
};

const BadArchive kIndexSyntax[] = {
  {"FileCountMax", E::kTruncated, [](Draft& d) { d.change_body = Put<uint32_t>(0, UINT32_MAX); }},
  {"FileCountOneMore", E::kTruncated, [](Draft& d) { d.change_body = Put<uint32_t>(0, 2); }},
  {"FileCountZero", E::kCorrupt, [](Draft& d) { d.change_body = Put<uint32_t>(0, 0); }},
  {"Reserved", E::kCorrupt, [](Draft& d) { d.change_body = Put<uint32_t>(4, 1); }},
  {"NameOverEnd", E::kTruncated, [](Draft& d) { d.change_body = Put<uint16_t>(kBodyFile, 65535); }},
  {"HasSha256Two", E::kCorrupt, [](Draft& d) { d.change_body = Put<uint8_t>(kBodyHasSha256, 2); }},
  {"AttributeCountMax", E::kTruncated, [](Draft& d) { d.change_body = Put<uint32_t>(kBodyAttributeCount, UINT32_MAX); }},
  {"AttributeOverEnd", E::kTruncated, [](Draft& d) { d.change_body = Put<uint32_t>(kBodyAttributeCount, 1); }},
  {"ExtentCount2To63", E::kTruncated, [](Draft& d) { d.change_body = Put<uint64_t>(kBodyExtentCount, uint64_t{1} << 63); }},
  {"ExtentCount2To32", E::kTruncated, [](Draft& d) { d.change_body = Put<uint64_t>(kBodyExtentCount, uint64_t{1} << 32); }},
  {"ExtentCountOneMore", E::kTruncated, [](Draft& d) { d.change_body = Put<uint64_t>(kBodyExtentCount, 7); }},
  {"ExtentCountOneLess", E::kCorrupt, [](Draft& d) { d.change_body = Put<uint64_t>(kBodyExtentCount, 5); }},
  {"ExtentKindUnknown", E::kCorrupt, [](Draft& d) { d.change_body = Put<uint8_t>(kBodyExtents, 6); }},
  {"ExtentKind255", E::kCorrupt, [](Draft& d) { d.change_body = Put<uint8_t>(kBodyExtents, 255); }},
  {"ExtentExternal", E::kUnsupportedFeature, [](Draft& d) { d.change_body = Put<uint8_t>(kBodyExtents, 3); }},
  {"IsTensorTwo", E::kCorrupt, [](Draft& d) { d.change_body = Put<uint8_t>(kBodyExtents + 1, 2); }},
  {"InlineOverEnd", E::kTruncated, [](Draft& d) { d.change_body = Put<uint32_t>(kBodyExtents + 10, 4096); }},
  {"InlineOver4096", E::kCorrupt, [](Draft& d) { d.change_body = Put<uint32_t>(kBodyExtents + 10, 4097); }},
  {"Inline2To31", E::kCorrupt, [](Draft& d) { d.change_body = Put<uint32_t>(kBodyExtents + 10, 0x80000000); }},
  {"InlineOtherThanDecoded", E::kCorrupt, [](Draft& d) { d.change_body = Put<uint64_t>(kBodyExtents + 2, 9); }},
  {"TrailingByte", E::kCorrupt, [](Draft& d) { d.change_body = [](Bytes& body) { body.push_back(std::byte{0}); }; }},
  {"CutOff", E::kTruncated, [](Draft& d) { d.change_body = [](Bytes& body) { body.pop_back(); }; }},
  {"Empty", E::kTruncated, [](Draft& d) { d.change_body = [](Bytes& body) { body.clear(); }; }},
  {"TensorReserved", E::kCorrupt, [](Draft& d) { d.change_body = [](Bytes& body) {
     // The inline tensor starts: kind 0, is_tensor 1, 24 bytes, F32, rank 2, reserved.
     const uint8_t start[] = {0, 1, 24, 0, 0, 0, 0, 0, 0, 0, 12, 0, 2};
     auto at = std::search(body.begin(), body.end(), std::as_bytes(std::span(start)).begin(), std::as_bytes(std::span(start)).end());
     at[sizeof start] = std::byte{1}; }; }},
};

const BadArchive kIndexMeaning[] = {
  {"NameWithSlash", E::kCorrupt, [](Draft& d) { d.file().name = "../x"; }},
  {"NameAbsolute", E::kCorrupt, [](Draft& d) { d.file().name = "/x"; }},
  {"NameWithNul", E::kCorrupt, [](Draft& d) { d.file().name = std::string("a\0b", 3); }},
  {"NameDot", E::kCorrupt, [](Draft& d) { d.file().name = "."; }},
  {"NameDotDot", E::kCorrupt, [](Draft& d) { d.file().name = ".."; }},
  {"ShaWithoutFlag", E::kCorrupt, [](Draft& d) { d.file().sha256[31] = std::byte{1}; }},
  {"FileBytesMore", E::kCorrupt, [](Draft& d) { d.file().file_bytes += 1; }},
  {"FileBytes2To63", E::kCorrupt, [](Draft& d) { d.file().file_bytes = uint64_t{1} << 63; }},
  {"SumOver2To64", E::kCorrupt, [](Draft& d) {
     d.extent(1).decoded_bytes = d.extent(3).decoded_bytes = uint64_t{1} << 63; d.file().file_bytes = 98; }},
  {"RecordInHeader", E::kCorrupt, [](Draft& d) { d.extent(1).record_offset = 63; }},
  {"RecordOverIndex", E::kCorrupt, [](Draft& d) { d.extent(2).record_bytes += 1; }},
  {"RecordNear2To64", E::kCorrupt, [](Draft& d) { d.extent(1).record_offset = UINT64_MAX - 8; }},
  {"RecordBytes2To63", E::kCorrupt, [](Draft& d) { d.extent(1).record_bytes = uint64_t{1} << 63; }},
  {"RecordTooSmallForItsContent", E::kCorrupt, [](Draft& d) {
     d.extent(2).decoded_bytes = uint64_t{3} << 22; d.file().file_bytes += (uint64_t{3} << 22) - 64; }},
  {"RecordBytesNone", E::kCorrupt, [](Draft& d) { d.extent(1).record_bytes = 0; }},
  {"RecordWithoutContent", E::kCorrupt, [](Draft& d) { d.file().file_bytes -= d.extent(2).decoded_bytes; d.extent(2).decoded_bytes = 0; }},
  {"SameAsItself", E::kCorrupt, [](Draft& d) { d.extent(3).same_as = 3; }},
  {"SameAsLater", E::kCorrupt, [](Draft& d) { d.extent(3) = SameExtent(4, 24); d.file().file_bytes -= 126; }},
  {"SameAs2To63", E::kCorrupt, [](Draft& d) { d.extent(3).same_as = uint64_t{1} << 63; }},
  {"SameAsSame", E::kCorrupt, [](Draft& d) { d.file().extents.push_back(SameExtent(3, 150)); d.file().file_bytes += 150; }},
  {"SameAsOtherSize", E::kCorrupt, [](Draft& d) { d.extent(3).same_as = 2; }},
  {"SameAsNothing", E::kCorrupt, [](Draft& d) { d.file().extents.push_back(SameExtent(5, 0)); }},
  {"DigestWithoutAlgorithm", E::kCorrupt, [](Draft& d) { d.extent(4).digest[0] = std::byte{1}; }},
  {"DigestAlgorithmUnknown", E::kUnsupportedFeature, [](Draft& d) { d.extent(4).digest_algorithm = DigestAlgorithm{2}; }},
  {"ShapeTooLarge", E::kCorrupt, [](Draft& d) { d.extent(4).shape = {2, 4}; }},
  {"ShapeOverflows", E::kCorrupt, [](Draft& d) { d.extent(4).shape = {uint64_t{1} << 63, 2}; }},
  {"ShapeOverflowsBack", E::kCorrupt, [](Draft& d) { d.extent(4).shape = {6, (uint64_t{1} << 62) + 1}; }},
  {"ShapeOfBits", E::kCorrupt, [](Draft& d) { d.extent(4).dtype = DType::kF4; d.extent(4).shape = {49}; }},
};

const BadArchive kRecords[] = {
  {"CheckOther", E::kChecksumMismatch, [](Draft& d) { d.extent(1).record_check ^= 1; }},
  {"OfOtherSize", E::kCorrupt, [](Draft& d) {
     d.extent(1).decoded_bytes -= 1; d.extent(3).decoded_bytes -= 1; d.file().file_bytes -= 2; }},
  {"StartsLater", E::kCorrupt, [](Draft& d) { d.extent(1).record_offset += 1; }},
  {"EndsEarlier", E::kChecksumMismatch, [](Draft& d) { d.extent(1).record_bytes -= 1; }},
  {"BytesThatBelongToNoFrame", E::kCorrupt, [](Draft& d) { d.records[0].frames[2].push_back(std::byte{0}); d.DescribeRecords(); }},
  {"FramesTooLong", E::kCorrupt, [](Draft& d) { d.records[0].table[0].frame_bytes += 1; d.DescribeRecords(); }},
  {"FrameOf4GiB", E::kCorrupt, [](Draft& d) { d.records[0].table[0].frame_bytes = UINT32_MAX; d.DescribeRecords(); }},
  {"FrameOf2GiB", E::kCorrupt, [](Draft& d) { d.records[0].table[2].frame_bytes = 0x80000000; d.DescribeRecords(); }},
  {"FrameOfNoBytes", E::kCorrupt, [](Draft& d) { d.records[0].table[0].frame_bytes = 0; d.DescribeRecords(); }},
  {"HeadMagic", E::kCorrupt, [](Draft& d) { SpoilHead(d, Put<uint8_t>(0, 0)); }},
  {"HeadOf39Bytes", E::kCorrupt, [](Draft& d) { SpoilHead(d, Put<uint32_t>(4, 39)); }},
  {"HeadOf2GiB", E::kLimitExceeded, [](Draft& d) { SpoilHead(d, Put<uint32_t>(4, 0x80000000)); }},
  {"HeadLongerThanRecord", E::kCorrupt, [](Draft& d) { SpoilHead(d, Put<uint32_t>(4, 5000)); }},
  {"HeadOverFrames", E::kChecksumMismatch, [](Draft& d) { SpoilHead(d, Put<uint32_t>(4, 48)); }},
  {"DTypeUnknown", E::kUnsupportedFeature, [](Draft& d) { SpoilHead(d, Put<uint16_t>(8, 23)); }},
  {"TransformUnknown", E::kUnsupportedFeature, [](Draft& d) { SpoilHead(d, Put<uint8_t>(10, 7)); }},
  {"TransformWithoutSide", E::kTruncated, [](Draft& d) { SpoilHead(d, Put<uint8_t>(10, 1)); }},
  {"ChunksOfNothing", E::kLimitExceeded, [](Draft& d) { SpoilHead(d, Put<uint32_t>(12, 0)); }},
  {"ChunksOver4MiB", E::kLimitExceeded, [](Draft& d) { SpoilHead(d, Put<uint32_t>(12, (4u << 20) + 1)); }},
  {"ChunksOf4GiB", E::kLimitExceeded, [](Draft& d) { SpoilHead(d, Put<uint32_t>(12, UINT32_MAX)); }},
  {"MoreChunksThanBytes", E::kCorrupt, [](Draft& d) { SpoilHead(d, Put<uint32_t>(12, 1)); }},
  {"FewerChunks", E::kChecksumMismatch, [](Draft& d) { SpoilHead(d, Put<uint32_t>(12, 75)); }},
  {"ContentOf2To63Bytes", E::kCorrupt, [](Draft& d) {
     SpoilHead(d, Put<uint64_t>(16, uint64_t{1} << 63));
     d.extent(1).decoded_bytes = uint64_t{1} << 63; d.extent(3).decoded_bytes = uint64_t{1} << 63;
     d.index.files.push_back(FileOf("b", {d.extent(3)})); d.file().extents.erase(d.file().extents.begin() + 3);
     d.file() = FileOf("a", d.file().extents); }},
  {"StoredShort", E::kCorrupt, [](Draft& d) { SpoilFrame(d, 0, Noise(63, 1)); }},
  {"StoredLong", E::kCorrupt, [](Draft& d) { SpoilFrame(d, 0, Noise(65, 1)); }},
  {"StoredOther", E::kChecksumMismatch, [](Draft& d) { SpoilFrame(d, 0, Noise(64, 99)); }},
  {"PayloadOverBound", E::kCorrupt, [](Draft& d) { SpoilFrame(d, 0, Noise(64 + 65, 1)); }},
  {"ConstantOfNothing", E::kCorrupt, [](Draft& d) { SpoilFrame(d, 1, {}); }},
  {"ConstantOfTwo", E::kCorrupt, [](Draft& d) { SpoilFrame(d, 1, Noise(2, 1)); }},
  {"ConstantOther", E::kChecksumMismatch, [](Draft& d) { SpoilFrame(d, 1, Noise(1, 1)); }},
  {"ZstdGarbage", E::kCorrupt, [](Draft& d) { SpoilFrame(d, 2, Noise(40, 1)); }},
  {"ZstdOfOtherSize", E::kCorrupt, [](Draft& d) { SpoilFrame(d, 2, ZstdFrame(Bytes(65))); }},
  {"ZstdBomb", E::kCorrupt, [](Draft& d) { SpoilFrame(d, 2, ZstdFrame(Bytes(1 << 20))); }},
  {"PlanesOfNothing", E::kTruncated, [](Draft& d) { SpoilFrame(d, 3, {}); }},
  {"FloatWithoutTransform", E::kCorrupt, [](Draft& d) { SpoilFrame(d, 4, Noise(60, 1)); }},
  {"CodecOfPatches", E::kUnsupportedFeature, [](Draft& d) { SpoilFrame(d, 64, Noise(64, 1)); }},
  {"CodecLossy", E::kUnsupportedFeature, [](Draft& d) { SpoilFrame(d, 128, Noise(64, 1)); }},
  {"CodecPrivate", E::kUnsupportedFeature, [](Draft& d) { SpoilFrame(d, 255, Noise(64, 1)); }},
  {"CodecUnknown", E::kUnsupportedFeature, [](Draft& d) { SpoilFrame(d, 13, Noise(64, 1)); }},
};
// clang-format on

class BadArchives : public ::testing::TestWithParam<BadArchive> {};

TEST_P(BadArchives, GiveTheirError) {
  Draft draft;
  GetParam().spoil(draft);
  Bytes archive = draft.Build();
  for (bool in_memory : {true, false}) {
    auto decoded = in_memory ? DecodeAll(MemorySource(archive)) : DecodeAll(CopyingSource(archive));
    ASSERT_FALSE(decoded.ok());
    EXPECT_EQ(decoded.error().code, GetParam().expected) << decoded.error().message;
    EXPECT_GT(decoded.error().message.size(), 10u);
  }
}

std::string NameOf(const ::testing::TestParamInfo<BadArchive>& bad) { return bad.param.name; }

INSTANTIATE_TEST_SUITE_P(HeaderAndFooter, BadArchives, ::testing::ValuesIn(kHeaderAndFooter), NameOf);
INSTANTIATE_TEST_SUITE_P(Sections, BadArchives, ::testing::ValuesIn(kSections), NameOf);
INSTANTIATE_TEST_SUITE_P(IndexSyntax, BadArchives, ::testing::ValuesIn(kIndexSyntax), NameOf);
INSTANTIATE_TEST_SUITE_P(IndexMeaning, BadArchives, ::testing::ValuesIn(kIndexMeaning), NameOf);
INSTANTIATE_TEST_SUITE_P(Records, BadArchives, ::testing::ValuesIn(kRecords), NameOf);

TEST(BadArchives, TheDraftWithoutChangeIsGood) {
  auto decoded = DecodeAll(Draft().Build());
  ASSERT_TRUE(decoded.ok()) << decoded.error().message;
  EXPECT_TRUE(decoded.value().damage.empty());
  EXPECT_EQ(decoded.value().files[0].size(), 10u + 150 + 64 + 150 + 24);
}

TEST(BadArchives, OptionalFeaturesAreNoReasonToRefuse) {
  Draft draft;
  draft.change_header = Put<uint64_t>(24, UINT64_MAX);
  auto decoded = DecodeAll(draft.Build());
  EXPECT_TRUE(decoded.ok()) << decoded.error().message;
}

}  // namespace
}  // namespace flyweight::test
