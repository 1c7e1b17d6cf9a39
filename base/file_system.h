// Files behind a seam. The store's SQLite runs on it by a VFS, so that FaultyFileSystem can drop,
// tear and refuse writes. Blocking: call it from the store thread or the pool, or at start-up;
// never from the event loop.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace boxkeeper::base {

// Error codes, here and in FileSystem: kNotFound, kAlreadyExists, kResourceExhausted (no space or
// quota; nothing or a part was written), kDataLoss (I/O error, failed fsync: the file's state is
// unknown), kFailedPrecondition (locked by another), kPermissionDenied, kInvalidArgument.
class File {
 public:
  virtual ~File() = default;
  // Up to `size` bytes at `offset`; shorter only at the end of the file.
  virtual absl::StatusOr<std::string> ReadAt(uint64_t offset, size_t size) = 0;
  virtual absl::Status WriteAt(uint64_t offset, std::string_view data) = 0;
  virtual absl::Status Append(std::string_view data) = 0;
  virtual absl::Status Truncate(uint64_t size) = 0;
  // Gives the disk space of [from, from + size) back, as far as whole blocks lie in it; the range
  // then reads as zeros and the file keeps its size. kUnimplemented: this file system cannot.
  virtual absl::Status PunchHole(uint64_t from, uint64_t size) = 0;
  virtual absl::StatusOr<uint64_t> Size() = 0;
  // Begins to write out what was written, without waiting: a hint, before Sync of several files.
  virtual void StartWriteback() {}
  // Durable when it returns OK (fdatasync, with the size).
  virtual absl::Status Sync() = 0;
  // Exclusive, non-blocking, until the file is closed. kFailedPrecondition if another holds it.
  virtual absl::Status Lock() = 0;
};

struct OpenOptions {
  bool write = false;
  bool create = false;
  bool exclusive = false;  // with create: kAlreadyExists if it is there
  bool truncate = false;
  uint32_t mode = 0600;  // of a created file
};

class FileSystem {
 public:
  virtual ~FileSystem() = default;
  virtual absl::StatusOr<std::unique_ptr<File>> Open(const std::string& path,
                                                     OpenOptions options) = 0;
  virtual absl::Status Rename(const std::string& from, const std::string& to) = 0;
  virtual absl::Status Remove(const std::string& path) = 0;
  // Also its parents; an existing directory is success.
  virtual absl::Status MakeDirectories(const std::string& path, uint32_t mode) = 0;
  virtual absl::StatusOr<std::vector<std::string>> List(
      const std::string& directory) = 0;  // names, sorted
  virtual absl::StatusOr<bool> Exists(const std::string& path) = 0;
  // Makes creations, renames and removals in `directory` durable.
  virtual absl::Status SyncDir(const std::string& directory) = 0;
  virtual absl::StatusOr<uint64_t> FreeBytes(const std::string& path) = 0;
};

// The kernel's. Paths as given.
std::unique_ptr<FileSystem> MakeRealFileSystem();

// The directory that names `path`: "/a" for "/a/b", "/" for "/b", "." for "b".
std::string ParentDirectory(const std::string& path);

// Whole-file helpers on any FileSystem.
absl::StatusOr<std::string> ReadFile(FileSystem& fs, const std::string& path);
// Writes beside `path`, syncs, renames, syncs the directory: afterwards the old or the new content
// is there, never a mix.
absl::Status WriteFileAtomically(FileSystem& fs, const std::string& path, std::string_view content,
                                 uint32_t mode);

}  // namespace boxkeeper::base
