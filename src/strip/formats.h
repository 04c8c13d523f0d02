#pragma once

#include <optional>
#include <string>

#include "container/zip_directory.h"
#include "strip/strip.h"
#include "tensor/file_map.h"

// PlanStrip for each format. Nothing where nothing is to be removed; errors as PlanStrip.

namespace flyweight {

/// The error of a file that cannot be rewritten with certainty.
inline Error CannotStrip(const std::string& reason) {
  return {ErrorCode::kUnsupportedFeature, 0, "nothing can be stripped from it: " + reason};
}

/// Precondition: AnnotateSafetensors took the file.
Result<std::optional<StripPlan>> StripSafetensors(const ByteSource& source, const StripRequest& request);

/// Precondition: `map` is what AnnotateGguf gave.
Result<std::optional<StripPlan>> StripGguf(const ByteSource& source, const FileMap& map, const StripRequest& request);

/// npz and other zip files: removes members.
Result<std::optional<StripPlan>> StripZip(const ByteSource& source, const ZipDirectory& directory,
                                          const StripRequest& request);

/// What torch.save wrote; `root` is FindTorchRoot's.
Result<std::optional<StripPlan>> StripTorchZip(const ByteSource& source, const ZipDirectory& directory,
                                               std::string_view root, const StripRequest& request);

/// What torch.save wrote before version 1.6.
Result<std::optional<StripPlan>> StripTorchLegacy(const ByteSource& source, const StripRequest& request);

}  // namespace flyweight
