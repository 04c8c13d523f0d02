#include "archive/repair_skeleton.h"

#include <algorithm>
#include <functional>
#include <optional>

#include "archive/parity_wire.h"
#include "archive/repair_parts.h"
#include "archive/section.h"
#include "archive/wire.h"
#include "base/aligned_buffer.h"

namespace flyweight {
namespace {

constexpr size_t kWindowBytes = size_t{1} << 20;

using Sources = std::vector<const ByteSource*>;

/// Calls visit(offset) for every place where `magic` stands, from the end to the begin, until it returns true. Sectors
/// that cannot be read hold nothing.
template <typename Magic>
bool FindBackwards(const ByteSource& source, Magic magic, const std::function<bool(uint64_t offset)>& visit) {
  AlignedBuffer buffer(kWindowBytes + sizeof magic);
  for (uint64_t end = source.size(); end >= sizeof magic;) {
    uint64_t begin = end - std::min<uint64_t>(end, kWindowBytes);
    auto size = static_cast<size_t>(std::min<uint64_t>(end + sizeof magic - 1, source.size()) - begin);
    if (ReadIfThere(source, begin, {buffer.data(), size})) {
      for (size_t at = size - sizeof magic + 1; at-- > 0;) {
        if (LoadLe<Magic>(buffer.data() + at) == magic && visit(begin + at)) return true;
      }
    }
    end = begin;
  }
  return false;
}

std::optional<ArchiveFooter> FooterEndingAt(const ByteSource& source, uint64_t end) {
  FooterBytes bytes;
  if (end < wire::kArchiveMinBytes || !ReadIfThere(source, end - wire::kFooterBytes, bytes)) return std::nullopt;
  auto footer = ParseFooter(bytes, end);
  if (!footer.ok()) return std::nullopt;
  return footer.value();
}

/// A footer at the end of the source, or before bytes that were appended to it.
std::optional<ArchiveFooter> FindFooter(const ByteSource& source) {
  std::optional<ArchiveFooter> found = FooterEndingAt(source, source.size());
  if (found.has_value()) return found;
  FindBackwards<uint64_t>(source, wire::kEndMagic, [&](uint64_t offset) {
    found = FooterEndingAt(source, offset + sizeof wire::kEndMagic);
    return found.has_value();
  });
  return found;
}

std::optional<ArchiveHeader> HeaderOf(const ByteSource& source) {
  HeaderBytes bytes;
  if (!ReadIfThere(source, 0, bytes)) return std::nullopt;
  auto header = ParseHeader(bytes);
  if (!header.ok()) return std::nullopt;
  return header.value();
}

bool SameHeader(const ArchiveHeader& a, const ArchiveHeader& b) { return WriteHeader(a) == WriteHeader(b); }

/// The index section of `section_bytes` at `offset`, where it holds.
bool LoadSection(const ByteSource& source, uint64_t offset, uint64_t section_bytes, std::vector<std::byte>& section) {
  if (section_bytes < wire::kSectionHeadBytes || offset > source.size() || section_bytes > source.size() - offset) {
    return false;
  }
  section.resize(static_cast<size_t>(section_bytes));
  return ReadIfThere(source, offset, section) && SectionHashHolds(section) &&
         LoadLe<uint32_t>(section.data()) == wire::kSectionKindIndex;
}

Result<ArchiveIndex> IndexOf(ByteSpan section, uint64_t offset, uint64_t records_end, uint64_t features) {
  FLYWEIGHT_ASSIGN(std::vector<std::byte> body, ReadSectionBody(wire::kSectionKindIndex, section, offset));
  return ParseIndex(body, records_end, (features & wire::kFeatureTree) != 0, (features & wire::kFeaturePatches) != 0);
}

/// A place where an index section stands by its kind and hash.
struct FoundSection {
  uint64_t offset = 0;
  std::vector<std::byte> bytes;
};

std::optional<FoundSection> FindSectionBefore(const ByteSource& source, uint64_t end) {
  std::optional<FoundSection> found;
  FindBackwards<uint32_t>(source, wire::kSectionKindIndex, [&](uint64_t offset) {
    std::byte head[wire::kSectionHeadBytes];
    if (offset >= end || !ReadIfThere(source, offset, head)) return false;
    auto stored_bytes = LoadLe<uint64_t>(head + wire::kSectionStoredBytesOffset);
    FoundSection section{offset, {}};
    if (stored_bytes > wire::kSectionBodyMaxBytes ||
        !LoadSection(source, offset, wire::kSectionHeadBytes + stored_bytes, section.bytes)) {
      return false;
    }
    found = std::move(section);
    return true;
  });
  return found;
}

uint64_t RecordsEnd(const ArchiveIndex& index) {
  uint64_t end = wire::kHeaderBytes;
  for (const IndexFile& file : index.files) {
    for (const IndexExtent& extent : file.extents) {
      if (extent.has_record()) end = std::max(end, extent.record_offset + extent.record_bytes);
    }
  }
  return end;
}

Error NotFound(const std::string& what) { return {ErrorCode::kCorrupt, 0, "cannot be repaired: " + what}; }

class SkeletonSearch {
 public:
  explicit SkeletonSearch(const Sources& sources) : sources_(sources) {}

