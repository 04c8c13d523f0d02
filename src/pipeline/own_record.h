#pragma once

#include <cstdint>
#include <memory>

#include "archive/reader.h"
#include "base/file.h"

namespace flyweight {

// What the record of an extent of pieces holds: those of its bytes that are nowhere else, one piece behind the other.
// `number` is the extent's own, over all files.

/// The own bytes of an extent that lies at `offset` of `content`, which must outlive what is returned.
std::unique_ptr<const ByteSource> OwnContent(const ByteSource& content, uint64_t offset, uint32_t number,
                                             const IndexExtent& extent);

/// The shape of the own bytes where they are whole rows of the tensor, in whichever way it is read as a matrix; else
/// empty.
Shape OwnShape(uint32_t number, const IndexExtent& extent);

}  // namespace flyweight
