#include "logs/piece_list.h"

#include <algorithm>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/sha256.h"
#include "base/status_macros.h"
#include "logs/log_path.h"

namespace boxkeeper::logs {

namespace asio = boost::asio;

namespace {

constexpr size_t kPlaceDigits = 16;
constexpr size_t kReadBytes = 1024 * 1024;

}  // namespace

asio::awaitable<absl::StatusOr<std::vector<uint64_t>>> ListPieces(ObjectStore& store,
                                                                  std::string log_path,
                                                                  Stream stream) {
  const std::string begin = PlainObjectName(log_path, stream) + ".";
  std::vector<uint64_t> places;
  std::vector<std::string> prefixes{begin};
  while (!prefixes.empty()) {
    const std::string prefix = std::move(prefixes.back());
    prefixes.pop_back();
    auto names = co_await store.List(prefix);
    CO_RETURN_IF_ERROR(names.status());
    if (names->size() >= ObjectStore::kMaxListed && prefix.size() < begin.size() + kPlaceDigits) {
      // There may be more than are listed: look at each next digit by itself.
      for (char digit = '0'; digit <= '9'; ++digit) prefixes.push_back(prefix + digit);
      continue;
    }
    for (const std::string& name : *names) {
      uint64_t place = 0;
      const std::string digits = name.substr(begin.size());
      if (digits.size() != kPlaceDigits || !absl::SimpleAtoi(digits, &place)) continue;
      places.push_back(place);
    }
  }
  std::sort(places.begin(), places.end());
  co_return places;
}

asio::awaitable<absl::StatusOr<bool>> HoldsPiece(ObjectStore& store, std::string name,
                                                 uint64_t begin, uint64_t size,
                                                 std::string sha256) {
  base::Sha256Stream hash;
  for (uint64_t at = 0; at <= size;) {
    auto data = co_await store.Read(name, begin + at, kReadBytes);
    if (absl::IsNotFound(data.status())) co_return false;
    CO_RETURN_IF_ERROR(data.status());
    hash.Add(*data);
    at += data->size();
    if (data->size() < kReadBytes) break;
  }
  co_return hash.Finish() == sha256;
}

}  // namespace boxkeeper::logs
