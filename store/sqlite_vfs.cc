#include "store/sqlite_vfs.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <new>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/fault_points.h"
#include "base/status_macros.h"

namespace boxkeeper::store {
namespace {

constexpr size_t kGatherBytesMax = 1 << 20;

class WalFile;

}  // namespace

struct SqliteVfs::State {
  State(base::FileSystem& f, uint64_t reserve) : fs(f), wal_reserve_bytes(reserve) {}

  // Our code of a failed operation; remembers what SQLite's codes cannot say.
  int Code(const absl::Status& status, int io_error) {
    if (status.ok()) return SQLITE_OK;
    if (absl::IsResourceExhausted(status)) {
      no_space = status;
      return SQLITE_FULL;
    }
    if (failure.ok()) failure = status;
    return io_error;
  }

  base::FileSystem& fs;
  const uint64_t wal_reserve_bytes;
  std::string vfs_name;
  sqlite3_vfs vfs{};
  absl::Status failure;
  absl::Status no_space;
  WalFile* wal = nullptr;  // while open
};

namespace {

using State = SqliteVfs::State;

// One open file as SQLite sees it.
class DbFile {
 public:
  DbFile(State& state, std::string path, std::unique_ptr<base::File> file, bool name_unsynced)
      : state_(state),
        path_(std::move(path)),
        file_(std::move(file)),
        name_unsynced_(name_unsynced) {}
  virtual ~DbFile() = default;

  virtual int Read(char* out, size_t size, uint64_t offset) {
    if (!state_.failure.ok()) return SQLITE_IOERR_READ;
    auto data = file_->ReadAt(offset, size);
    if (!data.ok()) return state_.Code(data.status(), SQLITE_IOERR_READ);
    data->copy(out, data->size());
    if (data->size() == size) return SQLITE_OK;
    std::memset(out + data->size(), 0, size - data->size());
    return SQLITE_IOERR_SHORT_READ;
  }

  virtual int Write(std::string_view data, uint64_t offset) {
    if (!state_.failure.ok()) return SQLITE_IOERR_WRITE;
    return state_.Code(file_->WriteAt(offset, data), SQLITE_IOERR_WRITE);
  }

  virtual int Truncate(uint64_t size) {
    if (!state_.failure.ok()) return SQLITE_IOERR_TRUNCATE;
    return state_.Code(file_->Truncate(size), SQLITE_IOERR_TRUNCATE);
  }

  virtual int Sync() {
    if (base::Mutated("skipped_sync")) return SQLITE_OK;
    if (!state_.failure.ok()) return SQLITE_IOERR_FSYNC;
    absl::Status status = file_->Sync();
    if (status.ok() && name_unsynced_) {
      status = state_.fs.SyncDir(base::ParentDirectory(path_));
      if (status.ok()) name_unsynced_ = false;
    }
    return state_.Code(status, SQLITE_IOERR_FSYNC);
  }

  virtual int Size(sqlite3_int64& size) {
    if (!state_.failure.ok()) return SQLITE_IOERR_FSTAT;
    auto bytes = file_->Size();
    if (!bytes.ok()) return state_.Code(bytes.status(), SQLITE_IOERR_FSTAT);
    size = static_cast<sqlite3_int64>(*bytes);
    return SQLITE_OK;
  }

  int Lock() {
    if (locked_) return SQLITE_OK;
    absl::Status status = file_->Lock();
    if (absl::IsFailedPrecondition(status)) return SQLITE_BUSY;
    locked_ = status.ok();
    return state_.Code(status, SQLITE_IOERR_LOCK);
  }

 protected:
  State& state_;
  std::string path_;
  std::unique_ptr<base::File> file_;

 private:
  bool name_unsynced_;
  bool locked_ = false;
};

// The WAL: gathers writes, and knows where the committed part ends. Behind it the file holds zeros,
// written ahead: a sync of bytes that are there already is one flush of the disk, a sync of a file
// that has grown is a commit of the file system's journal as well.
class WalFile final : public DbFile {
 public:
  static constexpr uint64_t kHeaderBytes = 32;

