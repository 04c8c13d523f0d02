#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace flyweight::cli {

enum class Verb : uint8_t {
  kCompress,
  kDecompress,
  kConvert,
  kList,
  kInfo,
  kStat,
  kVerify,
  kExtract,
  kScan,
  kMigrate,
  kRepair,
  kDiff,
  kApply,
  kServePlan,
  kRebase,
  kPrune,
  kBench,
  kReport,
  kHelp,
  kVersion
};

struct VerbName {
  std::string_view name;
  Verb verb;
};

/// Every word that is a verb; of several for one verb the first is its name.
inline constexpr std::array<VerbName, 23> kVerbNames = {{
    {"compress", Verb::kCompress},
    {"decompress", Verb::kDecompress},
    {"convert", Verb::kConvert},
    {"list", Verb::kList},
    {"ls", Verb::kList},
    {"info", Verb::kInfo},
    {"peek", Verb::kInfo},
    {"stat", Verb::kStat},
    {"verify", Verb::kVerify},
    {"test", Verb::kVerify},
    {"extract", Verb::kExtract},
    {"scan", Verb::kScan},
    {"migrate", Verb::kMigrate},
    {"repair", Verb::kRepair},
    {"diff", Verb::kDiff},
    {"apply", Verb::kApply},
    {"bench", Verb::kBench},
    {"benchmark", Verb::kBench},
    {"report", Verb::kReport},
    {"help", Verb::kHelp},
    {"serve-plan", Verb::kServePlan},
    {"rebase", Verb::kRebase},
    {"prune", Verb::kPrune},
}};

std::optional<Verb> FindVerb(std::string_view word);
std::string_view NameOf(Verb verb);

/// A set of verbs.
class Verbs {
 public:
  template <typename... Ones>
  explicit constexpr Verbs(Ones... ones) : bits_((0U | ... | Bit(ones))) {}
  constexpr bool Has(Verb verb) const { return (bits_ & Bit(verb)) != 0; }

 private:
  static constexpr uint32_t Bit(Verb verb) { return uint32_t{1} << static_cast<unsigned>(verb); }
  uint32_t bits_;
};

}  // namespace flyweight::cli
