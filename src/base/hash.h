#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>

#include "base/bytes.h"

namespace flyweight {

/// XXH3, 64 bits, seed 0: the checksum of chunks, heads, tables and indexes.
uint64_t Xxh3(ByteSpan bytes);

/// XXH3 with 128 bits and seed 0, in the order in which it is written as text (the high half first).
std::array<std::byte, 16> Xxh3Wide(ByteSpan bytes);

/// Xxh3 over bytes that arrive in pieces. Lives on the stack: about 600 bytes.
class Xxh3Stream {
 public:
  Xxh3Stream();
  void Update(ByteSpan bytes);
  uint64_t Finish() const;

 private:
  alignas(64) std::byte state_[576];
};

/// A 256-bit digest.
using Digest = std::array<std::byte, 32>;

/// SHA-256 of one span, through libcrypto (SHA instructions where the CPU has them).
Digest Sha256(ByteSpan bytes);

/// SHA-256 over bytes that arrive in pieces.
class Sha256Stream {
 public:
  Sha256Stream();
  ~Sha256Stream();
  Sha256Stream(Sha256Stream&&) noexcept;
  Sha256Stream& operator=(Sha256Stream&&) noexcept;

  void Update(ByteSpan bytes);
  /// Ends the stream; call once.
  Digest Finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Lower-case hexadecimal, two digits a byte.
std::string ToHex(ByteSpan bytes);

}  // namespace flyweight
