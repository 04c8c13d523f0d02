#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace flyweight {

/// Writes protobuf messages, sound ones and others.
class ProtobufWriter {
 public:
  static std::string Varint(uint64_t value) {
    std::string bytes;
    for (; value >= 0x80; value >>= 7) bytes.push_back(static_cast<char>(value | 0x80));
    bytes.push_back(static_cast<char>(value));
    return bytes;
  }
  ProtobufWriter& Raw(std::string_view bytes) {
    message_ += bytes;
    return *this;
  }
  ProtobufWriter& Number(uint32_t field, uint64_t value) { return Raw(Varint(uint64_t{field} << 3) + Varint(value)); }
  ProtobufWriter& Bytes(uint32_t field, std::string_view bytes) {
    Raw(Varint(uint64_t{field} << 3 | 2) + Varint(bytes.size()));
    return Raw(bytes);
  }
  ProtobufWriter& Fixed32(uint32_t field, std::string_view four) {
    return Raw(Varint(uint64_t{field} << 3 | 5)).Raw(four);
  }
  ProtobufWriter& Fixed64(uint32_t field, std::string_view eight) {
    return Raw(Varint(uint64_t{field} << 3 | 1)).Raw(eight);
  }
  operator std::string_view() const { return message_; }  // NOLINT
  operator std::string() const { return message_; }       // NOLINT: a message is its bytes

 private:
  std::string message_;
};

inline std::string OnnxTensorHead(const std::vector<uint64_t>& dims, uint64_t element_type, std::string_view name) {
  ProtobufWriter tensor;
  for (uint64_t dim : dims) tensor.Number(1, dim);
  tensor.Number(2, element_type);
  if (!name.empty()) tensor.Bytes(8, name);
  return tensor;
}

/// A TensorProto with `data_bytes` bytes of raw data that count up.
inline std::string OnnxRawTensor(const std::vector<uint64_t>& dims, uint64_t element_type, std::string_view name,
                                 size_t data_bytes) {
  std::string data;
  for (size_t i = 0; i < data_bytes; i++) data.push_back(static_cast<char>(i));
  return ProtobufWriter().Raw(OnnxTensorHead(dims, element_type, name)).Bytes(9, data);
}

/// A ModelProto around a GraphProto.
inline std::string OnnxModel(const std::string& graph) {
  return ProtobufWriter().Number(1, 9).Bytes(2, "test").Bytes(7, graph).Bytes(8, ProtobufWriter().Number(2, 17));
}

/// A NodeProto with one attribute.
inline std::string OnnxNode(std::string_view output, const std::string& attribute) {
  return ProtobufWriter().Bytes(1, "in").Bytes(2, output).Bytes(4, "Op").Bytes(5, attribute);
}

/// Initialisers, a constant, a graph in a branch, and other things in between.
inline std::string ManySidedOnnx() {
  ProtobufWriter branch;
  branch.Bytes(5, OnnxRawTensor({20}, 7, "inner", 160));
  ProtobufWriter graph;
  graph.Bytes(1, OnnxNode("const", ProtobufWriter().Bytes(1, "value").Bytes(5, OnnxRawTensor({128}, 2, "", 128))));
  graph.Bytes(1, OnnxNode("if", ProtobufWriter().Bytes(1, "then_branch").Bytes(6, branch)));
  graph.Bytes(2, "main").Bytes(5, OnnxRawTensor({5, 8}, 1, "weight", 160));
  graph.Bytes(5, ProtobufWriter().Raw(OnnxTensorHead({33}, 1, "bias")).Bytes(4, std::string(132, 'f')));
  graph.Bytes(11, ProtobufWriter().Bytes(1, "in"));
  return OnnxModel(graph);
}

}  // namespace flyweight
