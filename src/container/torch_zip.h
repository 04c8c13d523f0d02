#pragma once

#include <string_view>
#include <vector>

#include "base/file.h"
#include "container/torch_storages.h"
#include "container/zip_directory.h"
#include "flyweight/result.h"

namespace flyweight {

/// The folder of a zip file that torch.save or torch.jit.save wrote: the ROOT of its member ROOT/data.pkl. Empty where
/// there is no such member, or two.
std::string_view FindTorchRoot(const ZipDirectory& directory);

/// For each member the storage that it is, as FindTorchStorages has it; storages without tensors for all others.
/// Members ROOT/data/N are typed by ROOT/data.pkl, and likewise ROOT/constants/N of TorchScript by ROOT/constants.pkl,
/// whose names start with "constants.". A member whose size is not the pickle's is no storage; where ROOT/byteorder is
/// not "little", elements of several bytes are opaque. Keys are empty. Errors: those of reading.
Result<std::vector<TorchStorage>> TypeTorchMembers(const ByteSource& source, const ZipDirectory& directory,
                                                   std::string_view root);

}  // namespace flyweight
