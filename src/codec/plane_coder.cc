#include "codec/plane_coder.h"

#include <algorithm>
#include <cstring>
#include <string>

#include "entropy/context_rans/context_coder.h"
#include "entropy/histogram.h"

namespace flyweight {
namespace {

constexpr int kZstdLevel = 1;
constexpr size_t kSampleBytes = size_t{1} << 14;
constexpr double kWorthwhileBits = 7.98;
// Tables and states of a coded plane, roughly.
constexpr double kRansOverheadBytes = 80;
// Where zstd brings a sample under this part of its entropy, matches do what an order-0 coder cannot.
constexpr double kMatchesPay = 0.95;
constexpr double kNoiseBits = 7.5;
constexpr double kWorthwhile = 0.997;

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

// Whether zstd finds more than order 0 does, judged from a piece in the middle; `room` is memory to try it in.
bool MatchesPay(ByteSpan plane, double sampled_bits, ZstdCoder& zstd, MutableByteSpan room) {
  ByteSpan piece = plane.subspan(plane.size() / 2 - std::min(plane.size(), kSampleBytes) / 2);
  piece = piece.first(std::min(piece.size(), kSampleBytes));
  double piece_bits = EntropyBitsPerSymbol(CountBytes(piece));
  // Noise has no matches.
  if (std::min(piece_bits, sampled_bits) > kNoiseBits) return false;
  size_t written = zstd.Encode(piece, room.first(std::min(room.size(), piece.size())), kZstdLevel);
  return written != 0 &&
         static_cast<double>(written) < kMatchesPay * piece_bits / 8 * static_cast<double>(piece.size());
}

}  // namespace

size_t EncodePlane(ByteSpan plane, MutableByteSpan target, PlaneScratch& scratch) {
  if (plane.size() < 2) return StorePlane(plane, target);
  if (plane.front() == plane.back() && IsConstant(plane)) {
    target[kPlaneHeaderBytes] = plane.front();
    return WritePlaneHeader(PlaneMethod::kConstant, 1, target.data());
  }

  bool masked = PlanMaskedBits(plane, scratch.masked_plan) && scratch.masked_plan.encoded_bytes < plane.size();
  // The room ends where another method would be smaller, so whatever fits is an improvement.
  size_t room = (masked ? scratch.masked_plan.encoded_bytes : plane.size()) - 1;
  MutableByteSpan data = target.subspan(kPlaneHeaderBytes);
  double sampled_bits = EntropyBitsPerSymbol(SampleBytes(plane, kSampleBytes));
  bool skewed = sampled_bits < kWorthwhileBits;
  size_t written = 0;
  if (MatchesPay(plane, sampled_bits, scratch.zstd, data)) {
    written = scratch.zstd.Encode(plane, data.first(room), kZstdLevel);
    if (written != 0) room = written - 1;
  }
  if (skewed) {
    ByteHistogram counts = CountBytes(plane);
    double rans_bytes = EntropyBitsPerSymbol(counts) / 8 * static_cast<double>(plane.size()) + kRansOverheadBytes;
    if (rans_bytes < kWorthwhile * static_cast<double>(room)) {
      scratch.trial.Resize(room);
      size_t rans = EncodeBytes(plane, counts, {scratch.trial.data(), room});
      if (rans != 0) {
        std::memcpy(data.data(), scratch.trial.data(), rans);
        return WritePlaneHeader(PlaneMethod::kRans, rans, target.data());
      }
    }
  }
  if (written != 0) return WritePlaneHeader(PlaneMethod::kZstd, written, target.data());
  if (masked) {
    written = EncodeMaskedBits(plane, scratch.masked_plan, data);
    return WritePlaneHeader(PlaneMethod::kMaskedBits, written, target.data());
  }
  return StorePlane(plane, target);
}

Result<CodedPlane> ReadCodedPlane(ReadCursor& cursor, size_t byte_count) {
  FLYWEIGHT_ASSIGN(uint8_t method, cursor.Read<uint8_t>());
  FLYWEIGHT_ASSIGN(uint32_t stored_bytes, cursor.Read<uint32_t>());
  if (method > static_cast<uint8_t>(PlaneMethod::kRans)) {
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
    case PlaneMethod::kRans:
      return DecodeBytes(coded.stored, plane);
  }
  return Error{ErrorCode::kInternal, 0, "unreachable plane method"};
}

}  // namespace flyweight
