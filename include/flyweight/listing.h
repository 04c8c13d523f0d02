#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "flyweight/entry.h"
#include "flyweight/lossy.h"
#include "flyweight/result.h"
#include "flyweight/tensor.h"

// What the index of an archive says.

namespace flyweight {

/// How an extent of a patch is stored.
enum class PatchKind : uint8_t {
  kNone,   ///< without a base
  kSame,   ///< its bytes are those of the base
  kPatch,  ///< as what changed
};

/// One extent of a listing.
struct ListedTensor {
  std::string name;
  size_t file = 0;  ///< number of the file in the listing
  DType dtype = DType::kOpaque;
  Shape shape;
  bool is_tensor = false;
  bool is_shared = false;     ///< all of it is stored with another extent
  uint64_t shared_bytes = 0;  ///< how much of it is stored with another extent, or repeats in it and is stored once
  uint64_t decoded_bytes = 0;
  uint64_t stored_bytes = 0;
  std::string digest_hex;          ///< of what decompressing gives; empty where there is none
  std::optional<LossyInfo> lossy;  ///< of tensors that are not what was compressed
  PatchKind patch = PatchKind::kNone;
  std::string base_name;     ///< of what it is a patch on or the same as; empty where that is in the archive
  uint32_t patch_depth = 0;  ///< of a patch: how many there are in the archive down to what is none
};

/// What a patch stands on.
struct ListedBase {
  std::string name;          ///< what it was called
  std::string identity_hex;  ///< which model it is, whatever holds it
  uint64_t part_count = 0;   ///< tensors and other parts of it that are needed
};

/// A tensor that was removed before its file was archived.
struct StrippedTensor {
  std::string name;
  uint64_t size_bytes = 0;  ///< 0 where its bytes are shared with a tensor that stayed
};

/// One file of an archive, or one entry of a tree.
struct ListedFile {
  std::string name;              ///< in a tree the path below its root, which itself has the name ""
  EntryStat entry;               ///< meaningful in trees only
  std::string link_target;       ///< of symbolic links; of hard links the name of the file
  std::string container_format;  ///< "raw", "safetensors", "gguf", ...
  uint64_t file_bytes = 0;
  uint64_t stored_bytes = 0;
  uint64_t tensor_count = 0;
  std::string sha256_hex;                ///< of what decompressing gives; empty where there is none
  bool is_lossy = false;                 ///< some of its tensors are not what was compressed
  std::string original_sha256_hex;       ///< of the file that was compressed, where that is another
  uint64_t original_bytes = 0;           ///< of that file
  std::vector<StrippedTensor> stripped;  ///< what was removed from it
};

struct ArchiveListing {
  std::string path;
  bool is_tree = false;
  bool is_lossy = false;     ///< some tensors are not what was compressed
  bool is_stripped = false;  ///< some tensors were removed before
  uint64_t archive_bytes = 0;
  uint64_t file_bytes = 0;  ///< of all files
  std::vector<ListedFile> files;
  std::vector<ListedTensor> extents;  ///< of all files, in order
  std::vector<std::string> damage;
  std::string identity_hex;        ///< of the model that it holds; empty where the archive has no digests
  std::optional<ListedBase> base;  ///< of a patch
};

/// Reads the index only.
Result<ArchiveListing> ListArchive(const std::string& path);

/// True where the file starts as an archive does. Errors: kIo.
Result<bool> IsArchive(const std::string& path);

}  // namespace flyweight
