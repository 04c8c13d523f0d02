#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cli/args.h"
#include "cli/console.h"
#include "flyweight/pipeline.h"

namespace flyweight::cli {

// One function a verb, called for one file. What goes wrong is told to the console.

void RunCompress(const std::string& file, const Arguments& arguments, Console& console);
void RunDecompress(const std::string& file, const Arguments& arguments, Console& console);
void RunVerify(const std::string& file, const Arguments& arguments, Console& console);
void RunList(const std::string& file, const Arguments& arguments, Console& console);
void RunInfo(const std::string& file, const Arguments& arguments, Console& console);
void RunStat(const std::string& file, const Arguments& arguments, Console& console);
void RunExtract(const std::string& file, const Arguments& arguments, Console& console);
void RunScan(const std::string& file, const Arguments& arguments, Console& console);
void RunBench(const std::string& file, const Arguments& arguments, Console& console);
void RunMigrate(const std::string& file, const Arguments& arguments, Console& console);
void RunRepair(const std::string& file, const Arguments& arguments, Console& console);

/// Shows which patches stand on what, of all files and directories of the command line.
void RunLineage(const Arguments& arguments, Console& console);
/// Makes one patch out of several, or moves it to another base.
void RunRebase(const Arguments& arguments, Console& console);
/// Removes archives of a directory that nothing needs that is kept.
void RunPrune(const Arguments& arguments, Console& console);

/// For --auto-base and --base-dir: fills in the bases of `file`. False where that is an error, which was told to the
/// console.
bool FindBasesOf(const std::string& file, Arguments& arguments, Console& console);

/// Compares the two files.
void RunDiff(const Arguments& arguments, Console& console);

/// Says what the base that is named first and the patches take in memory together.
void RunServePlan(const Arguments& arguments, Console& console);

/// Applies all patches of the command line to the base that is named first.
void RunApply(const Arguments& arguments, Console& console);

/// Says what was restored.
void ReportRestored(const std::string& source, const std::string& target, const DecompressSummary& summary,
                    const Arguments& arguments, Console& console);

/// True where several inputs become one archive, which RunCompressTogether then makes.
bool GoesIntoOneArchive(const Arguments& arguments);
void RunCompressTogether(const Arguments& arguments, Console& console);

/// Restores members of an archive, all where there are none, as `target`.
void RestoreMembers(const std::string& archive, const std::string& target, const std::vector<std::string>& members,
                    const Arguments& arguments, Console& console);

/// General help, or that of one verb.
std::string HelpText(std::optional<Verb> topic);
std::string VersionText();

}  // namespace flyweight::cli
