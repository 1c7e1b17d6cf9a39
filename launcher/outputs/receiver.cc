#include "launcher/outputs/receiver.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/core/bytes.h"
#include "base/core/file_io.h"

namespace boxkeeper::launcher {
namespace {

constexpr mode_t kFolderMode = 0700;
constexpr mode_t kFileMode = 0600;
constexpr uint32_t kModeMask = 0777;
constexpr size_t kFileHeaderBytes = 4 + 8;

std::string FolderOf(const std::string& path) { return path.substr(0, path.rfind('/')); }

}  // namespace

void OutputsReceiver::Begin(Options options) {
  *this = {};
  options_ = std::move(options);
  unlink(options_.path.c_str());
  unlink((options_.path + std::string(base::kOutputsDataSuffix)).c_str());
}

void OutputsReceiver::Receive(std::string_view bytes) {
  if (done_) return;
  parser_.Append(bytes);
  while (!done_) {
    const std::optional<OutputFrame> frame = parser_.Next();
    if (!frame) break;
    Take(*frame);
  }
  parser_.Compact();
  if (parser_.damaged() && !done_) CutOff("the collector made no sense");
}

void OutputsReceiver::Take(const OutputFrame& frame) {
  switch (frame.word) {
    case OutputWord::kFile:
      return BeginFile(frame.payload);
    case OutputWord::kData:
      return TakeData(frame.payload);
    case OutputWord::kEnd:
      return EndFile();
    case OutputWord::kDrop:
      DropFile();
      return Note(std::string(frame.payload));
    case OutputWord::kSkip:
      return Note(std::string(frame.payload));
    case OutputWord::kDone:
      DropFile();
      done_ = true;
      return;
  }
}

void OutputsReceiver::BeginFile(std::string_view payload) {
  DropFile();
  if (payload.size() < kFileHeaderBytes) return;
  file_ = {};
  file_.mode = base::LittleAt<uint32_t>(payload, 0) & kModeMask;
  file_.modified_unix_ns = base::LittleAt<uint64_t>(payload, 4);
  file_.path = payload.substr(kFileHeaderBytes);
  file_.offset = end_;
  if (!base::IsOutputPath(file_.path) || paths_.contains(file_.path)) {
    return Note("a file with a bad or repeated name");
  }
  if (manifest_.files.size() >= options_.files_max)
    return Note("'" + file_.path + "': too many files");
  hash_ = {};
  in_file_ = true;
}

void OutputsReceiver::TakeData(std::string_view bytes) {
  if (!in_file_ || bytes.empty()) return;
  std::string why;
  if (bytes.size() > options_.bytes_max || end_ + file_.size > options_.bytes_max - bytes.size()) {
    why = "the outputs are too large";
  } else if (const int error = OpenData(); error != 0) {
    why = std::strerror(error);
  } else if (!DiskHasRoom(bytes.size())) {
    why = "no room on the disk of the spool";
  } else if (const int written = base::WriteAll(data_.get(), bytes); written != 0) {
    why = std::strerror(written);
  }
  if (!why.empty()) {
    DropFile();
    return Note("'" + file_.path + "': " + why);
  }
  hash_.Add(bytes);
  file_.size += bytes.size();
}

void OutputsReceiver::EndFile() {
  if (!std::exchange(in_file_, false)) return;
  end_ += file_.size;
  file_.sha256 = hash_.Finish();
  paths_.insert(file_.path);
  manifest_.files.push_back(file_);
}

void OutputsReceiver::DropFile() {
  if (!std::exchange(in_file_, false) || !data_.valid()) return;
  // The next file stands where this one began.
  if (ftruncate(data_.get(), static_cast<off_t>(end_)) != 0 ||
      lseek(data_.get(), static_cast<off_t>(end_), SEEK_SET) < 0) {
    CutOff(std::strerror(errno));
  }
}

void OutputsReceiver::Note(std::string text) {
  ++manifest_.skipped;
  if (manifest_.notes.size() < base::kOutputNotesMax)
    manifest_.notes.push_back(base::OutputNote(text));
}

void OutputsReceiver::CutOff(const std::string& why) {
  if (std::exchange(done_, true)) return;
  if (in_file_) Note("'" + file_.path + "': " + why);
  DropFile();
  Note("the rest: " + why);
}

bool OutputsReceiver::DiskHasRoom(size_t bytes) const {
  struct statvfs disk{};
  if (fstatvfs(data_.get(), &disk) != 0) return true;
  return disk.f_bavail * disk.f_frsize >= options_.spare_bytes + bytes;
}

int OutputsReceiver::OpenData() {
  if (data_.valid()) return 0;
  const std::string path = options_.path + std::string(base::kOutputsDataSuffix);
  constexpr int kFlags = O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW;
  data_.Reset(open(path.c_str(), kFlags, kFileMode));
  if (data_.valid() || errno != ENOENT) return data_.valid() ? 0 : errno;
  if (mkdir(FolderOf(path).c_str(), kFolderMode) != 0 && errno != EEXIST) return errno;
  data_.Reset(open(path.c_str(), kFlags, kFileMode));
  return data_.valid() ? 0 : errno;
}

int OutputsReceiver::Store() {
  if (data_.valid() && fdatasync(data_.get()) != 0) return errno;
  const std::string folder_path = FolderOf(options_.path);
  if (mkdir(folder_path.c_str(), kFolderMode) != 0 && errno != EEXIST) return errno;
  const base::UniqueFd folder(open(folder_path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder.valid()) return errno;
  const std::string name = options_.path.substr(folder_path.size() + 1);
  const int error = base::ReplaceFileAt(folder.get(), name, base::EncodeOutputsManifest(manifest_),
                                        kFileMode, base::Durability::kPowerLoss);
  if (error != 0) return error;
  return fsync(folder.get()) == 0 ? 0 : errno;
}

}  // namespace boxkeeper::launcher
