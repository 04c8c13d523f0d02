#include <string>

#include "annotate_check.h"
#include "container/pickle_test_files.h"
#include "container/torch_storages.h"
#include "container/zip_test_files.h"

// The input is a pickle: alone, as data.pkl of a zip file and as the object of a file from before version 1.6.

namespace flyweight::fuzz {
namespace {

void CheckSpans(const PickleTree& tree) {
  FLYWEIGHT_FUZZ_CHECK(tree.root < tree.nodes.size());
  for (const PickleItem& item : tree.items) {
    FLYWEIGHT_FUZZ_CHECK(item.value < tree.nodes.size());
    FLYWEIGHT_FUZZ_CHECK(item.key < tree.nodes.size() || item.key == kNoPickleNode || item.key == kPickleStateKey);
    FLYWEIGHT_FUZZ_CHECK(item.key_begin <= item.value_begin && item.value_begin < item.end);
    FLYWEIGHT_FUZZ_CHECK(item.end < tree.pickle.size());
    FLYWEIGHT_FUZZ_CHECK(item.next < tree.items.size() || item.next == kNoPickleItem);
  }
  for (const PickleMemoUse& use : tree.gets) FLYWEIGHT_FUZZ_CHECK(use.offset < tree.pickle.size());
  for (const PickleMemoUse& use : tree.puts) FLYWEIGHT_FUZZ_CHECK(use.offset < tree.pickle.size());
}

void CheckStorages(const PickleTree& tree) {
  for (const TorchStorage& storage : FindTorchStorages(tree, "prefix.")) {
    uint64_t sum_bytes = 0;
    FLYWEIGHT_FUZZ_CHECK(!storage.tensors.empty());
    for (const TorchTensor& tensor : storage.tensors) {
      FLYWEIGHT_FUZZ_CHECK(tensor.name.starts_with("prefix."));
      FLYWEIGHT_FUZZ_CHECK(storage.dtype == DType::kOpaque ||
                           TensorBytes(storage.dtype, tensor.shape) == tensor.size_bytes);
      sum_bytes += tensor.size_bytes;
    }
    FLYWEIGHT_FUZZ_CHECK(sum_bytes == storage.size_bytes);
  }
}

void CheckScan(ByteSpan pickle) {
  Result<PickleTree> tree = ScanPickle(pickle);
  if (!tree.ok()) {
    FLYWEIGHT_FUZZ_CHECK(tree.error().code != ErrorCode::kInternal && !tree.error().message.empty());
    return;
  }
  CheckSpans(tree.value());
  CheckStorages(tree.value());
}

std::string ZipAround(std::string_view pickle) {
  return ZipWriter()
      .Add("m/data.pkl", pickle)
      .Add("m/byteorder", "little")
      .Add("m/data/0", std::string(24, 'x'))
      .Add("m/data/1", std::string(8, 'x'))
      .Add("m/data/2", "")
      .File();
}

std::string LegacyAround(std::string_view pickle) {
  using namespace pickle;
  std::string file = File(std::string("\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19", 12));
  file += File("M\xe9\x03") + File("}");
  file += pickle;
  file += File(List({Text("0"), Text("1"), Text("2")}));
  file += Number(6, 8) + std::string(24, 'x') + Number(1, 8) + std::string(8, 'x') + Number(0, 8);
  return file;
}

}  // namespace
}  // namespace flyweight::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size_bytes) {
  using namespace flyweight::fuzz;
  flyweight::ByteSpan input = std::as_bytes(std::span(data, size_bytes));
  CheckScan(input);
  if (size_bytes > 16384) return 0;
  CheckAnnotation(flyweight::AsBytes(ZipAround(flyweight::AsText(input))));
  CheckAnnotation(flyweight::AsBytes(LegacyAround(flyweight::AsText(input))));
  return 0;
}