  WalFile(State& state, std::string path, std::unique_ptr<base::File> file, bool name_unsynced,
          uint64_t size)
      : DbFile(state, std::move(path), std::move(file), name_unsynced),
        size_(size),
        committed_(size),
        file_size_(size) {
    state_.wal = this;
  }
  ~WalFile() override { state_.wal = nullptr; }

  int Read(char* out, size_t size, uint64_t offset) override {
    int code = Flush();
    return code == SQLITE_OK ? DbFile::Read(out, size, offset) : code;
  }

  int Write(std::string_view data, uint64_t offset) override {
    bool follows = offset == gathered_at_ + gathered_.size();
    if (!gathered_.empty() && (!follows || gathered_.size() + data.size() > kGatherBytesMax)) {
      if (int code = Flush(); code != SQLITE_OK) return code;
    }
    if (gathered_.empty()) gathered_at_ = offset;
    gathered_.append(data);
    size_ = std::max(size_, offset + data.size());
    return SQLITE_OK;
  }

  int Truncate(uint64_t size) override {
    gathered_.clear();
    base::Failpoint("checkpoint.before_truncate");
    int code = DbFile::Truncate(size);
    if (code != SQLITE_OK) return code;
    size_ = size;
    file_size_ = size;
    committed_ = std::min(committed_, size);
    // The next generation's header must never stand before frames of this one, whatever a crash
    // keeps.
    return DbFile::Sync();
  }

  int Sync() override {
    int code = Flush();
    base::Failpoint("commit.before_sync");
    return code == SQLITE_OK ? DbFile::Sync() : code;
  }

  int Size(sqlite3_int64& size) override {
    int code = Flush();
    return code == SQLITE_OK ? DbFile::Size(size) : code;
  }

  void Committed() { committed_ = size_; }

  int Failed() {
    gathered_.clear();
    gathered_.shrink_to_fit();
    return size_ == committed_ ? SQLITE_OK : Truncate(committed_);
  }

  uint64_t size() const { return size_; }

 private:
  int Flush() {
    if (gathered_.empty()) return SQLITE_OK;
    int code = DbFile::Write(gathered_, gathered_at_);
    const uint64_t end = gathered_at_ + gathered_.size();
    gathered_.clear();
    if (code == SQLITE_OK && end > file_size_) {
      file_size_ = end;
      // Not behind the header: that is synced alone, which tells its remains from damage.
      if (end > kHeaderBytes) code = Reserve();
    }
    return code;
  }

  // A disk too full for it is no error: the file then grows with each write.
  int Reserve() {
    const uint64_t reserve = state_.wal_reserve_bytes;
    if (reserve == 0) return SQLITE_OK;
    const uint64_t to = (file_size_ / reserve + 1) * reserve;
    const absl::Status written = file_->WriteAt(file_size_, std::string(to - file_size_, '\0'));
    if (written.ok()) file_size_ = to;
    if (written.ok() || absl::IsResourceExhausted(written)) return SQLITE_OK;
    return state_.Code(written, SQLITE_IOERR_WRITE);
  }

