// Unpacks the layers of an image into one directory.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <unordered_set>

#include "absl/status/status.h"
#include "base/core/unique_fd.h"

struct archive;
struct archive_entry;

namespace boxkeeper::providers::local {

// What one image may take. Above: kResourceExhausted.
struct UnpackLimits {
  uint64_t bytes = uint64_t{64} << 30;          // of all files
  uint64_t entries = 4'000'000;                 // of all layers
  uint64_t free_bytes_min = uint64_t{1} << 30;  // what must stay free on the disk
};

// Applies layers, lowest first, to an empty directory; on one thread at a time; blocking. Layers
// are strangers' input: every path is resolved by the kernel with the directory as its root
// (openat2, RESOLVE_IN_ROOT), so that neither "..", nor a symbolic link, nor a hard link can reach
// outside. All belongs to the caller; set-user-ID and set-group-ID bits, extended attributes,
// devices, FIFOs and sockets are left out; directories stay writable and files readable for the
// owner, so that an ordinary user can unpack, read and remove every image.
class LayerUnpacker {
 public:
  // `stop` makes Apply end with kCancelled soon after it is set.
  LayerUnpacker(base::UniqueFd root, UnpackLimits limits, const std::atomic<bool>& stop);

  // `blob`: a tar, plain or compressed by gzip or zstd. kInvalidArgument: not that, or an entry
  // that is refused; after an error the directory is to be thrown away.
  absl::Status Apply(const std::string& blob);

 private:
  struct Place {
    base::UniqueFd parent;  // O_PATH
    std::string name;       // the last component
  };
  absl::Status ApplyEntry(struct archive* tar, struct archive_entry* entry);
  absl::Status Whiteout(const std::string& path, const std::string& name);
  // Removes what lower layers put into `path`, and keeps what this layer did.
  absl::Status EmptyOfLower(const std::string& path);
  absl::Status MakeDirectory(const Place& place, mode_t mode);
  absl::Status MakeFile(struct archive* tar, const Place& place, mode_t mode, int64_t mtime);
  absl::Status MakeSymlink(const Place& place, const char* target);
  absl::Status MakeHardLink(const Place& place, const char* target);
  absl::Status WriteData(struct archive* tar, int file);
  // The parent of a normalised path, made where it is missing.
  absl::Status Locate(const std::string& path, Place* place);
  absl::Status Count(uint64_t bytes);
  void Remember(const std::string& path);
  base::UniqueFd OpenInRoot(const std::string& path, uint64_t flags) const;

  const base::UniqueFd root_;
  const UnpackLimits limits_;
  const std::atomic<bool>& stop_;
  uint64_t bytes_ = 0;
  uint64_t entries_ = 0;
  uint64_t next_disk_check_ = 0;
  std::unordered_set<std::string> of_this_layer_;  // paths with all their parents
};

}  // namespace boxkeeper::providers::local
