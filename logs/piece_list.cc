#include "logs/piece_list.h"

#include <algorithm>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "logs/log_path.h"

namespace boxkeeper::logs {

namespace asio = boost::asio;

namespace {

constexpr size_t kPlaceDigits = 16;

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

}  // namespace boxkeeper::logs
