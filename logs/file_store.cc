#include "logs/file_store.h"

#include <algorithm>
#include <mutex>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "base/hex.h"
#include "base/run_on.h"
#include "base/sha256.h"
#include "base/status_macros.h"
#include "logs/log_path.h"

namespace boxkeeper::logs {
namespace {

constexpr uint32_t kDirectoryMode = 0750;
constexpr uint32_t kFileMode = 0640;
constexpr char kTemporaryFolder[] = "/_boxkeeper/tmp";
constexpr size_t kMaxKnownDirectories = 8192;
constexpr size_t kCopyBytes = 1024 * 1024;
// What stored logs leave free on their disk, which by default is also the store's: more than the
// store frees for itself when the disk is full (8 MiB). Else logs would take that too, and nothing
// could be recorded any more.
constexpr uint64_t kSpareBytes = 12 << 20;

// What a disk answers may pass: the caller tries again. kDataLoss is kept for pieces that are not
// what was announced.
absl::Status Retryable(const absl::Status& status) {
  if (!absl::IsDataLoss(status)) return status;
  return absl::UnavailableError(std::string(status.message()));
}

absl::Status CheckName(std::string_view name) {
  for (std::string_view rest = name;;) {
    const size_t slash = rest.find('/');
    const std::string_view component = rest.substr(0, slash);
    if (component.empty() || component == "." || component == "..") {
      return absl::InvalidArgumentError(absl::StrCat("bad object name ", std::string(name)));
    }
    if (slash == std::string_view::npos) return absl::OkStatus();
    rest.remove_prefix(slash + 1);
  }
}

std::string DirectoryOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == 0 ? "/" : path.substr(0, slash);
}

}  // namespace

// Blocking; any thread of the pool.
class FileStore::Impl {
 public:
  Impl(base::FileSystem& fs, boost::asio::any_io_executor executor, std::string store_url,
       std::string directory)
      : files(fs),
        pool(std::move(executor)),
        url(std::move(store_url)),
        base(std::move(directory)) {}

  absl::Status WriteAt(const std::string& name, uint64_t offset, std::string_view data) {
    RETURN_IF_ERROR(CheckName(name));
    RETURN_IF_ERROR(CheckRoom());
    const std::string path = absl::StrCat(base, "/", name);
    base::OpenOptions options{.write = true, .truncate = offset == 0, .mode = kFileMode};
    auto file = files.Open(path, options);
    if (absl::IsNotFound(file.status())) {
      RETURN_IF_ERROR(MakeDirectory(DirectoryOf(path)));
      NoteCreation(DirectoryOf(path));
      options.create = true;
      file = files.Open(path, options);
    }
    RETURN_IF_ERROR(Retryable(file.status()));
    RETURN_IF_ERROR(CheckLength(**file, name, offset));
    return Retryable((*file)->WriteAt(offset, data));
  }

  // The object as it is to be synced, cut to `size`.
  absl::StatusOr<SyncItem> PrepareSync(const std::string& name, uint64_t size) {
    RETURN_IF_ERROR(CheckName(name));
    const std::string path = absl::StrCat(base, "/", name);
    auto file = files.Open(path, {.write = true});
    if (absl::IsNotFound(file.status())) return TooShort(name, 0, size);
    RETURN_IF_ERROR(Retryable(file.status()));
    RETURN_IF_ERROR(CheckLength(**file, name, size));
    auto length = (*file)->Size();
    RETURN_IF_ERROR(Retryable(length.status()));
    if (*length > size) RETURN_IF_ERROR(Retryable((*file)->Truncate(size)));
    return SyncItem{.file = *std::move(file), .rename_from = "", .path = path};
  }

