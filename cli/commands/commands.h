#pragma once

#include <string>

#include "cli/args.h"
#include "cli/console.h"

namespace flyweight::cli {

// One function a verb, called for one file. What goes wrong is told to the console.

void RunCompress(const std::string& file, const Arguments& arguments, Console& console);
void RunDecompress(const std::string& file, const Arguments& arguments, Console& console);
void RunVerify(const std::string& file, const Arguments& arguments, Console& console);
void RunList(const std::string& file, const Arguments& arguments, Console& console);
void RunInfo(const std::string& file, const Arguments& arguments, Console& console);

std::string HelpText();
std::string VersionText();

}  // namespace flyweight::cli
