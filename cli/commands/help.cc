#include "archive/wire.h"
#include "cli/commands/commands.h"
#include "simd/isa.h"

namespace flyweight::cli {

std::string HelpText() {
  return R"(flyweight keeps the weights of neural networks small: same bytes back, always.

  flyweight compress FILE... [-o OUT]     write FILE.fly (or OUT); FILE is kept
  flyweight decompress FILE... [-o OUT]   write FILE without .fly (or OUT)
  flyweight list FILE...                  the tensors of an archive
  flyweight info FILE...                  an archive in a few lines
  flyweight verify FILE...                check every byte of an archive

As with gzip: flyweight FILE compresses, -d decompresses, -t verifies, -l lists.
No FILE, or -, is standard input; its output goes to standard output.

  -o, --output OUT    write to OUT (- is standard output)
  -c, --stdout        write to standard output
  -f, --force         overwrite; write an archive to a terminal
  -k, --keep          keep the source (always so)
  -T, --threads N     threads; 0, the default, is one a CPU
  -q, --quiet         no warnings, no progress
  -v, --verbose       say what was done
      --json          results as JSON, one line a file
  -1 ... -9, --fast, --balanced, --high, --max, --best
                      effort; all lossless, and all the same in this version
  -h, --help          this text
  -V, --version       version, format version, instruction set

Exit code: 0 done, 1 error, 2 wrong usage or warning.
)";
}

std::string VersionText() {
  std::string supported;
  for (Isa isa : SupportedIsas()) supported += (supported.empty() ? "" : " ") + std::string(IsaName(isa));
  return "flyweight " FLYWEIGHT_VERSION "\nformat version " + std::to_string(wire::kFormatVersion) +
         "\ninstruction set " + std::string(IsaName(ActiveIsa())) + " (of " + supported + ")\n";
}

}  // namespace flyweight::cli
