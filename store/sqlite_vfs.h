// SQLite's files on our FileSystem. Internal to store/.
#pragma once

#include <sqlite3.h>

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "base/file_system.h"

namespace boxkeeper::store {

// A VFS registered under a name of its own, for one database connection at a time. No shared
// memory: the connection must say `PRAGMA locking_mode=EXCLUSIVE` first. The lock of the database
// file is taken with the first transaction and held until it is closed.
//
// Writes of the WAL are gathered and written at the next sync or read: a frame is two small writes
// to SQLite, a commit then one large one.
//
// On one thread at a time. `fs` outlives it; it outlives the connection.
class SqliteVfs {
 public:
  // The WAL grows by `wal_reserve_bytes` of zeros at a time; 0 = with each write.
  SqliteVfs(base::FileSystem& fs, uint64_t wal_reserve_bytes);
  ~SqliteVfs();
  SqliteVfs(const SqliteVfs&) = delete;
  SqliteVfs& operator=(const SqliteVfs&) = delete;

  const char* name() const;

  // The first I/O error or failed sync (never lack of space), said in full. From then on nothing is
  // written, synced or read any more: what is on the disk is unknown.
  const absl::Status& failure() const;
  // Makes failure() be `status` unless there is one already.
  void Fail(const absl::Status& status);

  // The last refusal for lack of space; OK if there was none since the last call.
  absl::Status TakeNoSpace();

  // To be called after each transaction. After one that failed the frames it left in the WAL are
  // cut off, durably, so that they cannot be taken for damage later (wal_scan.h).
  void TransactionCommitted();
  absl::Status TransactionFailed();

  // How much is written in the WAL, without what is reserved; 0 after a checkpoint.
  uint64_t wal_bytes() const;

  struct State;

 private:
  std::unique_ptr<State> state_;
};

}  // namespace boxkeeper::store
