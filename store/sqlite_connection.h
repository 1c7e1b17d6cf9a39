// RAII around sqlite3 and its statements. Internal to store/.
#pragma once

#include <sqlite3.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace boxkeeper::store {

class SqliteConnection;

// A prepared statement, reused. Bound blobs are not copied: they live until Reset.
class SqliteStatement {
 public:
  SqliteStatement() = default;

  void Bind(int index, int64_t value);
  void Bind(int index, std::string_view blob);
  // SQLITE_ROW, SQLITE_DONE or an error code.
  int Step();
  int64_t Int64(int column) const;
  std::string_view Blob(int column) const;  // valid until the next Step or Reset
  void Reset();

 private:
  friend class SqliteConnection;
  struct Finalize {
    void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
  };
  std::unique_ptr<sqlite3_stmt, Finalize> statement_;
};

class SqliteConnection {
 public:
  // Opens `path` by the VFS `vfs`; creates the file if `create`.
  static absl::StatusOr<SqliteConnection> Open(const std::string& path, const char* vfs,
                                               bool create);

  absl::StatusOr<SqliteStatement> Prepare(const std::string& sql);
  // Runs all statements of `sql`, ignoring rows. Returns SQLite's code.
  int Run(const std::string& sql);
  absl::Status Execute(const std::string& sql);
  // The first column of the first row.
  absl::StatusOr<int64_t> QueryInt(const std::string& sql);

  // The status for `code`, with SQLite's words: kResourceExhausted (no space, no memory),
  // kFailedPrecondition (locked), kInternal (a constraint: our bug), else kDataLoss.
  absl::Status ToStatus(int code) const;
  bool in_transaction() const { return sqlite3_get_autocommit(db_.get()) == 0; }
  sqlite3* get() const { return db_.get(); }

 private:
  struct Close {
    void operator()(sqlite3* db) const { sqlite3_close_v2(db); }
  };
  SqliteConnection(std::string path, sqlite3* db) : path_(std::move(path)), db_(db) {}

  std::string path_;
  std::unique_ptr<sqlite3, Close> db_;
};

}  // namespace boxkeeper::store
