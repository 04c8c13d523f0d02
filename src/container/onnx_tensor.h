#pragma once

#include <cstdint>
#include <string>

#include "container/protobuf.h"
#include "flyweight/tensor.h"

namespace flyweight {

/// A TensorProto of an ONNX model while its fields go by.
struct OnnxTensor {
  std::string name;
  Shape shape;
  uint64_t element_type = 0;  ///< TensorProto.DataType
  uint32_t data_field = 0;    ///< number of the field that holds the elements; 0 = none yet
  uint64_t data_offset = 0;
  uint64_t data_bytes = 0;
  bool is_sound = true;  ///< false: it cannot be annotated
};

/// Takes note of one field of a TensorProto and moves the cursor behind it. False where the field cannot be one of a
/// TensorProto or reading failed.
bool TakeOnnxTensorField(WindowCursor& cursor, const ProtobufField& field, OnnxTensor& tensor);

/// What the tensor's data is: its dtype where the bytes are exactly those of the elements, one after the other.
/// `is_tensor` is false where they are not.
struct OnnxData {
  bool is_tensor = false;
  DType dtype = DType::kOpaque;
};
OnnxData DescribeOnnxData(const OnnxTensor& tensor);

}  // namespace flyweight
