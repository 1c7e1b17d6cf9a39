#include "store/testing/sqlite_log_fixture.h"

#include "base/check.h"
#include "store/sqlite_connection.h"
#include "store/sqlite_vfs.h"

namespace boxkeeper::store {

absl::StatusOr<Content> LoadAll(SqliteLog& log) {
  Content content;
  absl::Status status = log.Load([&](Position position, std::string_view record) {
    content[position] = std::string(record);
    return absl::OkStatus();
  });
  if (!status.ok()) return status;
  return content;
}

void MakeVersion0(base::FaultyFileSystem& fs) {
  {
    auto log = SqliteLog::Open(fs, Options());
    CHECK((*log)->Commit(Puts({{1, "one"}, {2, "two"}})).ok());
  }
  SqliteVfs vfs(fs, 0);
  auto db = SqliteConnection::Open(kDb, vfs.name(), false);
  CHECK(db->Execute("PRAGMA locking_mode=EXCLUSIVE; ALTER TABLE record RENAME TO entry;"
                    "PRAGMA user_version=0; PRAGMA wal_checkpoint(TRUNCATE);")
            .ok());
}

SqliteLogOptions OptionsWithUpgrade() {
  SqliteLogOptions options = Options();
  options.migrations = {{0, "ALTER TABLE entry RENAME TO record;"}};
  return options;
}

}  // namespace boxkeeper::store
