#include "archive/wire.h"
#include "cli/commands/commands.h"
#include "simd/isa.h"

namespace flyweight::cli {
namespace {

constexpr const char* kGeneral = R"(flyweight keeps the weights of neural networks small: same bytes back, always.

  compress SRC... [-o OUT]    write SRC.fly; a directory is one archive
  decompress X.fly [-o OUT]   write what X.fly holds
  extract X.fly NAME...       some of its files, or tensors
  list, info, stat X.fly      its files, a summary, its tensors
  verify X.fly                check every byte; writes nothing
  scan SRC                    how small each level would make it, and why
  bench FILE                  levels and zstd on your file: size and speed
  apply BASE P.fly -o OUT     what a patch gives; compress --base BASE makes one
  diff A B                    what changed between two models
  rebase, prune               shorten chains of patches
  migrate, repair X.fly       encode anew; mend
  convert SRC OUT             compress, or decompress where SRC is an archive

flyweight help VERB tells more. As with gzip: flyweight SRC compresses,
-d decompresses, -t verifies, -l lists. No name, or -, is standard input.

  -o, --output OUT   write to OUT (- is standard output), or into a directory
  -c, --stdout       write to standard output
  -r, --recursive    every model below a directory, one archive each
  -f, --force        overwrite; write an archive to a terminal
  -k, --keep         keep the source, as always; --rm removes it
  -T, --threads N    0, the default, is one a CPU
  -q, -v, --json     quieter; what was done; results as JSON, a line a file
  --fast, --balanced, --high, --max, or -1 ... -9
                     effort, all lossless; --balanced is the default
  -h, -V             this text; version, format version, instruction set

Exit code: 0 done, 1 error, 2 wrong usage or warning.
)";

constexpr const char* kCompress = R"(flyweight compress SRC... [-o OUT]
flyweight compress SRC OUT.fly            where OUT.fly is not there yet

Writes SRC.fly beside each SRC and keeps SRC. A directory becomes one archive
with everything in it; several SRC with one -o OUT become one archive. The new
archive is read back and compared with SRC before it takes its name.

  -o, --output OUT     the archive's name; - is standard output; an existing
                       directory gets one archive for each SRC
  -c, --stdout         the same as -o -
  -r, --recursive      every model file below the directories: one archive each
  -f, --force          overwrite; write to a terminal
  -s, --split SIZE     in parts OUT.001, OUT.002, ... of at most SIZE
      --rm             remove SRC once the archive stands and was compared
      --resume         go on with what an interrupted run left
      --recovery N%    parity that repairs the loss of N% of the archive
      --ecc            the same as --recovery 5%
  -x, --strip GLOB     leave tensors out; optimizer and adam know what to drop
      --lossy KIND     fp16, bf16, int8, int4: smaller, not the same values
      --base BASE      a patch: what changed against BASE, a file, directory or
                       archive. Again for each patch that stands on it
      --auto-base      look for the base below the directories of --base-dir
                       DIR, or beside SRC, and say which and why
      --sequence       SRC holds versions of a model (checkpoint-10, ...): each
                       is stored as what changed since the one before
      --key-every N    with --sequence: no more than N steps to a version; 10
      --lossy-delta K  error=0.05: a smaller patch, nearly the same values
      --no-verify      do not read the archive back
      --dry-run        say what would be written
  -T, --threads N      0, the default, is one a CPU

How hard to try; all are lossless, and every flyweight reads them all:
      --fast           -1 -2 -3  compresses fastest
      --balanced       -4 -5 -6  the default; also --inference, as what it
                                 writes is read fastest
      --high           -7 -8     smaller, at the speed of a disk
  -z, --max            -9        smallest, and slow both ways; also --best,
                                 --storage

Sizes: 5000, 1.5G, 8GiB, 100MB. K, M, G, T are powers of 1024, KB and so on of
1000.
)";

constexpr const char* kDecompress = R"(flyweight decompress X.fly... [-o OUT]
flyweight decompress X.fly OUT            where OUT is no archive

Writes what X.fly holds under its name without .fly, a file or a directory.
Every checksum is checked before the name appears; X.fly is kept.

  -o, --output OUT     the name; - is standard output. A file goes into an
                       existing directory OUT; the tree of a directory becomes
                       OUT, or goes into it where OUT/ ends in a slash
  -c, --stdout         the same as -o -
  -r, --recursive      every archive below the directories
  -f, --force          overwrite; merge into a directory that is there
      --salvage        of a damaged archive, restore what can be; the rest is
                       zeros, in files called NAME.damaged, and is listed
      --base BASE      what a patch stands on; again for each patch between
      --max-output SIZE  refuse archives that hold more
      --max-memory SIZE  fail rather than take more memory
      --dry-run        say what would be written
  -T, --threads N      0, the default, is one a CPU
)";

