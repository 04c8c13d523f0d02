#pragma once

#include <cstddef>
#include <cstdint>

// Every constant of docs/format.md section 1. Text constants are the little-endian integers their bytes form.

namespace flyweight::wire {

inline constexpr uint64_t kHeaderMagic = 0x0A1A0A0D594C4689;  ///< "\x89FLY\r\n\x1a\n"
inline constexpr uint16_t kFormatVersion = 1;

inline constexpr size_t kHeaderBytes = 64;
inline constexpr size_t kHeaderVersionOffset = 8;
inline constexpr size_t kHeaderSizeOffset = 10;
inline constexpr size_t kHeaderReservedOffset = 12;
inline constexpr size_t kHeaderRequiredFeaturesOffset = 16;
inline constexpr size_t kHeaderOptionalFeaturesOffset = 24;
inline constexpr size_t kHeaderReserved2Offset = 32;
inline constexpr size_t kHeaderHashOffset = 56;

/// Required feature bits. A decoder refuses an archive with one that it does not know.
inline constexpr uint64_t kFeaturePatches = uint64_t{1} << 1;  ///< some extents are made from a base
inline constexpr uint64_t kFeatureLossy = uint64_t{1} << 2;    ///< some tensors are not what was compressed
inline constexpr uint64_t kFeatureTree = uint64_t{1} << 3;     ///< the files are the entries of a directory
inline constexpr uint64_t kFeatureCodecs = uint64_t{1} << 4;   ///< records may use what 0.3.0 added
inline constexpr uint64_t kFeatureShared = uint64_t{1} << 5;   ///< some extents are pieces or casts of others
inline constexpr uint64_t kKnownRequiredFeatures =
    kFeaturePatches | kFeatureLossy | kFeatureTree | kFeatureCodecs | kFeatureShared;

inline constexpr uint64_t kEndMagic = 0x0A0D444E45594C46;  ///< "FLYEND\r\n"
inline constexpr size_t kFooterBytes = 128;
inline constexpr size_t kFooterFirstIndexOffset = 64;
inline constexpr size_t kFooterSecondIndexOffset = 72;
inline constexpr size_t kFooterIndexBytesOffset = 80;
inline constexpr size_t kFooterArchiveBytesOffset = 88;
inline constexpr size_t kFooterReservedOffset = 96;
inline constexpr size_t kFooterHashOffset = 112;
inline constexpr size_t kFooterMagicOffset = 120;

inline constexpr size_t kSectionHeadBytes = 32;
inline constexpr size_t kSectionMethodOffset = 4;
inline constexpr size_t kSectionStoredBytesOffset = 8;
inline constexpr size_t kSectionDecodedBytesOffset = 16;
inline constexpr size_t kSectionHashOffset = 24;
inline constexpr uint32_t kSectionKindIndex = 0x58444E49;  ///< "INDX"
inline constexpr uint32_t kSectionStored = 0;
inline constexpr uint32_t kSectionZstd = 1;
inline constexpr uint64_t kSectionBodyMaxBytes = uint64_t{1} << 30;

/// A body over kExpansionFreeBytes that is more than kExpansionLimit times its stored bytes is refused: no index of
/// real names and digests comes near, and a hostile archive cannot ask for much more memory than it has bytes.
inline constexpr uint64_t kExpansionFreeBytes = uint64_t{16} << 20;
inline constexpr uint64_t kExpansionLimit = 256;

/// Kinds of attributes.
inline constexpr uint16_t kAttributeEntry = 1;
inline constexpr uint16_t kAttributeLinkTarget = 2;
inline constexpr uint16_t kAttributeHardLink = 3;
inline constexpr uint16_t kAttributeOriginal = 4;
inline constexpr uint16_t kAttributeLossy = 5;
inline constexpr uint16_t kAttributeStripped = 6;
inline constexpr uint16_t kAttributeBaseTable = 7;
inline constexpr size_t kEntryBytes = 28;
inline constexpr size_t kLinkTargetMaxBytes = 4095;
inline constexpr size_t kComponentMaxBytes = 255;
inline constexpr uint16_t kModeBits = 07777;
inline constexpr uint32_t kNanosecondsInSecond = 1'000'000'000;

inline constexpr size_t kInlineMaxBytes = 4096;
inline constexpr size_t kNameMaxBytes = 65535;
inline constexpr size_t kRankMax = 255;
inline constexpr uint64_t kFileMaxCount = uint64_t{1} << 20;
inline constexpr uint64_t kExtentMaxCount = uint64_t{1} << 22;
/// Patches on patches: what decoding a chunk may cost.
inline constexpr uint32_t kPatchDepthMax = 4096;

/// The fewest bytes that one of each can take in the index body: what a count is checked against before memory is set
/// aside for it.
inline constexpr uint64_t kFileMinBytes = 2 + 1 + 1 + 32 + 8 + 4 + 8;
inline constexpr uint64_t kAttributeMinBytes = 2 + 4;
inline constexpr uint64_t kExtentMinBytes = 1 + 1 + 8 + 4;
inline constexpr uint64_t kPieceBytes = 8 + 4 + 8;
inline constexpr uint64_t kBaseRowMinBytes = 1 + 1 + 2 + 2 + 8 + 32 + 8;

/// The smallest archive: two stored index sections of an index without files.
inline constexpr uint64_t kArchiveMinBytes = kHeaderBytes + 2 * (kSectionHeadBytes + 8) + kFooterBytes;
/// One read of this many bytes at the end opens most archives.
inline constexpr uint64_t kTailReadBytes = 65536;

}  // namespace flyweight::wire
