// Runs the repair commands of docs/store.md on damaged stores.
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "store/sqlite_log.h"

namespace boxkeeper::store {
namespace {

// The shell block behind the comment that names this test.
std::string RepairCommands() {
  std::ifstream file("docs/store.md");
  std::stringstream text;
  text << file.rdbuf();
  std::string all = text.str();
  const std::string open = "```sh\n", close = "\n```";
  size_t begin = all.find(open, all.find("store/salvage_test.cc")) + open.size();
  return all.substr(begin, all.find(close, begin) - begin);
}

struct SalvageTest : testing::Test {
  SalvageTest() {
    std::string pattern = testing::TempDir() + "/salvage.XXXXXX";
    dir = mkdtemp(pattern.data());
    options = {.path = dir + "/state.db", .ballast_bytes = 0, .room_bytes = 0};
    auto log = SqliteLog::Open(*fs, options);
    for (Position p = 1; p <= 500; ++p) {
      Batch batch;
      batch.puts.push_back({p, std::string(300, 'x')});
      EXPECT_TRUE((*log)->Commit(batch).ok());
    }
  }
  ~SalvageTest() override { std::filesystem::remove_all(dir); }

  void Damage(size_t offset, size_t size) {
    std::fstream file(options.path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(static_cast<long>(offset));
    file << std::string(size, '\xff');
  }

  absl::Status OpenAndLoad(int* records) {
    *records = 0;
    auto log = SqliteLog::Open(*fs, options);
    if (!log.ok()) return log.status();
    last_position = (*log)->last_position();
    return (*log)->Load([&](Position, std::string_view) {
      ++*records;
      return absl::OkStatus();
    });
  }

  std::string dir;
  SqliteLogOptions options;
  std::unique_ptr<base::FileSystem> fs = base::MakeRealFileSystem();
  Position last_position = 0;
};

TEST_F(SalvageTest, TheDocumentedCommandsKeepWhatCanBeRead) {
  Damage(4096 * 20, 4096);
  int records = 0;
  absl::Status refused = OpenAndLoad(&records);
  EXPECT_EQ(refused.code(), absl::StatusCode::kDataLoss) << refused;
  std::string commands = "set -e\ncd '" + dir + "'\n" + RepairCommands();
  ASSERT_EQ(system(commands.c_str()), 0);
  absl::Status opened = OpenAndLoad(&records);
  EXPECT_TRUE(opened.ok()) << opened;
  EXPECT_GT(records, 450);
  EXPECT_LT(records, 500);
  EXPECT_EQ(last_position, 500);
}

}  // namespace
}  // namespace boxkeeper::store
