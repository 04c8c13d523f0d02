#include "container/onnx.h"

#include <utility>
#include <vector>

#include "container/extent_list.h"
#include "container/onnx_tensor.h"
#include "container/protobuf.h"

namespace flyweight {
namespace {

// So that time and memory stay bounded: what the largest models take is a small part of these.
constexpr uint64_t kMaxFieldCount = uint64_t{1} << 24;
constexpr uint64_t kMaxAnnotationBytes = uint64_t{64} << 20;
constexpr uint64_t kMaxNodeNameBytes = 65535;

/// The messages on the way to tensors. All others are passed over.
enum class Message : uint8_t {
  kOther,
  kModel,
  kTraining,
  kFunction,
  kGraph,
  kNode,
  kAttribute,
  kSparseTensor,
  kTensor
};

/// The message that a field of type kLength holds.
Message MessageOf(Message parent, uint32_t field) {
  switch (parent) {
    case Message::kModel:
      if (field == 7) return Message::kGraph;
      if (field == 20) return Message::kTraining;
      return field == 25 ? Message::kFunction : Message::kOther;
    case Message::kTraining:
      return field == 1 || field == 2 ? Message::kGraph : Message::kOther;
    case Message::kFunction:
      if (field == 7) return Message::kNode;
      return field == 11 ? Message::kAttribute : Message::kOther;
    case Message::kGraph:
      if (field == 1) return Message::kNode;
      if (field == 5) return Message::kTensor;
      return field == 15 ? Message::kSparseTensor : Message::kOther;
    case Message::kNode:
      return field == 5 ? Message::kAttribute : Message::kOther;
    case Message::kAttribute:
      if (field == 5 || field == 10) return Message::kTensor;
      if (field == 6 || field == 11) return Message::kGraph;
      return field == 22 || field == 23 ? Message::kSparseTensor : Message::kOther;
    case Message::kSparseTensor:
      return field == 1 || field == 2 ? Message::kTensor : Message::kOther;
    default:
      return Message::kOther;
  }
}

/// The fields of ModelProto that are numbers and those that are messages or text, one bit each.
constexpr uint64_t kModelVarints = 1U << 1 | 1U << 5;
constexpr uint64_t kModelLengths =
    1U << 2 | 1U << 3 | 1U << 4 | 1U << 6 | 1U << 7 | 1U << 8 | 1U << 14 | 1U << 20 | 1U << 25 | 1U << 26;

bool IsModelField(const ProtobufField& field) {
  uint64_t allowed = field.type == WireType::kVarint   ? kModelVarints
                     : field.type == WireType::kLength ? kModelLengths
                                                       : 0;
  return field.number < 64 && (allowed >> field.number & 1) != 0;
}

/// A message that was entered and not yet left.
struct Frame {
  Message message = Message::kOther;
  uint64_t end_offset = 0;
  int graph_depth = 0;
  std::string output = {};  ///< of a node: the name of its first output
};

/// Walks through a model with a stack of its own; its depth is bounded by that of graphs.
class ModelWalk {
 public:
  ModelWalk(const ByteSource& source, uint64_t min_tensor_bytes)
      : file_bytes_(source.size()), min_tensor_bytes_(min_tensor_bytes), cursor_(source, 0, source.size()) {}

  /// False where this is no model or reading failed.
  bool Run() {
    stack_.push_back({.message = Message::kModel, .end_offset = file_bytes_});
    while (!stack_.empty()) {
      if (cursor_.offset() == stack_.back().end_offset) {
        if (!Leave()) return false;
      } else if (!Step()) {
        return false;
      }
    }
    return has_version_ && graph_count_ == 1 && tensor_count_ > 0;
  }

  std::vector<Extent> Release() {
    list_.RawUntil(file_bytes_);
    return list_.Release();
  }
  const Status& status() const { return cursor_.status(); }

 private:
  bool Step() {
    Frame& frame = stack_.back();
    ProtobufField field;
    if (++field_count_ > kMaxFieldCount || !ReadField(cursor_, frame.end_offset, field)) return false;
    if (frame.message == Message::kTensor) return TakeOnnxTensorField(cursor_, field, tensor_);
    if (frame.message == Message::kModel && !NoteModelField(field)) return false;
    if (field.type != WireType::kLength) return cursor_.Skip(field.size_bytes);
    if (frame.message == Message::kNode && field.number == 2 && frame.output.empty()) return TakeOutput(field, frame);
    return Enter(MessageOf(frame.message, field.number), field.size_bytes);
  }