constexpr const char* kExtract = R"(flyweight extract X.fly NAME... [-o OUT]

NAME is a file or directory of X.fly, or a tensor ("name" or "file:name"), as
flyweight list -v shows them. * and ? stand for any letters and for one.

Files: one goes to its own name, several below a directory X; -o OUT else.
Tensors: -o OUT.safetensors holds any number of them; -o OUT.npy one, where
numpy has its type; any other OUT, or -c, gets the plain bytes of one.

  -o, --output OUT     where to
  -c, --stdout         to standard output
  -f, --force          overwrite
      --base BASE      what a patch stands on; again for each patch between
      --max-output SIZE  refuse to write more
      --max-memory SIZE  fail rather than take more memory
  -T, --threads N      0, the default, is one a CPU
)";

constexpr const char* kReading = R"(flyweight list X.fly...                   files, or the tensors of a file
flyweight info X.fly...                   a few lines each
flyweight stat X.fly...                   tensors: bits a weight, digests

They read the index only.

  -r, --recursive      every archive below the directories
  -v, --verbose        list: the tensors of a directory's files too
      --lineage        list, info: which patches stand on what, of archives and
                       of all below directories; decodes nothing
      --tensor GLOB    list, stat: only tensors that match
      --json           one object a line for each archive
)";

constexpr const char* kVerify = R"(flyweight verify X.fly...

Decodes everything and checks every checksum, digest and SHA-256. Writes
nothing. Exit code 0 only where all of it comes back as it was.

      --fast           check what is stored at the speed of reading, decode
                       nothing
      --sample P       decode a part P of the chunks (0.01 or 1%), chosen at
                       random, and say how likely damage had been found
      --base BASE      what a patch stands on; without it only what is stored of
                       a patch is checked, and that is said
  -r, --recursive      every archive below the directories
      --strict         exit code 2 for archives that are lossy or stripped
      --json           one object a line for each archive
  -T, --threads N      0, the default, is one a CPU
)";

constexpr const char* kScan = R"(flyweight scan SRC...

Tells, before anything is compressed, about how large the archive would be at
each level and why, tensor by tensor: a sample of SRC is encoded in memory. Of
a directory, as one archive of all that is in it. Writes nothing.

  -r, --recursive      every model file below the directories, each by itself
  -v, --verbose        each tensor; else those are one line that differ only in
                       numbers in their names
      --json           one object a line for each SRC (-v: with its tensors)
  -T, --threads N      0, the default, is one a CPU
)";

constexpr const char* kBench = R"(flyweight bench FILE...

Compresses and restores FILE in memory, at each level and with zstd -1, -3 and
-19, on one core, and compares what comes back. Of files over 256 MiB a sample;
the slow ones on less. Of a directory, every model file below it. Writes
nothing.

      --levels LIST    only these: fast, balanced, high, max, with commas
      --json           one object a line for each FILE
)";

constexpr const char* kMigrate = R"(flyweight migrate X.fly...

Encodes an archive anew with this version. It is restored into a directory
beside it, compressed, read back and compared; X.fly is replaced only where
the new archive holds the same and is smaller. Needs room for both.

  -k, --keep           keep the old archive as X.fly.old
  -r, --recursive      every archive below the directories
      --dry-run        say what would be done
  -T, --threads N      0, the default, is one a CPU
      --fast, --balanced, --high, --max, -1 ... -9
                       effort, as of compress
)";

constexpr const char* kRepair = R"(flyweight repair X.fly [-o OUT]

Mends a damaged archive from its own redundancy, its parity (--recovery) and a
second copy. Writes only what was verified to be whole again; else exit code 1
and nothing.

  -o, --output OUT     write the mended archive to OUT; X.fly stays as it is
      --from OTHER     another copy, damaged elsewhere
      --base BASE      of a patch: check what it gives too; mending needs none
)";

constexpr const char* kConvert = R"(flyweight convert SRC OUT

Compresses SRC, a file or a directory, to OUT. Where SRC is an archive and OUT
does not end in .fly, decompresses it. Options as of compress and decompress.
)";

constexpr const char* kDiff = R"(flyweight diff A B

