#include "flyweight/serve_plan.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <set>
#include <tuple>
#include <utility>

#include "codec/record.h"
#include "delta/model.h"
#include "pipeline/guard.h"

namespace flyweight {
namespace {

/// Bytes of the process that are in memory, or 0.
uint64_t ResidentBytes() {
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen("/proc/self/statm", "re"), std::fclose);
  unsigned long long all_pages = 0, resident_pages = 0;
  if (file == nullptr || std::fscanf(file.get(), "%llu %llu", &all_pages, &resident_pages) != 2) return 0;
  return resident_pages * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
}

/// Tensors in memory, each content once.
class Server {
 public:
  explicit Server(const ServePlanOptions& options)
      : options_(options), pool_(ResolveThreadCount(options.thread_count)), before_bytes_(ResidentBytes()) {
    scratch_.resize(pool_.thread_count());
  }

  Status AddBase(const std::string& path) {
    FLYWEIGHT_ASSIGN(std::shared_ptr<Model> model, OpenModel(path));
    ServedModel& served = Begin(path);
    std::vector<size_t> numbers;
    for (size_t i = 0; i < model->parts().size(); ++i) {
      if (model->parts()[i].is_tensor) numbers.push_back(i);
    }
    // Patches name what they share by its digest, so that it has to be known of all the base.
    FLYWEIGHT_TRY(model->Hash(numbers, pool_));
    for (size_t number : numbers) {
      const ModelPart& part = model->parts()[number];
      std::byte* memory = Room(served, part.dtype, part.shape, part.size_bytes, ToHex(*part.digest));
      if (memory == nullptr) continue;
      FLYWEIGHT_TRY(ReadPart(*model, number, {memory, static_cast<size_t>(part.size_bytes)}));
    }
    return model->CheckUnchanged();
  }

  Status AddPatch(const std::string& path, const std::string& base) {
    FLYWEIGHT_ASSIGN(Archive archive, Archive::OpenPath(path, {base}));
    ServedModel& served = Begin(path);
    for (size_t i = 0; i < archive.listing().extents.size(); ++i) {
      const ListedTensor& tensor = archive.listing().extents[i];
      if (!tensor.is_tensor) continue;
      bool is_known = known_.contains({tensor.dtype, tensor.shape, tensor.digest_hex});
      if (tensor.patch == PatchKind::kSame && !is_known) {
        return Error{ErrorCode::kBaseMismatch, 0,
                     "'" + tensor.base_name + "' of '" + base + "' is not what the patch was made from"};
      }
      std::byte* memory = Room(served, tensor.dtype, tensor.shape, tensor.decoded_bytes, tensor.digest_hex);
      if (memory == nullptr) continue;
      FLYWEIGHT_TRY(
          archive.DecodeExtent(i, 0, {memory, static_cast<size_t>(tensor.decoded_bytes)}, options_.thread_count));
    }
    return {};
  }

  ServePlan Finish() {
    uint64_t now_bytes = ResidentBytes();
    plan_.resident_bytes = now_bytes > before_bytes_ && before_bytes_ != 0 ? now_bytes - before_bytes_ : 0;
    return std::move(plan_);
  }

 private:
  ServedModel& Begin(const std::string& path) {
    plan_.models.emplace_back().path = path;
    return plan_.models.back();
  }

  void Count(ServedModel& served, uint64_t size_bytes) {
    ++served.tensor_count;
    served.tensor_bytes += size_bytes;
    plan_.naive_bytes += size_bytes;
  }

  /// Memory for a tensor; null where its content is there already, or it has none.
  std::byte* Room(ServedModel& served, DType dtype, const Shape& shape, uint64_t size_bytes,
                  const std::string& digest) {
    Count(served, size_bytes);
    if (!digest.empty() && !known_.emplace(dtype, shape, digest).second) {
      ++served.shared_count;
      return nullptr;
    }
    served.own_bytes += size_bytes;
    plan_.held_bytes += size_bytes;
    if (size_bytes == 0) return nullptr;
    held_.push_back(std::make_unique_for_overwrite<std::byte[]>(static_cast<size_t>(size_bytes)));
    return held_.back().get();
  }

  Status ReadPart(const Model& model, size_t number, MutableByteSpan target) {
    uint64_t piece_bytes = ChunkBytesFor(model.parts()[number].dtype);
    size_t piece_count = static_cast<size_t>((target.size() + piece_bytes - 1) / piece_bytes);
    return pool_.ParallelFor(piece_count, [&](size_t piece, size_t worker) {
      size_t begin = piece * static_cast<size_t>(piece_bytes);
      size_t size_bytes = std::min(static_cast<size_t>(piece_bytes), target.size() - begin);
      return model.Read(number, begin, target.subspan(begin, size_bytes), scratch_[worker]);
    });
  }

  const ServePlanOptions& options_;
  ThreadPool pool_;
  std::vector<CodecScratch> scratch_;
  uint64_t before_bytes_;
  std::set<std::tuple<DType, Shape, std::string>> known_;
  std::vector<std::unique_ptr<std::byte[]>> held_;
  ServePlan plan_;
};

}  // namespace

Result<ServePlan> PlanServing(const std::string& base, const std::vector<std::string>& patches,
                              const ServePlanOptions& options) {
  return Guarded([&]() -> Result<ServePlan> {
    Server server(options);
    FLYWEIGHT_TRY(server.AddBase(base));
    for (const std::string& patch : patches) {
      Status status = server.AddPatch(patch, base);
      if (!status.ok()) return WithContext(status.take_error(), patch);
    }
    return server.Finish();
  });
}

}  // namespace flyweight