  bool NoteModelField(const ProtobufField& field) {
    has_version_ |= field.number == 1;
    graph_count_ += field.number == 7 ? 1 : 0;
    return IsModelField(field);
  }

  bool TakeOutput(const ProtobufField& field, Frame& node) {
    if (field.size_bytes > kMaxNodeNameBytes) return cursor_.Skip(field.size_bytes);
    ByteSpan name;
    if (!cursor_.Take(field.size_bytes, name)) return false;
    node.output = AsText(name);
    return true;
  }

  bool Enter(Message message, uint64_t size_bytes) {
    int graph_depth = stack_.back().graph_depth + (message == Message::kGraph ? 1 : 0);
    if (message == Message::kOther || graph_depth > kOnnxMaxGraphDepth) return cursor_.Skip(size_bytes);
    if (message == Message::kTensor) tensor_ = {};
    stack_.push_back({.message = message, .end_offset = cursor_.offset() + size_bytes, .graph_depth = graph_depth});
    return true;
  }

  bool Leave() {
    bool was_tensor = stack_.back().message == Message::kTensor;
    stack_.pop_back();
    return !was_tensor || AddTensor();
  }

  bool AddTensor() {
    OnnxData data = DescribeOnnxData(tensor_);
    if (!data.is_tensor || tensor_.data_bytes < min_tensor_bytes_) return true;
    if (tensor_.name.empty()) tensor_.name = NodeOutput();
    annotation_bytes_ += 2 * sizeof(Extent) + tensor_.name.size() + tensor_.shape.size() * sizeof(uint64_t);
    if (annotation_bytes_ > kMaxAnnotationBytes) return false;
    list_.RawUntil(tensor_.data_offset);
    list_.Tensor(tensor_.data_bytes, std::move(tensor_.name), data.dtype, std::move(tensor_.shape));
    tensor_count_++;
    return true;
  }

  /// The name of what a constant's node gives. Precondition: the tensor's own frame was left.
  const std::string& NodeOutput() const {
    size_t top = stack_.size() - 1;
    bool in_attribute = top >= 1 && stack_[top].message == Message::kAttribute;
    return stack_[in_attribute ? top - 1 : top].output;
  }

  uint64_t file_bytes_;
  uint64_t min_tensor_bytes_;
  WindowCursor cursor_;
  std::vector<Frame> stack_;
  OnnxTensor tensor_;
  ExtentList list_;
  uint64_t field_count_ = 0;
  uint64_t annotation_bytes_ = 0;
  size_t tensor_count_ = 0;
  int graph_count_ = 0;
  bool has_version_ = false;
};

/// Cheap refusal of most other files: the first field is one of a model.
bool LooksLikeOnnx(const ByteSource& source, ByteSpan first_bytes) {
  if (first_bytes.empty() || source.size() >= kOnnxMaxFileBytes) return false;
  auto tag = std::to_integer<uint8_t>(first_bytes[0]);
  return IsModelField({.number = static_cast<uint32_t>(tag >> 3), .type = static_cast<WireType>(tag & 7)});
}

}  // namespace

Result<std::optional<FileMap>> AnnotateOnnxTensors(const ByteSource& source, ByteSpan first_bytes,
                                                   uint64_t min_tensor_bytes) {
  if (!LooksLikeOnnx(source, first_bytes)) return std::optional<FileMap>();
  ModelWalk walk(source, min_tensor_bytes);
  if (walk.Run()) return std::optional<FileMap>(FileMap{ContainerFormat::kOnnx, walk.Release()});
  FLYWEIGHT_TRY(walk.status());
  return std::optional<FileMap>();
}

Result<std::optional<FileMap>> AnnotateOnnx(const ByteSource& source, ByteSpan first_bytes) {
  return AnnotateOnnxTensors(source, first_bytes, kOnnxMinTensorBytes);
}

}  // namespace flyweight
