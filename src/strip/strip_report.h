#pragma once

#include <vector>

#include "strip/strip.h"

namespace flyweight {

/// The value of a file's attribute 6 (docs/format.md section 1.5.2). Names are cut at 65535 bytes.
std::vector<std::byte> WriteRemovedTensors(const std::vector<RemovedTensor>& removed);

/// Parses it. Errors: kTruncated, kCorrupt.
Result<std::vector<RemovedTensor>> ParseRemovedTensors(ByteSpan value);

}  // namespace flyweight