  Result<ArchiveSkeleton> Run() {
    if (!FindAnyFooter()) {
      FLYWEIGHT_TRY(RebuildFooter());
    }
    FLYWEIGHT_TRY(FindSections());
    CompareHeader();
    return std::move(skeleton_);
  }

 private:
  bool FindAnyFooter() {
    for (size_t i = 0; i < sources_.size(); ++i) {
      std::optional<ArchiveFooter> footer = FindFooter(*sources_[i]);
      if (!footer.has_value()) continue;
      skeleton_.footer = *footer;
      if (i == 0) {
        skeleton_.from_first = true;
      } else {
        skeleton_.repairs.emplace_back("footer");
      }
      return true;
    }
    return false;
  }

  /// Without a footer: the last index section says where the records end and so whether it is the first or the second.
  Status RebuildFooter() {
    std::optional<ArchiveHeader> header;
    for (const ByteSource* source : sources_) {
      if (!header.has_value()) header = HeaderOf(*source);
    }
    if (!header.has_value()) return NotFound("neither a header nor a footer is left");
    for (size_t i = 0; i < sources_.size(); ++i) {
      std::optional<FoundSection> last = FindSectionBefore(*sources_[i], UINT64_MAX);
      if (!last.has_value()) continue;
      FLYWEIGHT_TRY(PlaceSections(*sources_[i], *header, *last));
      skeleton_.from_first = i == 0;
      skeleton_.repairs.emplace_back("footer");
      return Status::Ok();
    }
    return NotFound("neither a footer nor an index is left");
  }

  Status PlaceSections(const ByteSource& source, const ArchiveHeader& header, const FoundSection& last) {
    FLYWEIGHT_ASSIGN(ArchiveIndex index, IndexOf(last.bytes, last.offset, last.offset, header.required_features));
    ArchiveFooter& footer = skeleton_.footer;
    footer.header = header;
    footer.index_section_bytes = last.bytes.size();
    footer.first_index_offset = RecordsEnd(index);
    uint64_t first_end = footer.first_index_offset + last.bytes.size();
    bool has_parity = (header.optional_features & wire::kOptionalParity) != 0;
    if (last.offset >= first_end) {
      footer.second_index_offset = last.offset;
    } else if (last.offset == footer.first_index_offset && !has_parity) {
      footer.second_index_offset = first_end;
    } else {
      return NotFound("nothing is left that says how large the parity area was");
    }
    (void)source;
    footer.archive_bytes = footer.second_index_offset + last.bytes.size() + wire::kFooterBytes;
    return Status::Ok();
  }

  Status FindSections() {
    const ArchiveFooter& footer = skeleton_.footer;
    const uint64_t offsets[] = {footer.first_index_offset, footer.second_index_offset};
    const char* names[] = {"first index", "second index"};
    for (size_t i = 0; i < sources_.size(); ++i) {
      for (size_t copy = 0; copy < 2; ++copy) {
        std::vector<std::byte> section;
        bool holds = LoadSection(*sources_[i], offsets[copy], footer.index_section_bytes, section);
        if (holds && skeleton_.section.empty()) {
          skeleton_.section = section;
          skeleton_.from_first |= i == 0;
        }
        if (i == 0 && (!holds || section != skeleton_.section)) skeleton_.repairs.emplace_back(names[copy]);
      }
    }
    if (skeleton_.section.empty()) return NotFound("all copies of the index are damaged");
    FLYWEIGHT_ASSIGN(skeleton_.index, IndexOf(skeleton_.section, footer.first_index_offset, footer.first_index_offset,
                                              footer.header.required_features));
    return Status::Ok();
  }

  void CompareHeader() {
    std::optional<ArchiveHeader> header = HeaderOf(*sources_[0]);
    if (!header.has_value() || !SameHeader(*header, skeleton_.footer.header)) skeleton_.repairs.emplace_back("header");
  }

  const Sources& sources_;
  ArchiveSkeleton skeleton_;
};

}  // namespace

Result<ArchiveSkeleton> FindSkeleton(const std::vector<const ByteSource*>& sources) {
  return SkeletonSearch(sources).Run();
}

}  // namespace flyweight