  uint64_t gathered_at_ = 0;
  std::string gathered_;
  uint64_t size_;  // what SQLite has written
  uint64_t committed_;
  uint64_t file_size_;  // at least; with the zeros
};

// SQLite allocates this; `file` is null after a failed open.
struct Handle {
  sqlite3_file base;
  DbFile* file;
};

DbFile& FileOf(sqlite3_file* handle) { return *reinterpret_cast<Handle*>(handle)->file; }
State& StateOf(sqlite3_vfs* vfs) { return *static_cast<State*>(vfs->pAppData); }

int Close(sqlite3_file* handle) {
  delete reinterpret_cast<Handle*>(handle)->file;
  reinterpret_cast<Handle*>(handle)->file = nullptr;
  return SQLITE_OK;
}

int Read(sqlite3_file* handle, void* out, int size, sqlite3_int64 offset) {
  return FileOf(handle).Read(static_cast<char*>(out), static_cast<size_t>(size),
                             static_cast<uint64_t>(offset));
}

int Write(sqlite3_file* handle, const void* data, int size, sqlite3_int64 offset) {
  return FileOf(handle).Write(
      std::string_view(static_cast<const char*>(data), static_cast<size_t>(size)),
      static_cast<uint64_t>(offset));
}

int Truncate(sqlite3_file* handle, sqlite3_int64 size) {
  return FileOf(handle).Truncate(static_cast<uint64_t>(size));
}

int Sync(sqlite3_file* handle, int) { return FileOf(handle).Sync(); }

int Size(sqlite3_file* handle, sqlite3_int64* size) { return FileOf(handle).Size(*size); }

int Lock(sqlite3_file* handle, int level) {
  return level > SQLITE_LOCK_NONE ? FileOf(handle).Lock() : SQLITE_OK;
}

// Held until closed: no other process may come in between.
int Unlock(sqlite3_file*, int) { return SQLITE_OK; }

int CheckReservedLock(sqlite3_file*, int* reserved) {
  *reserved = 0;
  return SQLITE_OK;
}

int FileControl(sqlite3_file*, int, void*) { return SQLITE_NOTFOUND; }

int SectorSize(sqlite3_file*) { return 4096; }

// As SQLite's own unix VFS: a write does not damage bytes beside it.
int DeviceCharacteristics(sqlite3_file*) { return SQLITE_IOCAP_POWERSAFE_OVERWRITE; }

constexpr sqlite3_io_methods kMethods = {
    .iVersion = 1,  // no shared memory, no memory mapping
    .xClose = Close,
    .xRead = Read,
    .xWrite = Write,
    .xTruncate = Truncate,
    .xSync = Sync,
    .xFileSize = Size,
    .xLock = Lock,
    .xUnlock = Unlock,
    .xCheckReservedLock = CheckReservedLock,
    .xFileControl = FileControl,
    .xSectorSize = SectorSize,
    .xDeviceCharacteristics = DeviceCharacteristics,
    .xShmMap = nullptr,
    .xShmLock = nullptr,
    .xShmBarrier = nullptr,
    .xShmUnmap = nullptr,
    .xFetch = nullptr,
    .xUnfetch = nullptr,
};

absl::StatusOr<DbFile*> OpenFile(State& state, const std::string& path, int flags) {
  RETURN_IF_ERROR(state.failure);
  base::OpenOptions options{.write = (flags & SQLITE_OPEN_READWRITE) != 0,
                            .create = (flags & SQLITE_OPEN_CREATE) != 0,
                            .exclusive = (flags & SQLITE_OPEN_EXCLUSIVE) != 0};
  // Also one that was there before: who made it may not have synced its name, as a SQLite that
  // closed it unused.
  const bool name_unsynced = options.create;
  ASSIGN_OR_RETURN(std::unique_ptr<base::File> file, state.fs.Open(path, options));
  if ((flags & SQLITE_OPEN_WAL) == 0) {
    return new DbFile(state, path, std::move(file), name_unsynced);
  }
  ASSIGN_OR_RETURN(uint64_t size, file->Size());
  return new WalFile(state, path, std::move(file), name_unsynced, size);
}

int Open(sqlite3_vfs* vfs, const char* path, sqlite3_file* out, int flags, int* out_flags) {
  auto* handle = reinterpret_cast<Handle*>(out);
  handle->base.pMethods = nullptr;
  handle->file = nullptr;
  if (path == nullptr) return SQLITE_CANTOPEN;  // temporary files: temp_store=MEMORY makes none
  State& state = StateOf(vfs);
  auto file = OpenFile(state, path, flags);
  if (!file.ok()) {
    if (absl::IsNotFound(file.status())) return SQLITE_CANTOPEN;
    return state.Code(file.status(), SQLITE_CANTOPEN);
  }
  handle->base.pMethods = &kMethods;
  handle->file = *file;
  if (out_flags != nullptr) *out_flags = flags;
  return SQLITE_OK;
}

int Delete(sqlite3_vfs* vfs, const char* path, int sync_directory) {
  State& state = StateOf(vfs);
  if (!state.failure.ok()) return SQLITE_IOERR_DELETE;
  absl::Status status = state.fs.Remove(path);
  if (absl::IsNotFound(status)) return SQLITE_IOERR_DELETE_NOENT;
  if (status.ok() && sync_directory != 0) status = state.fs.SyncDir(base::ParentDirectory(path));
  return state.Code(status, SQLITE_IOERR_DELETE);
}

int Access(sqlite3_vfs* vfs, const char* path, int flags, int* result) {
  State& state = StateOf(vfs);
  auto exists = state.fs.Exists(path);
  if (!exists.ok()) return state.Code(exists.status(), SQLITE_IOERR_ACCESS);
  *result = *exists ? 1 : 0;
  if (*exists && flags == SQLITE_ACCESS_EXISTS) {
    // An empty journal or WAL counts as absent, as in SQLite's unix VFS.
    auto file = state.fs.Open(path, {});
    if (!file.ok()) return state.Code(file.status(), SQLITE_IOERR_ACCESS);
    auto size = (*file)->Size();
    if (!size.ok()) return state.Code(size.status(), SQLITE_IOERR_ACCESS);
    *result = *size > 0 ? 1 : 0;
  }
  return SQLITE_OK;
}

int FullPathname(sqlite3_vfs*, const char* path, int size, char* out) {
  if (std::strlen(path) >= static_cast<size_t>(size)) return SQLITE_CANTOPEN;
  std::strcpy(out, path);
  return SQLITE_OK;
}

// Time, randomness and sleeping are the platform's: nothing in the database depends on them but the
// WAL's salts.
sqlite3_vfs* Platform() { return sqlite3_vfs_find(nullptr); }
int Randomness(sqlite3_vfs*, int size, char* out) {
  return Platform()->xRandomness(Platform(), size, out);
}
int Sleep(sqlite3_vfs*, int micros) { return Platform()->xSleep(Platform(), micros); }
int CurrentTime(sqlite3_vfs*, double* now) { return Platform()->xCurrentTime(Platform(), now); }
int GetLastError(sqlite3_vfs*, int, char*) { return 0; }

}  // namespace

SqliteVfs::SqliteVfs(base::FileSystem& fs, uint64_t wal_reserve_bytes)
    : state_(std::make_unique<State>(fs, wal_reserve_bytes)) {
  static std::atomic<uint64_t> next{1};
  state_->vfs_name = absl::StrCat("boxkeeper-", next.fetch_add(1));
  sqlite3_vfs& vfs = state_->vfs;
  vfs.iVersion = 1;
  vfs.szOsFile = sizeof(Handle);
  vfs.mxPathname = 4096;
  vfs.zName = state_->vfs_name.c_str();
  vfs.pAppData = state_.get();
  vfs.xOpen = Open;
  vfs.xDelete = Delete;
  vfs.xAccess = Access;
  vfs.xFullPathname = FullPathname;
  vfs.xRandomness = Randomness;
  vfs.xSleep = Sleep;
  vfs.xCurrentTime = CurrentTime;
  vfs.xGetLastError = GetLastError;
  CHECK(sqlite3_initialize() == SQLITE_OK);
  CHECK(sqlite3_vfs_register(&vfs, 0) == SQLITE_OK);
}

SqliteVfs::~SqliteVfs() { sqlite3_vfs_unregister(&state_->vfs); }

const char* SqliteVfs::name() const { return state_->vfs.zName; }

const absl::Status& SqliteVfs::failure() const { return state_->failure; }

void SqliteVfs::Fail(const absl::Status& status) {
  if (state_->failure.ok()) state_->failure = status;
}

absl::Status SqliteVfs::TakeNoSpace() { return std::exchange(state_->no_space, absl::OkStatus()); }

void SqliteVfs::TransactionCommitted() {
  if (state_->wal != nullptr) state_->wal->Committed();
}

absl::Status SqliteVfs::TransactionFailed() {
  if (state_->wal != nullptr && state_->wal->Failed() != SQLITE_OK) {
    if (state_->failure.ok()) return TakeNoSpace();
  }
  return state_->failure;
}

uint64_t SqliteVfs::wal_bytes() const { return state_->wal == nullptr ? 0 : state_->wal->size(); }

}  // namespace boxkeeper::store
