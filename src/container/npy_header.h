#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "flyweight/tensor.h"

namespace flyweight {

/// What the header of a numpy array file declares. Only the text was checked.
struct NpyHeader {
  std::string descr;  ///< numpy's name of the element type, as "<f4"
  bool fortran_order = false;
  Shape shape;
};

/// Parses the text of a header: a Python dict of exactly 'descr', 'fortran_order' and 'shape', then spaces up to a line
/// end. Gives nothing where it is anything else; also where descr is no text (structured types), a dimension is
/// negative or over 64 bits, or there are more than 255 of them.
std::optional<NpyHeader> ParseNpyHeader(std::string_view text);

/// An element type of numpy: its size and our dtype for it, kOpaque where we have none (other byte orders, text,
/// dates).
struct NpyType {
  DType dtype = DType::kOpaque;
  uint64_t item_bytes = 0;
};

/// The type of a `descr`. Gives nothing for pickled objects and for what does not say its size.
std::optional<NpyType> FindNpyType(std::string_view descr);

}  // namespace flyweight
