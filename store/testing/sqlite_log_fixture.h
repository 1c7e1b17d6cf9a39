// What the tests of SqliteLog share.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/testing/faulty_file_system.h"
#include "store/sqlite_log.h"

namespace boxkeeper::store {

using Content = std::map<Position, std::string>;

inline constexpr char kDb[] = "/state.db";

inline SqliteLogOptions Options() { return {.path = kDb, .ballast_bytes = 0, .room_bytes = 0}; }

inline Batch Puts(std::vector<PutRecord> puts) {
  Batch batch;
  batch.puts = std::move(puts);
  return batch;
}

absl::StatusOr<Content> LoadAll(SqliteLog& log);

// A database of a "version 0" made up for the tests: two records, in a table named `entry`.
void MakeVersion0(base::FaultyFileSystem& fs);
// The options that can upgrade it.
SqliteLogOptions OptionsWithUpgrade();

}  // namespace boxkeeper::store
