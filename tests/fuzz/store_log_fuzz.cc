// The store's files after damage, opened as a start does. First byte: which store (its last
// transactions in the WAL or all in the database) and which file; the rest is a script of damage.
// What opens holds an exact prefix of what was committed; everything else is refused as damaged,
// with words.
#include <map>
#include <string>
#include <vector>

#include "base/log.h"
#include "base/testing/faulty_file_system.h"
#include "store/sqlite_log.h"
#include "tests/fuzz/property.h"

namespace boxkeeper::fuzz {
namespace {

using Content = std::map<store::Position, std::string>;

constexpr char kDb[] = "/state.db";
constexpr char kWal[] = "/state.db-wal";
constexpr int kBatches = 8;

store::SqliteLogOptions Options() {
  return {.path = kDb, .ballast_bytes = 0, .wal_reserve_bytes = 16384, .room_bytes = 0};
}

// A store as a killed process leaves it.
struct Image {
  std::string db, wal;
  std::vector<Content> states{{}};  // after each batch
};

Image Make(bool checkpointed) {
  base::FaultyFileSystem files;
  Image image;
  auto log = store::SqliteLog::Open(files, Options());
  Require(log.ok(), "a store", log.status().ToString());
  for (int i = 0; i < kBatches; ++i) {
    store::Batch batch;
    Content next = image.states.back();
    for (int k = 0; k <= i % 3; ++k) {
      const store::Position position = 1 + i * 4 + k;
      const std::string record(i == 5 ? 9000 : 40 + 10 * k, static_cast<char>('a' + i));
      next[position] = record;
      batch.puts.push_back({position, record});
    }
    if (i >= 3) {
      batch.deletes.push_back(1 + (i - 3) * 4);
      next.erase(1 + (i - 3) * 4);
    }
    Require((*log)->Commit(batch).ok(), "a commit");
    image.states.push_back(next);
    if (i == 2 || (checkpointed && i == kBatches - 1)) {
      Require((*log)->Checkpoint().ok(), "a checkpoint");
    }
  }
  files.KillProcess();
  log->reset();
  image.db = *files.Content(kDb);
  image.wal = files.Content(kWal).value_or("");
  return image;
}

const Image& TheImage(bool checkpointed) {
  static const auto* in_wal = new Image(Make(false));
  static const auto* in_db = new Image(Make(true));
  return checkpointed ? *in_db : *in_wal;
}

void Damage(Input& input, std::string& file) {
  for (int step = 0; step < 6 && !input.empty() && !file.empty(); ++step) {
    const uint8_t how = input.Byte();
    const size_t at = input.Number<uint32_t>() % file.size();
    const size_t length = std::min<size_t>(input.Number<uint16_t>(), file.size() - at);
    switch (how % 5) {
      case 0:
        file.resize(at);
        break;
      case 1:
        file[at] = static_cast<char>(file[at] ^ (1 << (how >> 5)));
        break;
      case 2:
        file.replace(at, length, length, '\0');
        break;
      case 3:
        file.insert(at, file.substr(0, length));
        break;
      default:
        file.append(length, static_cast<char>(how));
        break;
    }
  }
}

absl::StatusOr<Content> OpenAndLoad(const std::string& db, const std::string& wal) {
  base::FaultyFileSystem files;
  files.SetContent(kDb, db);
  files.SetContent(kWal, wal);
  auto log = store::SqliteLog::Open(files, Options());
  if (!log.ok()) return log.status();
  Content content;
  absl::Status loaded = (*log)->Load([&](store::Position position, std::string_view record) {
    content[position] = std::string(record);
    return absl::OkStatus();
  });
  if (!loaded.ok()) return loaded;
  return content;
}

void Check(bool checkpointed, bool of_wal, Input& input) {
  const Image& image = TheImage(checkpointed);
  std::string db = image.db, wal = image.wal;
  Damage(input, of_wal ? wal : db);
  const absl::StatusOr<Content> content = OpenAndLoad(db, wal);
  if (!content.ok()) {
    Require(db != image.db || wal != image.wal, "an intact store opens",
            content.status().ToString());
    Require(absl::IsDataLoss(content.status()) || absl::IsFailedPrecondition(content.status()),
            "a damaged store is data loss, or not ours", content.status().ToString());
    Require(!content.status().message().empty(), "a refusal says why");
    return;
  }
  size_t prefix = 0;
  while (prefix < image.states.size() && image.states[prefix] != *content) ++prefix;
  Require(prefix < image.states.size(), "what opens is an exact prefix of what was committed");
  // Only a log's end can look like a crash; a database that was synced is whole or damaged.
  if (!of_wal && !db.empty()) {
    Require(prefix + 1 == image.states.size(), "a damaged database is not taken for an older one");
  }
}

}  // namespace
}  // namespace boxkeeper::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace boxkeeper;
  static auto* quiet = new base::ScopedLogCapture(base::LogLevel::kError, base::LogFormat::kText,
                                                  [](base::LogLevel, std::string_view) {});
  (void)quiet;
  fuzz::Input input(data, size);
  const uint8_t which = input.Byte();
  fuzz::Check((which & 1) != 0, (which & 2) != 0, input);
  return 0;
}
