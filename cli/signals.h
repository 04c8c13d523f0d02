#pragma once

namespace flyweight::cli {

/// From now on a deadly signal first removes the files that are being written, then ends the process as it would have.
void InstallSignalHandlers();

}  // namespace flyweight::cli
