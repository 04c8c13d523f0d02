#include "archive/reader.h"

#include <algorithm>
#include <optional>

#include "archive/header.h"
#include "archive/index.h"
#include "archive/index_patches.h"
#include "archive/index_shared.h"
#include "archive/section.h"
#include "archive/tail_window.h"
#include "archive/wire.h"

namespace flyweight {
namespace {

/// What Open finds out, step by step.
struct Opened {
  ArchiveFooter footer;
  ArchiveIndex index;
  uint64_t index_hash = 0;
  std::vector<std::string> damage;
};

Error NotWhole(const ByteSource& source, ByteSpan start) {
  if (LooksLikeArchive(start)) return {ErrorCode::kTruncated, source.size(), "the archive is cut off"};
  return {ErrorCode::kCorrupt, 0, "not a flyweight archive"};
}

/// Footer and header must both be there: the end says where the index is, and a newer version may end in another way.
Status OpenEnds(const ByteSource& source, const TailWindow& window, Opened& opened) {
  std::vector<std::byte> start_storage;
  FLYWEIGHT_ASSIGN(ByteSpan start,
                   window.Range(0, std::min<uint64_t>(source.size(), wire::kHeaderBytes), start_storage));
  if (source.size() < wire::kArchiveMinBytes) return NotWhole(source, start);
  bool start_holds = HeaderHashHolds(start);
  if (start_holds) {
    auto header = ParseHeader(start);
    if (!header.ok()) return header.take_error();
  }

  std::vector<std::byte> end_storage;
  FLYWEIGHT_ASSIGN(ByteSpan end, window.Range(source.size() - wire::kFooterBytes, wire::kFooterBytes, end_storage));
  auto footer = ParseFooter(end, source.size());
  if (!footer.ok()) {
    bool no_end = footer.error().code == ErrorCode::kTruncated && !start_holds;
    return no_end && !LooksLikeArchive(start) ? NotWhole(source, start) : footer.take_error();
  }
  opened.footer = footer.value();

  if (!start_holds) {
    opened.damage.emplace_back("header");
  } else if (!std::equal(start.begin(), start.end(), end.begin())) {
    return Error{ErrorCode::kCorrupt, 0, "the header and its copy in the footer are those of two archives"};
  }
  return Status::Ok();
}

Status OpenIndex(const TailWindow& window, Opened& opened) {
  const ArchiveFooter& footer = opened.footer;
  std::vector<std::byte> first_storage;
  std::vector<std::byte> second_storage;
  FLYWEIGHT_ASSIGN(ByteSpan first, window.Range(footer.first_index_offset, footer.index_section_bytes, first_storage));
  FLYWEIGHT_ASSIGN(ByteSpan second,
                   window.Range(footer.second_index_offset, footer.index_section_bytes, second_storage));
  bool first_holds = SectionHashHolds(first);
  bool second_holds = SectionHashHolds(second);
  if (!first_holds && !second_holds) {
    return Error{ErrorCode::kChecksumMismatch, footer.first_index_offset, "both copies of the index are damaged"};
  }
  if (!first_holds) opened.damage.emplace_back("first index");
  if (!second_holds) opened.damage.emplace_back("second index");
  if (first_holds && second_holds && !std::equal(first.begin(), first.end(), second.begin())) {
    return Error{ErrorCode::kCorrupt, footer.second_index_offset,
                 "the two copies of the index are those of two archives"};
  }
  // Of a large index only one form is kept at a time.
  if (first_holds) std::vector<std::byte>().swap(second_storage);
  auto body = ReadSectionBody(wire::kSectionKindIndex, first_holds ? first : second,
                              first_holds ? footer.first_index_offset : footer.second_index_offset);
  if (!body.ok()) return WithContext(body.take_error(), "index");
  std::vector<std::byte>().swap(first_storage);
  std::vector<std::byte>().swap(second_storage);
  opened.index_hash = Xxh3(body.value());
  FLYWEIGHT_ASSIGN(opened.index, ParseIndex(body.value(), footer.first_index_offset,
                                            (footer.header.required_features & wire::kFeatureTree) != 0,
                                            (footer.header.required_features & wire::kFeaturePatches) != 0));
  if (HasSharedPlaces(opened.index) && (footer.header.required_features & wire::kFeatureShared) == 0) {
    return Error{ErrorCode::kCorrupt, footer.first_index_offset,
                 "index: extents are made of others but the header does not say so"};
  }
  if (HasPatches(opened.index) && (footer.header.required_features & wire::kFeaturePatches) == 0) {
    return Error{ErrorCode::kCorrupt, footer.first_index_offset,
                 "index: extents are made from a base but the header does not say so"};
  }
  return Status::Ok();
}

}  // namespace

bool LooksLikeArchive(ByteSpan first_bytes) {
  return first_bytes.size() >= sizeof(uint64_t) && LoadLe<uint64_t>(first_bytes.data()) == wire::kHeaderMagic;
}

Result<ArchiveReader> ArchiveReader::Open(const ByteSource& source) {
  Opened opened;
  FLYWEIGHT_ASSIGN(TailWindow window, TailWindow::Read(source, wire::kTailReadBytes));
  FLYWEIGHT_TRY(OpenEnds(source, window, opened));
  FLYWEIGHT_TRY(OpenIndex(window, opened));

  ArchiveReader reader;
  reader.source_ = &source;
  reader.index_ = std::make_shared<const ArchiveIndex>(std::move(opened.index));
  reader.is_lossy_ = (opened.footer.header.required_features & wire::kFeatureLossy) != 0;
  reader.needs_base_ = NeedsBase(*reader.index_);
  reader.index_hash_ = opened.index_hash;
  reader.first_index_offset_ = opened.footer.first_index_offset;
  reader.damage_ = std::move(opened.damage);
  for (const IndexFile& file : reader.index_->files) {
    for (const IndexExtent& extent : file.extents) reader.extents_by_number_.push_back(&extent);
  }
  return reader;
}

const IndexExtent& ArchiveReader::Resolve(const IndexExtent& extent) const {
  if (extent.place != PlaceKind::kSame) return extent;
  return *extents_by_number_[static_cast<size_t>(extent.same_as)];
}

}  // namespace flyweight