  // Writes the object's first `keep` bytes and the piece under a temporary name; it gets its own
  // when it is synced.
  absl::StatusOr<SyncItem> PreparePut(uint64_t keep, const Piece& piece) {
    RETURN_IF_ERROR(CheckName(piece.name));
    RETURN_IF_ERROR(CheckRoom());
    const std::string path = absl::StrCat(base, "/", piece.name);
    // One writer per object, so a name made from the object's cannot clash, and a left-over is
    // reused.
    const std::string temporary = absl::StrCat(
        base, kTemporaryFolder, "/", base::HexEncode(base::Sha256(piece.name)).substr(0, 32));
    auto file = WritePiece(keep, piece, temporary);
    absl::Status made = file.status();
    if (made.ok()) made = MakeDirectory(DirectoryOf(path));
    if (!made.ok()) {
      // What failed is told; a left-over is overwritten by the next try.
      files.Remove(temporary).IgnoreError();
      return made;
    }
    return SyncItem{.file = *std::move(file), .rename_from = temporary, .path = path};
  }

  // Files first, then names, then the directories that hold them: each of these costs one commit of
  // the file system's journal, however many items there are.
  std::vector<absl::Status> SyncAll(std::vector<SyncItem>& items) {
    for (SyncItem& item : items) item.file->StartWriteback();
    std::vector<absl::Status> statuses;
    for (SyncItem& item : items) statuses.push_back(Retryable(item.file->Sync()));
    for (size_t i = 0; i < items.size(); ++i) {
      const SyncItem& item = items[i];
      if (item.rename_from.empty()) continue;
      NoteCreation(DirectoryOf(item.path));
      if (statuses[i].ok()) statuses[i] = Retryable(files.Rename(item.rename_from, item.path));
      if (!statuses[i].ok()) files.Remove(item.rename_from).IgnoreError();
    }
    for (size_t i = 0; i < items.size(); ++i) {
      if (statuses[i].ok()) statuses[i] = SyncDirectoriesOf(items[i].path);
    }
    return statuses;
  }

  absl::Status Remove(const std::string& name) {
    RETURN_IF_ERROR(CheckName(name));
    const std::string path = absl::StrCat(base, "/", name);
    const absl::Status removed = files.Remove(path);
    if (absl::IsNotFound(removed)) return absl::OkStatus();
    RETURN_IF_ERROR(Retryable(removed));
    return Retryable(files.SyncDir(DirectoryOf(path)));
  }

  absl::StatusOr<std::string> Read(const std::string& name, uint64_t offset, size_t max_bytes) {
    RETURN_IF_ERROR(CheckName(name));
    auto file = files.Open(absl::StrCat(base, "/", name), {});
    if (!file.ok()) return Retryable(file.status());
    auto data = (*file)->ReadAt(offset, max_bytes);
    if (!data.ok()) return Retryable(data.status());
    return data;
  }

  absl::StatusOr<std::vector<std::string>> List(const std::string& prefix) {
    const size_t slash = prefix.rfind('/');
    const std::string folder = slash == std::string::npos ? "" : prefix.substr(0, slash + 1);
    const std::string begin = prefix.substr(folder.size());
    auto entries = files.List(DirectoryOf(absl::StrCat(base, "/", prefix)));
    if (absl::IsNotFound(entries.status())) return std::vector<std::string>();
    if (!entries.ok()) return Retryable(entries.status());
    std::vector<std::string> names;
    for (const std::string& entry : *entries) {
      if (!entry.starts_with(begin)) continue;
      if (names.size() == kMaxListed) break;
      names.push_back(absl::StrCat(folder, entry));
    }
    return names;
  }

  absl::Status Check() {
    const std::string probe = absl::StrCat(base, kTemporaryFolder, "/probe");
    absl::Status status = MakeDirectory(DirectoryOf(probe));
    if (status.ok()) {
      status = base::WriteFileAtomically(files, probe, "boxkeeper\n", kFileMode);
    }
    if (status.ok()) status = files.Remove(probe);
    if (status.ok()) return status;
    return absl::Status(status.code(),
                        absl::StrCat("logs.url ", url, ": the daemon's user cannot write there: ",
                                     std::string(status.message())));
  }

  base::FileSystem& files;
  const boost::asio::any_io_executor pool;
  const std::string url;
  const std::string base;

 private:
  // Numbers of the last creation in a directory and of the last one known to be durable.
  struct Directory {
    uint64_t created = 0;
    uint64_t synced = 0;
    bool dirty() const { return created > synced; }
  };