Compares two models, each a file, a directory or an archive, tensor by tensor:
same, changed (how many elements, by how much), added, removed, renamed, of
another type or shape. Exit code as of cmp: 0 same, 1 different, 2 trouble.

      --patch P.fly    also write what changed: compress B --base A -o P.fly
  -q, --quiet          only the exit code
  -v, --verbose        every tensor; else the most changed ones
      --tensor GLOB    only tensors that match
      --json           one object
  -T, --threads N      0, the default, is one a CPU
)";

constexpr const char* kServePlan = R"(flyweight serve-plan BASE P1.fly [P2.fly...]

Decodes a base and the patches on it into memory, what they share once, and
prints what that took, beside what they would take without sharing.

      --json           one object
  -T, --threads N      0, the default, is one a CPU
)";

constexpr const char* kRebase = R"(flyweight rebase BASE P1.fly [P2.fly...] --onto NEW [--onto Q1.fly...] -o OUT.fly

Makes one patch out of BASE and the patches on it, in this order, that stands on
NEW (and patches on that). Without --onto OUT.fly needs no base. Nothing is
restored to the disk; the result is read back and compared.

  -o, --output OUT     the new patch
      --onto NEW       an older or newer base, or any other model
      --base-dir DIR   look for BASE and all patches but the last below DIR
  -f, --force          overwrite
  -T, --threads N      0, the default, is one a CPU
)";

constexpr const char* kPrune = R"(flyweight prune DIR --keep NAME...
flyweight prune DIR --keep-last N

Removes the archives directly in DIR that are links of chains and are not kept.
What is kept and stands on one of them is packed anew on the nearest base that
stays, read back and compared before anything is removed. Archives that stand
alone stay, and so do chains of which nothing is kept. NAME may have * and ?;
one that matches nothing is an error. Nothing is done where a link of what is
kept is missing, or an archive in DIR cannot be read.

      --keep-last N    of each chain keep its base and the last N patches by
                       the numbers in their names
      --base-dir DIR   where else bases are, and patches that may need these
      --dry-run        say what would be done; new sizes are estimates
      --json           one object
  -T, --threads N      0, the default, is one a CPU
)";

constexpr const char* kApply = R"(flyweight apply BASE P.fly... -o OUT
flyweight apply --base-dir DIR P.fly -o OUT

Restores what the last of the patches gives, the very same file or directory.
BASE is a file of any format, a directory or an archive; the patches stand on
it and on each other in this order. Where anything does not fit, it says what
is needed and writes nothing.

      --base-dir DIR   look for the base, and the patches between, below DIR and
                       put them in order; decompress and verify take it too
  -o, --output OUT     the name; - is standard output
  -c, --stdout         the same as -o -
  -f, --force          overwrite; merge into a directory that is there
      --max-output SIZE  refuse to write more
      --max-memory SIZE  fail rather than take more memory
      --dry-run        say what would be written
  -T, --threads N      0, the default, is one a CPU
)";

constexpr const char* kLater = R"(report comes in a later version.
)";

const char* TextOf(Verb topic) {
  switch (topic) {
    case Verb::kCompress:
      return kCompress;
    case Verb::kDecompress:
      return kDecompress;
    case Verb::kExtract:
      return kExtract;
    case Verb::kList:
    case Verb::kInfo:
    case Verb::kStat:
      return kReading;
    case Verb::kVerify:
      return kVerify;
    case Verb::kScan:
      return kScan;
    case Verb::kBench:
      return kBench;
    case Verb::kMigrate:
      return kMigrate;
    case Verb::kRepair:
      return kRepair;
    case Verb::kConvert:
      return kConvert;
    case Verb::kDiff:
      return kDiff;
    case Verb::kServePlan:
      return kServePlan;
    case Verb::kRebase:
      return kRebase;
    case Verb::kPrune:
      return kPrune;
    case Verb::kApply:
      return kApply;
    case Verb::kReport:
      return kLater;
    case Verb::kHelp:
    case Verb::kVersion:
      break;
  }
  return kGeneral;
}

}  // namespace

std::string HelpText(std::optional<Verb> topic) { return TextOf(topic.value_or(Verb::kHelp)); }

std::string VersionText() {
  std::string supported;
  for (Isa isa : SupportedIsas()) supported += (supported.empty() ? "" : " ") + std::string(IsaName(isa));
  return "flyweight " FLYWEIGHT_VERSION "\nformat version " + std::to_string(wire::kFormatVersion) +
         "\ninstruction set " + std::string(IsaName(ActiveIsa())) + " (of " + supported + ")\n";
}

}  // namespace flyweight::cli
