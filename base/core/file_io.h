// Small whole-file operations on Linux. Every function gives 0 or an errno value.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>

namespace boxkeeper::base {

// Writes all of `bytes` at the file's position, through short writes and EINTR.
int WriteAll(int fd, std::string_view bytes);

// The whole file `name` below `directory` (AT_FDCWD: a path). EFBIG above `bytes_max`. Works for
// /proc, whose files have no size.
int ReadFileAt(int directory, const std::string& name, size_t bytes_max, std::string* bytes);

enum class Durability {
  kProcessCrash,  // atomic against kill -9 (the page cache outlives us), not against power loss
  kPowerLoss,     // the bytes are on disk before the name appears
};

// Writes `<name>.new` and renames it to `name`, so that a reader sees the old or the new file,
// never a part. A left-over `<name>.new` is overwritten.
int ReplaceFileAt(int directory, const std::string& name, std::string_view bytes, mode_t mode,
                  Durability durability);

// Removes `name` below `directory` with all that is in it; follows no symbolic link. Absent is a
// success.
int RemoveTreeAt(int directory, const std::string& name);

}  // namespace boxkeeper::base
