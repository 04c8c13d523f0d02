#include "pipeline/model_sketch.h"

#include <algorithm>
#include <array>
#include <memory>
#include <utility>
#include <vector>

#include "archive/reader.h"
#include "container/annotate.h"
#include "pipeline/endpoint.h"
#include "pipeline/model_walk.h"
#include "pipeline/pack_input.h"

namespace flyweight {
namespace {

constexpr size_t kArchiveTensorCount = 4;

/// A tensor and where it is: in a file, or in an archive.
struct Place {
  const ByteSource* file = nullptr;
  uint64_t offset = 0;
  const IndexExtent* extent = nullptr;
};

/// Files that are open, and what they hold.
struct Opened {
  std::vector<InputEndpoint> inputs;
  std::vector<FileMap> maps;
  std::vector<ArchiveReader> readers;
  std::vector<SketchTensor> tensors;
  std::vector<Place> places;  // one a tensor

  void AddFile(const FileMap& map, const ByteSource& source) {
    for (const Extent& extent : map.extents) {
      if (!extent.is_tensor) continue;
      tensors.push_back({extent.name, extent.dtype, &extent.shape, extent.size_bytes});
      places.push_back({&source, extent.offset, nullptr});
    }
  }
  void AddArchive(const ArchiveIndex& index) {
    for (const IndexFile& file : index.files) {
      for (const IndexExtent& extent : file.extents) {
        if (!extent.is_tensor) continue;
        tensors.push_back({extent.name, extent.dtype, &extent.shape, extent.decoded_bytes});
        places.push_back({nullptr, 0, &extent});
      }
    }
  }
};

Status ReadFromFile(const Place& place, std::span<const uint64_t> begins, size_t run_bytes, MutableByteSpan target) {
  for (size_t run = 0; run < begins.size(); ++run) {
    FLYWEIGHT_TRY(place.file->ReadAt(place.offset + begins[run], target.subspan(run * run_bytes, run_bytes)));
  }
  return Status::Ok();
}

/// The runs lie in one chunk, which is decoded once.
Status ReadFromArchive(const ArchiveReader& reader, const Place& place, std::span<const uint64_t> begins,
                       size_t run_bytes, MutableByteSpan target, CodecScratch& scratch) {
  std::vector<std::byte> covered(static_cast<size_t>(begins.back() - begins.front()) + run_bytes);
  FLYWEIGHT_TRY(reader.DecodeRange(*place.extent, begins.front(), covered, scratch));
  for (size_t run = 0; run < begins.size(); ++run) {
    auto from = static_cast<ptrdiff_t>(begins[run] - begins.front());
    std::copy_n(covered.begin() + from, run_bytes, target.begin() + static_cast<ptrdiff_t>(run * run_bytes));
  }
  return Status::Ok();
}

Result<bool> StartsAsArchive(const ByteSource& source) {
  std::array<std::byte, 8> first_bytes{};
  if (source.size() < first_bytes.size()) return false;
  FLYWEIGHT_TRY(source.ReadAt(0, first_bytes));
  return LooksLikeArchive(first_bytes);
}

}  // namespace

Result<Sketch> SketchModel(const std::string& path, const SketchSize& size) {
  bool is_directory = IsDirectory(path);
  std::vector<std::string> files = is_directory ? ModelFilesIn(path) : std::vector<std::string>{path};
  Opened opened;
  SketchSize wanted = size;
  for (const std::string& file : files) {
    FLYWEIGHT_ASSIGN(InputEndpoint input, OpenArchiveInput(file, std::string(kStreamPath)));
    FLYWEIGHT_ASSIGN(bool is_archive, StartsAsArchive(*input.source));
    if (is_archive && is_directory) continue;
    opened.inputs.push_back(std::move(input));
    if (is_archive) {
      FLYWEIGHT_ASSIGN(ArchiveReader reader, ArchiveReader::Open(*opened.inputs.back().source));
      opened.readers.push_back(std::move(reader));
      opened.AddArchive(opened.readers.back().index());
      wanted.tensor_count = std::min(wanted.tensor_count, kArchiveTensorCount);
      break;
    }
    FLYWEIGHT_ASSIGN(FileMap map, Annotate(*opened.inputs.back().source));
    opened.maps.push_back(std::move(map));
  }
  // Names and shapes are pointed to, so that the maps must not move any more.
  for (size_t i = 0; i < opened.maps.size(); ++i) opened.AddFile(opened.maps[i], *opened.inputs[i].source);
  CodecScratch scratch;
  return MakeSketch(opened.tensors, wanted,
                    [&](size_t tensor, std::span<const uint64_t> begins, size_t run_bytes, MutableByteSpan target) {
                      const Place& place = opened.places[tensor];
                      if (place.file != nullptr) return ReadFromFile(place, begins, run_bytes, target);
                      return ReadFromArchive(opened.readers.front(), place, begins, run_bytes, target, scratch);
                    });
}

}  // namespace flyweight
