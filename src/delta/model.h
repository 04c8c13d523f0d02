#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "archive/reader.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/thread_pool.h"
#include "codec/record.h"
#include "flyweight/result.h"

namespace flyweight {

/// Content of a model that others can be made from: a tensor, or a stretch of a file that belongs to none.
struct ModelPart {
  bool is_tensor = false;
  std::string name;  ///< of the tensor; else of the file
  DType dtype = DType::kOpaque;
  Shape shape;
  uint64_t size_bytes = 0;
  std::optional<Digest> digest;  ///< as DigestAlgorithm::kSha256Tree, where it is known without reading
};

/// A model to read from, whatever holds it: a file of any container, a directory of them, an archive, or a patch on
/// another model. Safe to share between threads but for Hash.
class Model {
 public:
  virtual ~Model() = default;

  /// What it was opened as, without the directory.
  const std::string& name() const { return name_; }
  const std::vector<ModelPart>& parts() const { return parts_; }

  /// Fills `target` with bytes from `begin` of a part. Precondition: they lie in the part. Errors: those of reading or
  /// decoding.
  virtual Status Read(size_t part, uint64_t begin, MutableByteSpan target, CodecScratch& scratch) const = 0;

  /// Errors: kSourceChanged where a file changed since it was opened.
  virtual Status CheckUnchanged() const = 0;

  /// The archive that it is, else null.
  virtual const ArchiveReader* archive() const { return nullptr; }

  /// Makes the digests of the parts of these numbers known, reading what is needed. Errors: those of Read.
  Status Hash(const std::vector<size_t>& numbers, ThreadPool& pool);

  /// Its identity (docs/format.md section 1.6); reads all of it where it is not known. Errors: those of Read.
  Result<Digest> Identity(ThreadPool& pool);
  /// The identity where it is known already.
  const std::optional<Digest>& known_identity() const { return identity_; }

 protected:
  /// The SHA-256 of each of its files, for a model without tensors. Errors: those of reading.
  virtual Result<std::vector<Digest>> FileDigests() = 0;

  std::string name_;
  std::vector<ModelPart> parts_;
  std::optional<Digest> identity_;
};

/// Stretches of a file that belong to no tensor and are shorter are no parts.
inline constexpr uint64_t kModelPartMinBytes = 65;

/// Opens a file of any container, an archive (in parts or whole) that is no patch, or a directory; in it links to files
/// are followed. "X.fly/checkpoint-10" is that file or directory of the tree that the archive X.fly holds. Errors: kIo,
/// kInvalidArgument, kBaseMismatch (a patch, which cannot be read by itself), those of reading archives.
Result<std::shared_ptr<Model>> OpenModel(const std::string& path);

/// Opens the file or the parts of an archive.
Result<std::shared_ptr<const ByteSource>> OpenArchiveSource(const std::string& path);

/// The model of an archive that `source` holds. Precondition: the reader has a base where it needs one.
/// Of a tree only what is `member` or below it, where that is not empty.
Result<std::shared_ptr<Model>> MakeArchiveModel(std::shared_ptr<const ByteSource> source, ArchiveReader reader,
                                                std::string name, std::string member = "");

/// The bytes of one part as a source of its own.
class ModelPartSource final : public ByteSource {
 public:
  /// `model` must outlive it.
  ModelPartSource(const Model& model, size_t part) : model_(model), part_(part) {}
  uint64_t size() const override { return model_.parts()[part_].size_bytes; }
  Status ReadAt(uint64_t offset, MutableByteSpan target) const override;

 private:
  const Model& model_;
  size_t part_;
};

/// The bytes of a part that tell it from others at once (docs/format.md section 1.5.3): 16 stretches of 4096 bytes, or
/// all of them where there are no more.
Result<std::vector<std::byte>> ReadSample(const ByteSource& source, uint64_t offset, uint64_t size_bytes);

/// The hash that the rows of base tables have: xxh3 of the sample.
Result<uint64_t> SampleHash(const ByteSource& source, uint64_t offset, uint64_t size_bytes);

}  // namespace flyweight
