#include "store/sqlite_connection.h"

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/status_macros.h"

namespace boxkeeper::store {

void SqliteStatement::Bind(int index, int64_t value) {
  CHECK(sqlite3_bind_int64(statement_.get(), index, value) == SQLITE_OK);
}

void SqliteStatement::Bind(int index, std::string_view blob) {
  // A null pointer would bind NULL, also with length 0.
  const char* data = blob.data() == nullptr ? "" : blob.data();
  CHECK(sqlite3_bind_blob64(statement_.get(), index, data, blob.size(), SQLITE_STATIC) ==
        SQLITE_OK);
}

int SqliteStatement::Step() { return sqlite3_step(statement_.get()); }

int64_t SqliteStatement::Int64(int column) const {
  return sqlite3_column_int64(statement_.get(), column);
}

std::string_view SqliteStatement::Blob(int column) const {
  const void* data = sqlite3_column_blob(statement_.get(), column);
  int size = sqlite3_column_bytes(statement_.get(), column);
  return {static_cast<const char*>(data), static_cast<size_t>(size)};
}

void SqliteStatement::Reset() {
  sqlite3_reset(statement_.get());
  sqlite3_clear_bindings(statement_.get());
}

absl::StatusOr<SqliteConnection> SqliteConnection::Open(const std::string& path, const char* vfs,
                                                        bool create) {
  sqlite3* db = nullptr;
  int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | (create ? SQLITE_OPEN_CREATE : 0);
  int code = sqlite3_open_v2(path.c_str(), &db, flags, vfs);
  SqliteConnection connection(path, db);  // SQLite wants a failed one closed too.
  if (code != SQLITE_OK) return connection.ToStatus(code);
  sqlite3_extended_result_codes(db, 1);
  return connection;
}

absl::StatusOr<SqliteStatement> SqliteConnection::Prepare(const std::string& sql) {
  sqlite3_stmt* raw = nullptr;
  int code = sqlite3_prepare_v3(db_.get(), sql.c_str(), static_cast<int>(sql.size()),
                                SQLITE_PREPARE_PERSISTENT, &raw, nullptr);
  if (code != SQLITE_OK) return ToStatus(code);
  SqliteStatement statement;
  statement.statement_.reset(raw);
  return statement;
}

int SqliteConnection::Run(const std::string& sql) {
  return sqlite3_exec(db_.get(), sql.c_str(), nullptr, nullptr, nullptr);
}

absl::Status SqliteConnection::Execute(const std::string& sql) { return ToStatus(Run(sql)); }

absl::StatusOr<int64_t> SqliteConnection::QueryInt(const std::string& sql) {
  ASSIGN_OR_RETURN(SqliteStatement statement, Prepare(sql));
  int code = statement.Step();
  if (code == SQLITE_ROW) return statement.Int64(0);
  if (code == SQLITE_DONE) return absl::NotFoundError(absl::StrCat(path_, ": no row: ", sql));
  return ToStatus(code);
}

absl::Status SqliteConnection::ToStatus(int code) const {
  int primary = code & 0xff;
  if (primary == SQLITE_OK || primary == SQLITE_ROW || primary == SQLITE_DONE) {
    return absl::OkStatus();
  }
  std::string message = absl::StrCat(path_, ": ", sqlite3_errstr(primary));
  if (db_ != nullptr && sqlite3_extended_errcode(db_.get()) == code) {
    message = absl::StrCat(path_, ": ", sqlite3_errmsg(db_.get()));
  }
  absl::StrAppend(&message, " (SQLite ", code, ")");
  switch (primary) {
    case SQLITE_FULL:
    case SQLITE_NOMEM:
      return absl::ResourceExhaustedError(message);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return absl::FailedPreconditionError(message);
    case SQLITE_CONSTRAINT:
    case SQLITE_MISUSE:
      return absl::InternalError(message);
    default:
      return absl::DataLossError(message);
  }
}

}  // namespace boxkeeper::store
