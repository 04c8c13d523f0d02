#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "base/parts.h"
#include "flyweight/pipeline.h"

namespace flyweight {

/// The path that means standard input or standard output.
inline constexpr std::string_view kStreamPath = "-";

/// A file, an archive in parts, or standard input kept in a temporary file, to read from.
struct InputEndpoint {
  std::unique_ptr<ByteSource> source;
  const FileSource* file = nullptr;    ///< source, where it is a file
  const PartsSource* parts = nullptr;  ///< source, where it is an archive in parts

  /// Errors: kSourceChanged where a file changed since it was opened.
  Status CheckUnchanged() const;
  /// Permission bits and modification time that a file made from this one gets: its own, or those of a new file.
  uint32_t mode() const;
  int64_t modified_ns() const;
};

/// Opens `path`, or spools standard input beside `target`. Errors: kIo, kInvalidArgument (directory, special file).
Result<InputEndpoint> OpenInput(const std::string& path, const std::string& target);

/// The same for an archive, which may be in parts: `path` is then the name of one of them, or their name without
/// number. Errors: also those of PartsSource::Open.
Result<InputEndpoint> OpenArchiveInput(const std::string& path, const std::string& target);

/// The directory that holds what a path names.
std::string DirectoryOf(const std::string& path);

/// kInvalidArgument where `target` is the very file that is read.
Status RefuseSameFile(const InputEndpoint& input, const std::string& target);

/// Base name of a path; empty for standard input.
std::string BaseNameOf(const std::string& path);

/// kInvalidArgument where `name` cannot be the name of a file in an archive (empty is allowed).
Status CheckFileName(std::string_view name);

/// Hands what is appended to the caller.
class CallbackSink final : public ByteSink {
 public:
  explicit CallbackSink(const AppendCallback& append) : append_(append) {}
  Status Append(ByteSpan bytes) override { return append_(bytes); }

 private:
  const AppendCallback& append_;
};

/// Gathers small pieces, so that a record of a few bytes costs no system call of its own. Flush before the end.
class GatheringSink final : public ByteSink {
 public:
  explicit GatheringSink(ByteSink& sink) : sink_(sink) {}
  Status Append(ByteSpan bytes) override;
  Status Flush();

 private:
  ByteSink& sink_;
  std::vector<std::byte> gathered_;
};

}  // namespace flyweight
