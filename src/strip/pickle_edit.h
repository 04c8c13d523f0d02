#pragma once

#include <cstdint>
#include <vector>

#include "container/pickle_scan.h"
#include "flyweight/result.h"

namespace flyweight {

/// A pickle without some members of its dicts and lists. Opcodes are copied, not made: what goes is left out, FRAME
/// opcodes too, and MEMOIZE becomes PUT, so that numbers of the memo stay. Where a part that stays uses a value of the
/// memo that a part which goes has put there, its first use becomes the opcodes that make the value; only values that
/// nobody can have changed in between qualify. The result is scanned again and compared with the original, value by
/// value. Errors: kUnsupportedFeature, with the reason, where any of that does not work out.
Result<std::vector<std::byte>> RemovePickleItems(const PickleTree& tree, const std::vector<uint32_t>& items);

/// Whether `edited` has the values of `original`, in the same order and shared in the same way, but for the members
/// `items`.
bool IsPickleWithout(const PickleTree& original, const PickleTree& edited, const std::vector<uint32_t>& items);

}  // namespace flyweight
