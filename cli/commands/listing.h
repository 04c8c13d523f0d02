#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cli/console.h"
#include "flyweight/pipeline.h"

namespace flyweight::cli {

/// What the index of an archive says. Damage that could be worked around is warned of; errors were told to the console.
std::optional<ArchiveListing> ReadListing(const std::string& file, Console& console);

/// All bytes that are neither tensors' nor raw extents': header, footer and indexes.
uint64_t OverheadBytes(const ArchiveListing& listing);

/// "LOSSY: ...", "STRIPPED: ...": a line for each that holds, none for what is wholly what was compressed.
std::vector<std::string> LossLines(const ArchiveListing& listing);

/// What a patch stands on and how it holds its tensors; no line for other archives.
std::vector<std::string> BaseLines(const ArchiveListing& listing);

/// "[768, 1024]".
std::string ShapeText(const Shape& shape);

/// Elements of a shape; UINT64_MAX where they are more than that.
uint64_t ElementCount(const Shape& shape);

/// The name by which a tensor is found: its own, in a tree "file:tensor".
std::string KeyOf(const ArchiveListing& listing, const ListedTensor& tensor);

/// True where `pattern` is `text` or, with * and ?, matches all of it.
bool MatchesName(const std::string& pattern, const std::string& text);

/// True where the pattern matches a tensor's name, alone or with its file's in front.
bool MatchesTensor(const std::string& pattern, const ArchiveListing& listing, const ListedTensor& tensor);

/// "drwxr-xr-x".
std::string ModeText(const EntryStat& entry);

/// "2026-05-04 12:03" in local time, "-" for what no calendar knows.
std::string TimeText(const FileTime& time);

}  // namespace flyweight::cli