  absl::Status CheckRoom() {
    const auto free = files.FreeBytes(base);
    // Not to be told, e.g. of a directory that is still to be made, is no reason to refuse.
    if (!free.ok() || *free >= kSpareBytes) return absl::OkStatus();
    return absl::ResourceExhaustedError(
        absl::StrCat(base, ": only ", *free, " bytes are free; ", kSpareBytes, " are left free"));
  }

  static absl::Status TooShort(const std::string& name, uint64_t length, uint64_t wanted) {
    return absl::OutOfRangeError(
        absl::StrCat(name, ": the object has ", length, " of ", wanted, " bytes"));
  }

  static absl::Status CheckLength(base::File& file, const std::string& name, uint64_t wanted) {
    auto length = file.Size();
    RETURN_IF_ERROR(Retryable(length.status()));
    return *length < wanted ? TooShort(name, *length, wanted) : absl::OkStatus();
  }

  absl::StatusOr<std::unique_ptr<base::File>> WritePiece(uint64_t keep, const Piece& piece,
                                                         const std::string& temporary) {
    RETURN_IF_ERROR(MakeDirectory(DirectoryOf(temporary)));
    auto file =
        files.Open(temporary, {.write = true, .create = true, .truncate = true, .mode = kFileMode});
    RETURN_IF_ERROR(Retryable(file.status()));
    if (keep > 0) RETURN_IF_ERROR(CopyBegin(piece.name, keep, **file));
    ASSIGN_OR_RETURN(const std::unique_ptr<PieceSource> source, piece.open());
    base::Sha256Stream hash;
    uint64_t size = 0;
    for (;;) {
      ASSIGN_OR_RETURN(const std::string data, source->Next());
      if (data.empty()) break;
      RETURN_IF_ERROR(Retryable((*file)->WriteAt(keep + size, data)));
      hash.Add(data);
      size += data.size();
    }
    if (size != piece.size || hash.Finish() != piece.sha256) {
      return absl::DataLossError(absl::StrCat(piece.name, ": the bytes are not those announced (",
                                              size, " of ", piece.size, " bytes)"));
    }
    return *std::move(file);
  }

  absl::Status CopyBegin(const std::string& name, uint64_t keep, base::File& to) {
    auto from = files.Open(absl::StrCat(base, "/", name), {});
    if (absl::IsNotFound(from.status())) return TooShort(name, 0, keep);
    RETURN_IF_ERROR(Retryable(from.status()));
    for (uint64_t at = 0; at < keep;) {
      auto data = (*from)->ReadAt(at, std::min<uint64_t>(keep - at, kCopyBytes));
      RETURN_IF_ERROR(Retryable(data.status()));
      if (data->empty()) return TooShort(name, at, keep);
      RETURN_IF_ERROR(Retryable(to.WriteAt(at, *data)));
      at += data->size();
    }
    return absl::OkStatus();
  }

  absl::Status MakeDirectory(const std::string& directory) {
    // The directories that will be made are creations in their parents.
    for (std::string child = directory; child != "/";) {
      ASSIGN_OR_RETURN(const bool exists, files.Exists(child));
      if (exists) break;
      std::string parent = DirectoryOf(child);
      NoteCreation(parent);
      child = std::move(parent);
    }
    return Retryable(files.MakeDirectories(directory, kDirectoryMode));
  }

  void NoteCreation(const std::string& directory) {
    std::lock_guard lock(mutex_);
    directories_[directory].created = ++counter_;
  }

  // Makes the object's name durable: its directory and those above. One below the base that this
  // process never synced is not trusted (the process before may have died between creating and
  // syncing); above it only what we made counts.
  absl::Status SyncDirectoriesOf(const std::string& path) {
    for (std::string child = path; child != "/";) {
      std::string directory = DirectoryOf(child);
      if (child.size() >= base.size() || IsDirty(directory)) {
        RETURN_IF_ERROR(SyncDirectory(directory));
      }
      child = std::move(directory);
    }
    return absl::OkStatus();
  }

  bool IsDirty(const std::string& directory) {
    std::lock_guard lock(mutex_);
    const auto known = directories_.find(directory);
    return known != directories_.end() && known->second.dirty();
  }

