// The database's schema and the way from older ones. Internal to store/.
#pragma once

#include <string>
#include <vector>

namespace boxkeeper::store {

// PRAGMA application_id of our databases: "BXKP".
inline constexpr int kApplicationId = 0x42584b50;

// The schema that this program writes, PRAGMA user_version.
inline constexpr int kSchemaVersion = 1;

// Everything a new database gets.
//   record   one row per record of the log. crc = CRC32C over the position (8 bytes,
//   little-endian), then the body. summary  one row, changed with each batch: how many records
//   there are, the sum of their crc, the highest position
//            ever used. What vanishes without a trace for SQLite (a leaf page that damage cut off)
//            is missed here.
std::string SchemaSql();

// One step forward. Runs in one transaction together with all steps after it.
struct Migration {
  int from = 0;  // the version it leads from, to from + 1
  std::string sql;
};

// The steps from the oldest supported version to kSchemaVersion, ascending without gaps. Empty:
// version 1 is the first.
std::vector<Migration> Migrations();

}  // namespace boxkeeper::store
