#include "store/schema.h"

namespace boxkeeper::store {

std::string SchemaSql() {
  return "CREATE TABLE record(position INTEGER PRIMARY KEY, crc INTEGER NOT NULL, body BLOB NOT "
         "NULL);"
         "CREATE TABLE summary(id INTEGER PRIMARY KEY CHECK(id = 1), records INTEGER NOT NULL,"
         " checksum INTEGER NOT NULL, last_position INTEGER NOT NULL);"
         "INSERT INTO summary VALUES(1, 0, 0, 0);";
}

std::vector<Migration> Migrations() { return {}; }

}  // namespace boxkeeper::store
