#include "store/sqlite_log.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/core/crc32c.h"
#include "base/fault_points.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "store/wal_scan.h"

namespace boxkeeper::store {
namespace {

// Exclusive locking before the journal mode: WAL without shared memory. No checkpoint inside a
// commit. No spilling of a transaction's pages before its end: then a failed one has written
// nothing but what is cut off again (wal_scan.h). Deleted records may hold sealed secrets: they are
// overwritten.
constexpr char kPragmas[] =
    "PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
    "PRAGMA wal_autocheckpoint=0; PRAGMA secure_delete=ON; PRAGMA temp_store=MEMORY;"
    "PRAGMA cache_size=-8192; PRAGMA cache_spill=OFF; PRAGMA trusted_schema=OFF;";

int64_t RecordCrc(Position position, std::string_view body) {
  char bytes[sizeof(position)];
  std::memcpy(bytes, &position, sizeof(position));  // little-endian: x86-64 and arm64
  uint32_t crc = base::Crc32c(std::string_view(bytes, sizeof(bytes)));
  return static_cast<int64_t>(base::Crc32c(body, crc));
}

absl::StatusOr<SqliteConnection> Connect(const std::string& path, SqliteVfs& vfs, bool create) {
  ASSIGN_OR_RETURN(SqliteConnection db, SqliteConnection::Open(path, vfs.name(), create));
  // We checkpoint ourselves: a store that failed must not write while it closes.
  sqlite3_db_config(db.get(), SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
  sqlite3_db_config(db.get(), SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  RETURN_IF_ERROR(db.Execute(kPragmas));
  {
    ASSIGN_OR_RETURN(SqliteStatement mode, db.Prepare("PRAGMA journal_mode"));
    if (mode.Step() != SQLITE_ROW || mode.Blob(0) != "wal") {
      return absl::InternalError(absl::StrCat(path, ": SQLite refuses the WAL mode"));
    }
  }
  return db;
}

absl::Status RemoveIfThere(base::FileSystem& fs, const std::string& path) {
  absl::Status removed = fs.Remove(path);
  return absl::IsNotFound(removed) ? absl::OkStatus() : removed;
}

}  // namespace

SqliteLog::SqliteLog(base::FileSystem& fs, SqliteLogOptions options)
    : fs_(fs),
      options_(std::move(options)),
      directory_(base::ParentDirectory(options_.path)),
      ballast_(fs, options_.path.substr(0, options_.path.rfind('/') + 1) + "reserve",
               options_.ballast_bytes),
      vfs_(fs, options_.wal_reserve_bytes) {}

SqliteLog::~SqliteLog() {
  if (db_ != nullptr && vfs_.failure().ok()) {
    absl::Status moved = Checkpoint();
    if (!moved.ok()) {
      base::LogInfo("store: closed without a checkpoint; the next start reads the WAL",
                    {{"error", moved}});
    }
  }
}

absl::StatusOr<std::unique_ptr<SqliteLog>> SqliteLog::Open(base::FileSystem& fs,
                                                           SqliteLogOptions options) {
  std::unique_ptr<SqliteLog> log(new SqliteLog(fs, std::move(options)));
  absl::Status opened = log->OpenDatabase();
  if (opened.ok()) {
    log->SampleSpace();
    return log;
  }
  log->vfs_.Fail(opened);  // Nothing is written while it closes.
  return opened;
}

absl::Status SqliteLog::OpenDatabase() {
  ASSIGN_OR_RETURN(bool exists, fs_.Exists(options_.path));
  if (!exists) {
    ASSIGN_OR_RETURN(bool wal_exists, fs_.Exists(options_.path + "-wal"));
    if (wal_exists) return Damaged("the database is missing while its WAL is there");
    RETURN_IF_ERROR(CreateDatabase());
  }
  RETURN_IF_ERROR(CheckIdentity());
  // Only now that it is ours, and before SQLite reads it.
  RETURN_IF_ERROR(CutTail());
  auto db = Connect(options_.path, vfs_, false);
  if (!db.ok()) {
    if (absl::IsFailedPrecondition(db.status())) return db.status();
    return absl::IsDataLoss(db.status()) ? Damaged(std::string(db.status().message()))
                                         : db.status();
  }
  db_ = std::make_unique<SqliteConnection>(*std::move(db));
  auto version = db_->QueryInt("PRAGMA user_version");
  if (!version.ok()) return Damaged(std::string(version.status().message()));
  if (*version > kSchemaVersion) {
    return absl::FailedPreconditionError(
        absl::StrCat(options_.path, ": written by a newer boxkeeperd (schema ", *version,
                     ", this one knows up to ", kSchemaVersion,
                     "); run that one, or restore the backup made when it upgraded"));
  }
  if (*version < kSchemaVersion) RETURN_IF_ERROR(Migrate(static_cast<int>(*version)));
  return PrepareStatements();
}

// Under another name until it is whole: a database of our name is never half made.
absl::Status SqliteLog::CreateDatabase() {
  const std::string path = options_.path + ".new";
  for (const char* suffix : {"", "-wal", "-journal"}) {
    RETURN_IF_ERROR(RemoveIfThere(fs_, path + suffix));
  }
  {
    ASSIGN_OR_RETURN(SqliteConnection db, Connect(path, vfs_, true));
    absl::Status made = db.Execute(absl::StrCat(
        "BEGIN; PRAGMA application_id=", kApplicationId, "; PRAGMA user_version=", kSchemaVersion,
        ";", SchemaSql(), "COMMIT; PRAGMA wal_checkpoint(TRUNCATE);"));
    if (!vfs_.failure().ok()) return vfs_.failure();
    RETURN_IF_ERROR(made);
    if (vfs_.wal_bytes() > 0) return vfs_.TakeNoSpace();  // the checkpoint was not complete
  }
  RETURN_IF_ERROR(RemoveIfThere(fs_, path + "-wal"));
  base::Failpoint("store.before_rename");
  RETURN_IF_ERROR(fs_.Rename(path, options_.path));
  base::Failpoint("store.created");
  return fs_.SyncDir(directory_);
}

// By the file's own header, so that nothing of a foreign file is touched.
absl::Status SqliteLog::CheckIdentity() {
  ASSIGN_OR_RETURN(std::unique_ptr<base::File> file, fs_.Open(options_.path, {}));
  ASSIGN_OR_RETURN(std::string header, file->ReadAt(0, 100));
  if (header.size() < 100 || header.substr(0, 16) != std::string_view("SQLite format 3\0", 16)) {
    return Damaged("it does not begin like an SQLite database");
  }
  uint32_t id = 0;
  std::memcpy(&id, header.data() + 68, sizeof(id));
  if (__builtin_bswap32(id) != kApplicationId) {
    return absl::FailedPreconditionError(absl::StrCat(
        options_.path, ": not a Boxkeeper database (application id ", __builtin_bswap32(id), ")"));
  }
  return absl::OkStatus();
}

absl::Status SqliteLog::CutTail() {
  const std::string wal_path = options_.path + "-wal";
  ASSIGN_OR_RETURN(WalScan scan, ScanWal(fs_, wal_path));
  if (!scan.has_tail()) return absl::OkStatus();
  if (scan.torn) {
    base::LogWarning(
        "store: the last transaction was torn by a crash; opened without it",
        {{"file", wal_path}, {"transactions_kept", scan.commits}, {"frames_kept", scan.frames}});
  }
  base::OpenOptions options{.write = true};
  ASSIGN_OR_RETURN(std::unique_ptr<base::File> file, fs_.Open(wal_path, options));
  // A header without frames goes too: a generation starts in an empty file.
  RETURN_IF_ERROR(file->Truncate(scan.commits == 0 ? 0 : scan.valid_bytes));
  return file->Sync();
}

absl::Status SqliteLog::Migrate(int from) {
  std::string sql = "BEGIN IMMEDIATE;";
  int version = from;
  for (const Migration& migration : options_.migrations) {
    if (migration.from != version) continue;
    sql += migration.sql;
    ++version;
  }
  if (version != kSchemaVersion) {
    return absl::FailedPreconditionError(absl::StrCat(
        options_.path, ": schema ", from, " is older than this boxkeeperd can upgrade"));
  }
  RETURN_IF_ERROR(BackUp(from));
  absl::StrAppend(&sql, "PRAGMA user_version=", kSchemaVersion, ";COMMIT;");
  if (int code = db_->Run(sql); code != SQLITE_OK) return FromCode(code);
  vfs_.TransactionCommitted();
  base::LogInfo("store: schema upgraded", {{"from", from}, {"to", kSchemaVersion}});
  return absl::OkStatus();
}

absl::Status SqliteLog::BackUp(int version) {
  RETURN_IF_ERROR(Checkpoint());  // Then the database file alone is everything.
  if (vfs_.wal_bytes() > 0) return vfs_.TakeNoSpace();
  const std::string path = absl::StrCat(options_.path, ".v", version, ".backup");
  const std::string temporary = path + ".tmp";
  RETURN_IF_ERROR(RemoveIfThere(fs_, temporary));
  absl::Status copied = [&]() -> absl::Status {
    ASSIGN_OR_RETURN(std::unique_ptr<base::File> from, fs_.Open(options_.path, {}));
    base::OpenOptions create{.write = true, .create = true, .exclusive = true};
    ASSIGN_OR_RETURN(std::unique_ptr<base::File> to, fs_.Open(temporary, create));
    ASSIGN_OR_RETURN(uint64_t size, from->Size());
    for (uint64_t done = 0; done < size;) {
      ASSIGN_OR_RETURN(std::string piece, from->ReadAt(done, 1 << 20));
      if (piece.empty()) return Damaged("it shrinks while it is copied");
      RETURN_IF_ERROR(to->WriteAt(done, piece));
      done += piece.size();
    }
    return to->Sync();
  }();
  if (!copied.ok()) {
    base::LogIfError(RemoveIfThere(fs_, temporary), "it is removed by the next upgrade");
    return copied;
  }
  RETURN_IF_ERROR(fs_.Rename(temporary, path));
  RETURN_IF_ERROR(fs_.SyncDir(directory_));
  base::LogInfo("store: backup made before the upgrade", {{"file", path}});
  return absl::OkStatus();
}

absl::Status SqliteLog::PrepareStatements() {
  struct {
    SqliteStatement& statement;
    const char* sql;
  } const all[] = {
      {insert_, "INSERT INTO record(position, crc, body) VALUES(?1, ?2, ?3)"},
      {delete_, "DELETE FROM record WHERE position = ?1 RETURNING crc"},
      {select_, "SELECT crc, body FROM record WHERE position = ?1"},
      {summarise_, "UPDATE summary SET records = ?1, checksum = ?2, last_position = ?3"},
      {begin_, "BEGIN IMMEDIATE"},
      {commit_, "COMMIT"},
  };
  for (const auto& [statement, sql] : all) {
    auto prepared = db_->Prepare(sql);
    if (!prepared.ok()) return Damaged(std::string(prepared.status().message()));
    statement = *std::move(prepared);
  }
  auto summary = db_->Prepare("SELECT records, checksum, last_position FROM summary");
  if (!summary.ok()) return Damaged(std::string(summary.status().message()));
  int code = summary->Step();
  if (code == SQLITE_DONE) return Damaged("the summary is missing");
  if (code != SQLITE_ROW) return FromCode(code);
  summary_ = {summary->Int64(0), summary->Int64(1), summary->Int64(2)};
  return absl::OkStatus();
}

absl::Status SqliteLog::Commit(const Batch& batch) {
  RETURN_IF_ERROR(vfs_.failure());
  if (batch.empty()) return absl::OkStatus();
  Position last = summary_.last_position;
  for (const PutRecord& put : batch.puts) {
    if (put.position <= last) {
      return absl::InternalError(
          absl::StrCat("store: position ", put.position, " is not above ", last));
    }
    last = put.position;
  }
  absl::Status status = TryCommit(batch);
  if (absl::IsResourceExhausted(status) && ballast_.Release()) {
    base::LogError("store: no space left; the reserve is in use and new tasks are refused",
                   {{"error", status}});
    has_room_ = false;
    status = TryCommit(batch);
  }
  if (absl::IsResourceExhausted(status)) has_room_ = false;
  return status;
}

absl::Status SqliteLog::TryCommit(const Batch& batch) {
  base::Failpoint("commit.before_write");
  auto summary = WriteBatch(batch);
  if (summary.ok()) {
    base::Failpoint("commit.after_sync");
    vfs_.TransactionCommitted();
    summary_ = *summary;
    return absl::OkStatus();
  }
  if (db_->in_transaction()) db_->Run("ROLLBACK");  // SQLite may have done so itself.
  RETURN_IF_ERROR(vfs_.TransactionFailed());
  if (!absl::IsResourceExhausted(summary.status())) vfs_.Fail(summary.status());
  return summary.status();
}

absl::StatusOr<SqliteLog::Summary> SqliteLog::WriteBatch(const Batch& batch) {
  Summary summary = summary_;
  if (int code = RunStatement(begin_); code != SQLITE_DONE) return FromCode(code);
  for (const PutRecord& put : batch.puts) {
    int64_t crc = RecordCrc(put.position, put.record);
    insert_.Bind(1, put.position);
    insert_.Bind(2, crc);
    insert_.Bind(3, put.record);
    if (int code = RunStatement(insert_); code != SQLITE_DONE) return FromCode(code);
    ++summary.records;
    summary.checksum += crc;
    summary.last_position = put.position;
  }
  for (Position position : batch.deletes) {
    delete_.Bind(1, position);
    int code = delete_.Step();
    if (code == SQLITE_ROW) {
      --summary.records;
      summary.checksum -= delete_.Int64(0);
      code = delete_.Step();
    }
    delete_.Reset();
    if (code != SQLITE_DONE) return FromCode(code);
  }
  summarise_.Bind(1, summary.records);
  summarise_.Bind(2, summary.checksum);
  summarise_.Bind(3, summary.last_position);
  if (int code = RunStatement(summarise_); code != SQLITE_DONE) return FromCode(code);
  if (int code = RunStatement(commit_); code != SQLITE_DONE) return FromCode(code);
  return summary;
}

int SqliteLog::RunStatement(SqliteStatement& statement) {
  int code = statement.Step();
  statement.Reset();
  return code;
}

absl::Status SqliteLog::Load(const std::function<absl::Status(Position, std::string_view)>& visit) {
  RETURN_IF_ERROR(vfs_.failure());
  absl::Status loaded = VisitRecords(visit);
  // Not even the WAL may be moved into what is damaged: a repair needs both as they are.
  if (absl::IsDataLoss(loaded)) vfs_.Fail(loaded);
  return loaded;
}

absl::Status SqliteLog::VisitRecords(
    const std::function<absl::Status(Position, std::string_view)>& visit) {
  auto all = db_->Prepare("SELECT position, crc, body FROM record ORDER BY position");
  if (!all.ok()) return Damaged(std::string(all.status().message()));
  Summary seen;
  Position before = 0;
  int code = SQLITE_OK;
  while ((code = all->Step()) == SQLITE_ROW) {
    Position position = all->Int64(0);
    std::string_view body = all->Blob(2);
    if (position <= before || position > summary_.last_position) {
      return Damaged(absl::StrCat("record ", position, " stands behind ", before, " of ",
                                  summary_.last_position));
    }
    if (RecordCrc(position, body) != all->Int64(1)) {
      return Damaged(absl::StrCat("record ", position, ": wrong checksum"));
    }
    RETURN_IF_ERROR(visit(position, body));
    before = position;
    ++seen.records;
    seen.checksum += all->Int64(1);
  }
  if (code != SQLITE_DONE) return FromCode(code);
  if (seen.records != summary_.records || seen.checksum != summary_.checksum) {
    return Damaged(absl::StrCat("it has ", seen.records, " records, but ", summary_.records,
                                " were written, or they are not the same"));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> SqliteLog::Read(Position position) {
  RETURN_IF_ERROR(vfs_.failure());
  select_.Bind(1, position);
  int code = select_.Step();
  absl::StatusOr<std::string> result;
  if (code == SQLITE_ROW) {
    std::string_view body = select_.Blob(1);
    if (RecordCrc(position, body) == select_.Int64(0)) {
      result = std::string(body);
    } else {
      result = Damaged(absl::StrCat("record ", position, ": wrong checksum"));
    }
  } else if (code == SQLITE_DONE) {
    result = absl::NotFoundError(absl::StrCat("no record at position ", position));
  } else {
    result = FromCode(code);
  }
  select_.Reset();
  if (absl::IsDataLoss(result.status())) vfs_.Fail(result.status());
  return result;
}

absl::Status SqliteLog::Checkpoint() {
  RETURN_IF_ERROR(vfs_.failure());
  if (vfs_.wal_bytes() == 0) return absl::OkStatus();
  base::Failpoint("checkpoint.begun");
  int code =
      sqlite3_wal_checkpoint_v2(db_->get(), nullptr, SQLITE_CHECKPOINT_TRUNCATE, nullptr, nullptr);
  if (code == SQLITE_OK) return absl::OkStatus();
  absl::Status status = FromCode(code);
  if (absl::IsResourceExhausted(status)) {
    base::LogWarning("store: no space to move the WAL into the database; it stays",
                     {{"error", status}});
    return absl::OkStatus();
  }
  vfs_.Fail(status);
  return status;
}

void SqliteLog::SampleSpace() {
  if (!vfs_.failure().ok()) return;
  if (options_.ballast_bytes > 0) ballast_.Refill();
  auto free = fs_.FreeBytes(directory_);
  bool reserve = options_.ballast_bytes == 0 || ballast_.held();
  bool room = free.ok() && *free >= options_.room_bytes && reserve;
  if (room && !has_room_) base::LogDebug("store: room for new tasks");
  has_room_ = room;
}

absl::Status SqliteLog::FromCode(int code) const {
  if (!vfs_.failure().ok()) return vfs_.failure();
  absl::Status status = db_->ToStatus(code);
  return absl::IsDataLoss(status) ? Damaged(std::string(status.message())) : status;
}

absl::Status SqliteLog::Damaged(const std::string& what) const {
  return absl::DataLossError(absl::StrCat(
      options_.path, ": damaged: ", what,
      ". Restore a backup of the state directory, or salvage what can be read with: sqlite3 '",
      options_.path, "' \".clone '", options_.path, ".salvaged'\" (then see docs/store.md)"));
}

}  // namespace boxkeeper::store
