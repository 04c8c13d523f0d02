#include "codec/plane_coder.h"

#include <algorithm>
#include <cstring>
#include <string>

#include "entropy/histogram.h"

namespace flyweight {
namespace {

constexpr int kZstdLevel = 1;
constexpr size_t kSampleBytes = size_t{1} << 14;
constexpr double kWorthwhileBits = 7.75;

size_t WritePlaneHeader(PlaneMethod method, size_t stored_bytes, std::byte* target) {
  StoreLe(target, static_cast<uint8_t>(method));
  StoreLe(target + 1, static_cast<uint32_t>(stored_bytes));
  return kPlaneHeaderBytes + stored_bytes;
}

size_t StorePlane(ByteSpan plane, MutableByteSpan target) {
  if (!plane.empty()) std::memcpy(target.data() + kPlaneHeaderBytes, plane.data(), plane.size());
  return WritePlaneHeader(PlaneMethod::kStored, plane.size(), target.data());
}

bool IsConstant(ByteSpan plane) { return std::memcmp(plane.data(), plane.data() + 1, plane.size() - 1) == 0; }

}  // namespace

size_t EncodePlane(ByteSpan plane, MutableByteSpan target, PlaneScratch& scratch) {
  if (plane.size() < 2) return StorePlane(plane, target);
  if (plane.front() == plane.back() && IsConstant(plane)) {
    target[kPlaneHeaderBytes] = plane.front();
    return WritePlaneHeader(PlaneMethod::kConstant, 1, target.data());
  }

  double entropy_bytes = EntropyBitsPerSymbol(SampleBytes(plane, kSampleBytes)) / 8 * static_cast<double>(plane.size());
  bool masked = PlanMaskedBits(plane, scratch.masked_plan) && scratch.masked_plan.encoded_bytes < plane.size();
  double masked_bytes =
      masked ? static_cast<double>(scratch.masked_plan.encoded_bytes) : static_cast<double>(plane.size());

  bool zstd_promises =
      entropy_bytes < 0.97 * masked_bytes && entropy_bytes * 8 < kWorthwhileBits * static_cast<double>(plane.size());
  if (zstd_promises) {
    // The room ends where another method would be smaller, so whatever fits is an improvement.
    auto room = static_cast<size_t>(masked_bytes) - 1;
    size_t written = scratch.zstd.Encode(plane, target.subspan(kPlaneHeaderBytes, room), kZstdLevel);
    if (written != 0) return WritePlaneHeader(PlaneMethod::kZstd, written, target.data());
  }
  if (masked) {
    size_t written = EncodeMaskedBits(plane, scratch.masked_plan, target.subspan(kPlaneHeaderBytes));
    return WritePlaneHeader(PlaneMethod::kMaskedBits, written, target.data());
  }
  return StorePlane(plane, target);
}

Result<CodedPlane> ReadCodedPlane(ReadCursor& cursor, size_t byte_count) {
  FLYWEIGHT_ASSIGN(uint8_t method, cursor.Read<uint8_t>());
  FLYWEIGHT_ASSIGN(uint32_t stored_bytes, cursor.Read<uint32_t>());
  if (method > static_cast<uint8_t>(PlaneMethod::kMaskedBits)) {
    return Error{ErrorCode::kUnsupportedFeature, cursor.offset(), "unknown plane method " + std::to_string(method)};
  }
  CodedPlane coded{static_cast<PlaneMethod>(method), {}};
  FLYWEIGHT_ASSIGN(coded.stored, cursor.Take(stored_bytes));
  bool sized = (coded.method != PlaneMethod::kStored || stored_bytes == byte_count) &&
               (coded.method != PlaneMethod::kConstant || stored_bytes == 1);
  if (!sized)
    return Error{ErrorCode::kCorrupt, cursor.offset(), "a plane has " + std::to_string(stored_bytes) + " stored bytes"};
  return coded;
}

Status DecodePlane(const CodedPlane& coded, MutableByteSpan plane, PlaneScratch& scratch) {
  switch (coded.method) {
    case PlaneMethod::kStored:
      if (!plane.empty()) std::memcpy(plane.data(), coded.stored.data(), plane.size());
      return {};
    case PlaneMethod::kConstant:
      std::fill(plane.begin(), plane.end(), coded.stored[0]);
      return {};
    case PlaneMethod::kZstd:
      return scratch.zstd.Decode(coded.stored, plane);
    case PlaneMethod::kMaskedBits:
      return DecodeMaskedBits(coded.stored, plane);
  }
  return Error{ErrorCode::kInternal, 0, "unreachable plane method"};
}

}  // namespace flyweight
