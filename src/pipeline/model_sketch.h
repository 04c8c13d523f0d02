#pragma once

#include <string>

#include "delta/sketch.h"
#include "flyweight/result.h"

namespace flyweight {

/// Sketches what is under `path`: a model file of any format, an archive, or a directory, of which the model files
/// directly in it count. Of an archive fewer tensors are sampled, as each costs decoding a chunk. Errors: those of
/// reading; kBaseMismatch where the weights of an archive cannot be had without its base.
Result<Sketch> SketchModel(const std::string& path, const SketchSize& size);

}  // namespace flyweight
