// The store's write-ahead log before SQLite reads it. First byte 0: the rest is the file. Else: a
// valid log of that many transactions (at most 16) is damaged by the rest, a script. What is
// accepted is an exact prefix of what was committed.
#include <string>
#include <vector>

#include "base/testing/faulty_file_system.h"
#include "store/wal_scan.h"
#include "tests/fuzz/property.h"

namespace boxkeeper::fuzz {
namespace {

constexpr size_t kPageBytes = 512;

void AppendBig(std::string& out, uint32_t number) {
  for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(number >> shift);
}

uint32_t LittleWord(std::string_view bytes, size_t at) {
  uint32_t word;
  std::memcpy(&word, bytes.data() + at, sizeof(word));
  return word;
}

// store/wal_scan.h has the layout.
struct WalMaker {
  std::string bytes;
  uint32_t a = 0, b = 0;
  std::vector<size_t> commits;  // ends of transactions

  void Sum(std::string_view part) {
    for (size_t i = 0; i < part.size(); i += 8) {
      a += LittleWord(part, i) + b;
      b += LittleWord(part, i + 4) + a;
    }
  }
  void Begin() {
    for (const uint32_t word : {0x377f0682u, 3007000u, uint32_t{kPageBytes}, 1u, 0x11223344u, 7u}) {
      AppendBig(bytes, word);
    }
    Sum(bytes);
    AppendBig(bytes, a);
    AppendBig(bytes, b);
  }
  void Frame(uint32_t page, bool commit) {
    std::string head;
    AppendBig(head, page);
    AppendBig(head, commit ? 9 : 0);
    const std::string content(kPageBytes, static_cast<char>(page + commits.size()));
    Sum(head);
    Sum(content);
    AppendBig(head, 0x11223344u);
    AppendBig(head, 7);
    AppendBig(head, a);
    AppendBig(head, b);
    bytes += head + content;
    if (commit) commits.push_back(bytes.size());
  }
};

WalMaker Make(int transactions) {
  WalMaker wal;
  wal.Begin();
  for (int t = 0; t < transactions; ++t) {
    const int pages = 1 + t % 3;
    for (int page = 1; page <= pages; ++page) {
      wal.Frame(static_cast<uint32_t>(page), page == pages);
    }
  }
  return wal;
}

void Damage(Input& input, std::string& file) {
  for (int step = 0; step < 8 && !input.empty() && !file.empty(); ++step) {
    const uint8_t how = input.Byte();
    const size_t at = input.Number<uint16_t>() % file.size();
    switch (how % 4) {
      case 0:
        file.resize(at);
        break;
      case 1:
        file[at] = static_cast<char>(file[at] ^ (1 << (how >> 5)));
        break;
      case 2:
        std::fill(file.begin() + static_cast<ptrdiff_t>(at),
                  file.begin() +
                      static_cast<ptrdiff_t>(std::min(file.size(), at + input.Number<uint16_t>())),
                  '\0');
        break;
      default:
        file.append(size_t{input.Byte()} * 16, '\0');
        break;
    }
  }
}

absl::StatusOr<store::WalScan> Scan(std::string file) {
  base::FaultyFileSystem files;
  files.SetContent("/wal", std::move(file));
  auto scan = store::ScanWal(files, "/wal");
  Require(scan.ok() || absl::IsDataLoss(scan.status()), "a damaged log is data loss",
          scan.status().ToString());
  return scan;
}

void CheckScan(const std::string& file) {
  const auto scan = Scan(file);
  if (!scan.ok()) return;
  Require(scan->valid_bytes <= file.size() && scan->file_bytes == file.size(), "sizes are right");
  const auto again = Scan(file.substr(0, scan->valid_bytes));
  Require(again.ok() && !again->torn && !again->has_tail() && again->commits == scan->commits,
          "what is valid is valid by itself");
}

void CheckDamaged(int transactions, Input& input) {
  const WalMaker wal = Make(transactions);
  std::string file = wal.bytes;
  Damage(input, file);
  CheckScan(file);
  const auto scan = Scan(file);
  if (file == wal.bytes) {
    Require(scan.ok() && scan->commits == wal.commits.size() && !scan->torn,
            "an intact log is whole");
  }
  if (!scan.ok() || scan->commits == 0) return;
  Require(
      scan->commits <= wal.commits.size() && scan->valid_bytes == wal.commits[scan->commits - 1],
      "what is accepted ends with a committed transaction");
  // A checksum of 64 bits, made without a key, keeps chance out, not this loop: so compare.
  Require(file.compare(0, scan->valid_bytes, wal.bytes, 0, scan->valid_bytes) == 0,
          "what is accepted is what was committed");
}

}  // namespace
}  // namespace boxkeeper::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace boxkeeper::fuzz;
  Input input(data, size);
  const int transactions = input.Byte() % 17;
  if (transactions == 0) {
    CheckScan(std::string(input.Rest()));
  } else {
    CheckDamaged(transactions, input);
  }
  return 0;
}