  absl::Status SyncDirectory(const std::string& directory) {
    uint64_t created = 0;
    {
      std::lock_guard lock(mutex_);
      auto known = directories_.find(directory);
      if (known != directories_.end() && !known->second.dirty()) return absl::OkStatus();
      if (known == directories_.end()) {
        ForgetCleanOnes();
        directories_[directory].created = ++counter_;
      }
      created = directories_[directory].created;
    }
    RETURN_IF_ERROR(Retryable(files.SyncDir(directory)));
    std::lock_guard lock(mutex_);
    Directory& known = directories_[directory];
    known.synced = std::max(known.synced, created);
    return absl::OkStatus();
  }

  void ForgetCleanOnes() {
    if (directories_.size() < kMaxKnownDirectories) return;
    absl::erase_if(directories_, [](const auto& entry) { return !entry.second.dirty(); });
  }

  std::mutex mutex_;
  uint64_t counter_ = 0;
  absl::flat_hash_map<std::string, Directory> directories_;
};

absl::StatusOr<std::unique_ptr<FileStore>> FileStore::Create(Deps deps, const std::string& url) {
  ASSIGN_OR_RETURN(std::string directory, ParseFileUrl(url));
  return std::unique_ptr<FileStore>(
      new FileStore(std::make_shared<Impl>(deps.files, deps.pool, url, std::move(directory))));
}

FileStore::FileStore(std::shared_ptr<Impl> impl)
    : impl_(std::move(impl)), group_(impl_->pool, [impl = impl_](std::vector<SyncItem>& items) {
        return impl->SyncAll(items);
      }) {}
FileStore::~FileStore() = default;

const std::string& FileStore::url() const { return impl_->url; }

boost::asio::awaitable<absl::Status> FileStore::WriteAt(std::string name, uint64_t offset,
                                                        std::string data) {
  auto work = [impl = impl_, name = std::move(name), offset, data = std::move(data)] {
    return impl->WriteAt(name, offset, data);
  };
  co_return co_await base::RunOn(impl_->pool, std::move(work));
}

boost::asio::awaitable<absl::Status> FileStore::Sync(std::string name, uint64_t size) {
  auto work = [impl = impl_, name = std::move(name), size] {
    return impl->PrepareSync(name, size);
  };
  CO_ASSIGN_OR_RETURN(SyncItem item, co_await base::RunOn(impl_->pool, std::move(work)));
  co_return co_await group_.Sync(std::move(item));
}

boost::asio::awaitable<absl::Status> FileStore::Put(Piece piece) {
  co_return co_await Extend(0, std::move(piece));
}

boost::asio::awaitable<absl::Status> FileStore::Extend(uint64_t from, Piece tail) {
  auto work = [impl = impl_, from, tail = std::move(tail)] { return impl->PreparePut(from, tail); };
  CO_ASSIGN_OR_RETURN(SyncItem item, co_await base::RunOn(impl_->pool, std::move(work)));
  co_return co_await group_.Sync(std::move(item));
}

boost::asio::awaitable<absl::Status> FileStore::Remove(std::string name) {
  auto work = [impl = impl_, name = std::move(name)] { return impl->Remove(name); };
  co_return co_await base::RunOn(impl_->pool, std::move(work));
}

boost::asio::awaitable<absl::StatusOr<std::string>> FileStore::Read(std::string name,
                                                                    uint64_t offset,
                                                                    size_t max_bytes) {
  auto work = [impl = impl_, name = std::move(name), offset, max_bytes] {
    return impl->Read(name, offset, max_bytes);
  };
  co_return co_await base::RunOn(impl_->pool, std::move(work));
}

boost::asio::awaitable<absl::StatusOr<std::vector<std::string>>> FileStore::List(
    std::string prefix) {
  auto work = [impl = impl_, prefix = std::move(prefix)] { return impl->List(prefix); };
  co_return co_await base::RunOn(impl_->pool, std::move(work));
}

boost::asio::awaitable<absl::Status> FileStore::Check() {
  auto work = [impl = impl_] { return impl->Check(); };
  co_return co_await base::RunOn(impl_->pool, std::move(work));
}

}  // namespace boxkeeper::logs
