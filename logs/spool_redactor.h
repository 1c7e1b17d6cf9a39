// Overwrites a task's secret values in its spool, once every byte of it is stored: afterwards the
// daemon forgets the values, and what is read from the spool must not show them.
#pragma once

#include "absl/status/status.h"
#include "base/file_system.h"
#include "logs/redactor.h"
#include "logs/spool_files.h"

namespace boxkeeper::logs {

// Overwrites each occurrence in both streams by as many '*' and makes that durable. Only for a
// spool that nobody writes any more. Each occurrence is one write, so a repeat after a crash finds
// those that were not reached. Blocking; holds two windows of at most a MiB in memory. Errors are
// those of the files; a stream without a file is success.
absl::Status RedactSpool(base::FileSystem& files, const SpoolFiles& spool,
                         const Redactor& redactor);

}  // namespace boxkeeper::logs
