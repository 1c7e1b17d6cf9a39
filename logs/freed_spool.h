// Gives disk space of a running task's spool back: of bytes that the log store has.
#pragma once

#include <cstdint>

#include "absl/status/status.h"
#include "base/file_system.h"
#include "logs/spool_files.h"

namespace boxkeeper::logs {

// From now on [0, `to`) of the stream is read from the store. Only for bytes that the store has
// durably and the journal knows of: nothing reads them from the spool again. The last `keep` bytes
// of them stay, for they may be needed to see a secret value that reaches behind `to`.
//
// Announced by a record beside the file, synced and renamed into place, before the file is punched.
// Not told by the file's holes: not every file system has SEEK_DATA, those that have it may answer
// in units of their own or take zeros that a command wrote for a hole, and a crash between
// confirmation and punch would leave readers to guess. Not journalled either: it is true of the
// spool's files only, and goes with them. After a crash between the two steps the space is given
// back by another call, which punches from the begin: a daemon makes one when it first looks.
//
// Blocking: on the pool. kUnimplemented: the file system cannot punch (what was announced stays so,
// which is no harm: the store has it).
absl::Status FreeStored(base::FileSystem& files, const SpoolFiles& spool, Stream stream,
                        uint64_t to, uint64_t keep);

// Where the file is punched to.
uint64_t PunchedTo(uint64_t to, uint64_t keep);

}  // namespace boxkeeper::logs
