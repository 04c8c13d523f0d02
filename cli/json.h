#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "flyweight/pipeline.h"

namespace flyweight::cli {

/// Keys keep the order in which they are written.
using Json = nlohmann::ordered_json;

/// One line of ASCII. Bytes that are not UTF-8 become U+FFFD.
std::string ToJsonLine(const Json& json);

/// What `info` and `list` have in common.
Json DescribeListing(const ArchiveListing& listing);

/// One tensor of `list`; in a tree with its file.
Json DescribeTensor(const ArchiveListing& listing, const ListedTensor& tensor);

/// One entry of a tree.
Json DescribeEntry(const ListedFile& file);

}  // namespace flyweight::cli
