#include "pipeline/sharing.h"

#include "pipeline/casts.h"
#include "pipeline/repeats.h"

namespace flyweight {

Status FindShared(const ContentSet& contents, ArchiveIndex& index, Level level) {
  if (level == Level::kFast) return Status::Ok();
  FLYWEIGHT_TRY(FindCasts(contents, index));
  return FindRepeats(contents, index);
}

}  // namespace flyweight
