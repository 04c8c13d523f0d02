#include "base/file.h"
#include "base/file_io.h"

namespace flyweight {

Status MemorySink::Append(ByteSpan bytes) {
  try {
    bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
  } catch (const std::exception&) {
    return Error{ErrorCode::kOutOfMemory, bytes_.size(),
                 "no memory for " + std::to_string(bytes.size()) + " more bytes of output"};
  }
  return Status::Ok();
}

Status DescriptorSink::Append(ByteSpan bytes) { return WriteStream(descriptor_, 0, bytes, name_); }

}  // namespace flyweight
