#include "store/wal_scan.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <set>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace boxkeeper::store {
namespace {

constexpr size_t kHeaderBytes = 32;
constexpr size_t kFrameHeaderBytes = 24;
constexpr uint32_t kMagicLittle = 0x377f0682;
constexpr uint32_t kMagicBig = 0x377f0683;
constexpr uint32_t kVersion = 3007000;

uint32_t Little(std::string_view bytes, size_t at) {
  uint32_t word;
  std::memcpy(&word, bytes.data() + at, sizeof(word));
  return word;
}

uint32_t Big(std::string_view bytes, size_t at) { return __builtin_bswap32(Little(bytes, at)); }

struct Checksum {
  uint32_t a = 0, b = 0;
  bool big_endian = false;

  // `bytes` is a multiple of 8 long.
  void Add(std::string_view bytes) {
    for (size_t i = 0; i < bytes.size(); i += 8) {
      a += (big_endian ? Big(bytes, i) : Little(bytes, i)) + b;
      b += (big_endian ? Big(bytes, i + 4) : Little(bytes, i + 4)) + a;
    }
  }

  bool Matches(std::string_view bytes, size_t at) const {
    return Big(bytes, at) == a && Big(bytes, at + 4) == b;
  }
};

struct Header {
  uint32_t page_size = 0;
  std::string salts;  // 8 bytes
  Checksum checksum;
};

// False if the header is not whole or not valid.
bool ReadHeader(std::string_view bytes, Header& header) {
  if (bytes.size() < kHeaderBytes) return false;
  uint32_t magic = Big(bytes, 0);
  if (magic != kMagicLittle && magic != kMagicBig) return false;
  header.checksum.big_endian = magic == kMagicBig;
  header.checksum.Add(bytes.substr(0, 24));
  if (!header.checksum.Matches(bytes, 24) || Big(bytes, 4) != kVersion) return false;
  header.page_size = Big(bytes, 8);
  header.salts = bytes.substr(16, 8);
  return header.page_size >= 512 && header.page_size <= 65536 &&
         (header.page_size & (header.page_size - 1)) == 0;
}

absl::Status Damaged(const std::string& path, uint64_t frame, uint64_t offset,
                     const std::string& what, uint64_t keep_bytes) {
  return absl::DataLossError(
      absl::StrCat(path, ": damaged at frame ", frame, " (byte ", offset, "): ", what,
                   "; this is no trace of a crash. Restore a backup of the state directory, or "
                   "give up every transaction from there "
                   "on with: truncate -s ",
                   keep_bytes, " '", path, "'"));
}

// What lies behind the last valid commit. True if it may be the remains of one transaction.
class TailCheck {
 public:
  explicit TailCheck(std::string salts) : salts_(std::move(salts)) {}

  // `frame` may be cut short at the end of the file. Empty if the tail still looks like one
  // transaction.
  std::string Add(std::string frame) {
    frame.resize(std::max(frame.size(), kFrameHeaderBytes));
    uint32_t page = Big(frame, 0), commit = Big(frame, 4);
    bool whole_header = frame.substr(8, 8) == salts_;
    // A hole: nothing of this frame reached the disk.
    if (page == 0 && commit == 0 && !whole_header) return {};
    remains_ = true;
    if (commit_seen_) return "frames follow the end of a transaction that is not valid";
    if (whole_header && !pages_.insert(page).second) {
      return "a second transaction follows one that is not valid";
    }
    commit_seen_ = commit != 0;
    return {};
  }
  // Whether there was anything but holes.
  bool remains() const { return remains_; }

 private:
  const std::string salts_;
  bool remains_ = false;
  bool commit_seen_ = false;
  std::set<uint32_t> pages_;  // a transaction writes each page once
};

}  // namespace

absl::StatusOr<WalScan> ScanWal(base::FileSystem& fs, const std::string& wal_path) {
  WalScan scan;
  ASSIGN_OR_RETURN(bool exists, fs.Exists(wal_path));
  if (!exists) return scan;
  ASSIGN_OR_RETURN(std::unique_ptr<base::File> file, fs.Open(wal_path, {}));
  ASSIGN_OR_RETURN(scan.file_bytes, file->Size());
  if (scan.file_bytes == 0) return scan;
  ASSIGN_OR_RETURN(std::string header_bytes, file->ReadAt(0, kHeaderBytes));
  Header header;
  if (!ReadHeader(header_bytes, header)) {
    // The header is synced before any frame is written.
    scan.torn = scan.file_bytes <= kHeaderBytes;
    if (scan.torn) return scan;
    return Damaged(wal_path, 0, 0, "its header is not valid", 0);
  }

  const size_t frame_bytes = kFrameHeaderBytes + header.page_size;
  Checksum checksum = header.checksum;
  uint64_t offset = kHeaderBytes;
  uint64_t frame_number = 1;
  for (; offset + frame_bytes <= scan.file_bytes; offset += frame_bytes, ++frame_number) {
    ASSIGN_OR_RETURN(std::string frame, file->ReadAt(offset, frame_bytes));
    checksum.Add(std::string_view(frame).substr(0, 8));
    checksum.Add(std::string_view(frame).substr(kFrameHeaderBytes));
    if (frame.substr(8, 8) != header.salts || !checksum.Matches(frame, 16)) break;
    if (Big(frame, 4) == 0) continue;
    scan.valid_bytes = offset + frame_bytes;
    scan.frames = frame_number;
    ++scan.commits;
  }
  if (scan.valid_bytes == 0) scan.valid_bytes = std::min<uint64_t>(kHeaderBytes, scan.file_bytes);

  const uint64_t bad_offset = offset, bad_frame = frame_number;
  TailCheck tail(header.salts);
  for (offset = scan.valid_bytes; offset < scan.file_bytes; offset += frame_bytes) {
    ASSIGN_OR_RETURN(std::string frame, file->ReadAt(offset, kFrameHeaderBytes));
    if (std::string what = tail.Add(std::move(frame)); !what.empty()) {
      return Damaged(wal_path, bad_frame, bad_offset, what, scan.valid_bytes);
    }
  }
  scan.torn = tail.remains();
  return scan;
}

}  // namespace boxkeeper::store
