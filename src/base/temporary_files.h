#pragma once

#include <cstddef>
#include <string>

namespace flyweight {

// The partial files that RemoveTemporaryFiles() would remove, in memory that never goes and a signal handler may read.

inline constexpr size_t kNoTemporarySlot = static_cast<size_t>(-1);

/// Remembers `name` in the open directory `directory`, which must stay open until forgotten. kNoTemporarySlot where
/// memory is out or the name is too long; the file is then safe from all but signals.
size_t RememberTemporary(int directory, const std::string& name);

/// Frees a slot; kNoTemporarySlot is allowed.
void ForgetTemporary(size_t slot);

/// How often RemoveTemporaryFiles() was called. A file created while it ran may have been missed; whoever sees the
/// count change removes it.
size_t TemporaryRemovalCount();

}  // namespace flyweight
