// The log of records in one SQLite database. The blocking core of ThreadedTaskStore and
// InlineTaskStore.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/file_system.h"
#include "store/ballast.h"
#include "store/schema.h"
#include "store/sqlite_connection.h"
#include "store/sqlite_vfs.h"
#include "store/task_store.h"

namespace boxkeeper::store {

struct SqliteLogOptions {
  std::string
      path;  // of the database, absolute; its directory exists. Files beside it: docs/store.md
  uint64_t ballast_bytes = 8 << 20;  // the file `reserve` beside it; 0 = none
  // The WAL grows by so many zeros at a time (sqlite_vfs.cc has why); 0 = with each transaction.
  uint64_t wal_reserve_bytes = 1 << 20;
  uint64_t room_bytes = 16 << 20;  // HasRoomForNewTasks is false below this much free space
  std::vector<Migration> migrations = Migrations();
};

// On one thread at a time, but for HasRoomForNewTasks. Blocking.
//
// After kDataLoss from any call every later call fails with the same error and nothing is written
// any more.
class SqliteLog {
 public:
  // Opens, or creates, the database: scans the WAL, cuts off a transaction torn by a crash (and
  // logs so), takes the lock, migrates an older schema after a backup beside it. kDataLoss:
  // damaged; names the place and the repair command. kFailedPrecondition: locked by another
  // process, of a newer schema, or not ours. kResourceExhausted: no space to create or migrate.
  // `fs` outlives the log.
  static absl::StatusOr<std::unique_ptr<SqliteLog>> Open(base::FileSystem& fs,
                                                         SqliteLogOptions options);
  ~SqliteLog();

  // As TaskStore. Removes the ballast and tries once more when there is no space.
  absl::Status Commit(const Batch& batch);
  absl::Status Load(const std::function<absl::Status(Position, std::string_view)>& visit);
  absl::StatusOr<std::string> Read(Position position);

  // The highest position ever committed, also if deleted since; 0 = none.
  Position last_position() const { return summary_.last_position; }
  int64_t records() const { return summary_.records; }

  // Moves what is in the WAL into the database, so that the WAL starts anew. OK also when space is
  // missing: the WAL then stays as it is.
  absl::Status Checkpoint();
  uint64_t wal_bytes() const { return vfs_.wal_bytes(); }

  // Looks at the free space again and refills the ballast. Call it every second or so.
  void SampleSpace();
  // Thread-safe.
  bool HasRoomForNewTasks() const { return has_room_.load(std::memory_order_relaxed); }

 private:
  struct Summary {
    int64_t records = 0;
    int64_t checksum = 0;  // sum of all crc
    int64_t last_position = 0;
  };

  SqliteLog(base::FileSystem& fs, SqliteLogOptions options);

  absl::Status OpenDatabase();
  absl::Status CreateDatabase();
  absl::Status CutTail();
  absl::Status CheckIdentity();
  absl::Status Migrate(int from);
  absl::Status BackUp(int version);
  absl::Status PrepareStatements();
  absl::Status VisitRecords(const std::function<absl::Status(Position, std::string_view)>& visit);
  absl::Status TryCommit(const Batch& batch);
  absl::StatusOr<Summary> WriteBatch(const Batch& batch);
  int RunStatement(SqliteStatement& statement);
  // kDataLoss for what SQLite or we found wrong in the database, with the repair command.
  absl::Status Damaged(const std::string& what) const;
  absl::Status FromCode(int code) const;

  base::FileSystem& fs_;
  const SqliteLogOptions options_;
  const std::string directory_;
  Ballast ballast_;
  SqliteVfs vfs_;
  std::unique_ptr<SqliteConnection> db_;
  SqliteStatement insert_, delete_, select_, summarise_, begin_, commit_;
  Summary summary_;
  std::atomic<bool> has_room_{false};
};

}  // namespace boxkeeper::store
