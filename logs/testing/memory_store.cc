#include "logs/testing/memory_store.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/sha256.h"
#include "base/status_macros.h"

namespace boxkeeper::logs {

namespace asio = boost::asio;

namespace {

absl::StatusOr<std::string> BytesOf(const Piece& piece) {
  ASSIGN_OR_RETURN(const std::unique_ptr<PieceSource> source, piece.open());
  std::string bytes;
  for (;;) {
    ASSIGN_OR_RETURN(const std::string block, source->Next());
    if (block.empty()) break;
    bytes += block;
  }
  if (bytes.size() != piece.size || base::Sha256(bytes) != piece.sha256) {
    return absl::DataLossError(absl::StrCat(piece.name, ": the bytes are not those announced"));
  }
  return bytes;
}

absl::Status TooShort(const std::string& name) {
  return absl::OutOfRangeError(absl::StrCat(name, ": the object is shorter"));
}

}  // namespace

void MemoryStore::FailChange(int n, absl::Status error, bool after_commit) {
  failure_ = Failure{changes_ + n, std::move(error), after_commit};
}

void MemoryStore::LosePower() {
  for (auto at = objects_.begin(); at != objects_.end();) {
    if (!at->second.durable) {
      at = objects_.erase(at);
      continue;
    }
    at->second.content = *at->second.durable;
    ++at;
  }
}

std::optional<std::string> MemoryStore::Content(const std::string& name) const {
  const auto found = objects_.find(name);
  if (found == objects_.end()) return std::nullopt;
  return found->second.content;
}

std::vector<std::string> MemoryStore::Names() const {
  std::vector<std::string> names;
  for (const auto& [name, object] : objects_) names.push_back(name);
  return names;
}

template <typename Effect>
absl::Status MemoryStore::Change(Effect effect) {
  const int number = changes_++;
  RETURN_IF_ERROR(down);
  std::optional<Failure> failure;
  if (failure_ && failure_->at == number) failure = std::exchange(failure_, std::nullopt);
  if (failure && !failure->after_commit) return failure->error;
  RETURN_IF_ERROR(effect());
  return failure ? failure->error : absl::OkStatus();
}

asio::awaitable<absl::Status> MemoryStore::WriteAt(std::string name, uint64_t offset,
                                                   std::string data) {
  if (!can_append_) co_return absl::UnimplementedError("this store cannot append");
  co_return Change([&]() -> absl::Status {
    const auto found = objects_.find(name);
    if (offset > (found == objects_.end() ? 0 : found->second.content.size())) {
      return TooShort(name);
    }
    Object& object = objects_[name];
    if (offset == 0) object.content.clear();
    if (object.content.size() < offset + data.size()) object.content.resize(offset + data.size());
    object.content.replace(offset, data.size(), data);
    return absl::OkStatus();
  });
}

asio::awaitable<absl::Status> MemoryStore::Sync(std::string name, uint64_t size) {
  if (!can_append_) co_return absl::UnimplementedError("this store cannot append");
  co_return Change([&]() -> absl::Status {
    const auto found = objects_.find(name);
    if (found == objects_.end() || found->second.content.size() < size) return TooShort(name);
    found->second.content.resize(size);
    found->second.durable = found->second.content;
    return absl::OkStatus();
  });
}

asio::awaitable<absl::Status> MemoryStore::Put(Piece piece) {
  co_return co_await Extend(0, std::move(piece));
}

asio::awaitable<absl::Status> MemoryStore::Extend(uint64_t from, Piece tail) {
  co_return Change([&]() -> absl::Status {
    const auto found = objects_.find(tail.name);
    if (from > (found == objects_.end() ? 0 : found->second.content.size())) {
      return TooShort(tail.name);
    }
    ASSIGN_OR_RETURN(const std::string bytes, BytesOf(tail));
    Object& object = objects_[tail.name];
    object.content.resize(from);
    object.content += bytes;
    object.durable = object.content;
    return absl::OkStatus();
  });
}

asio::awaitable<absl::Status> MemoryStore::Remove(std::string name) {
  co_return Change([&]() -> absl::Status {
    objects_.erase(name);
    return absl::OkStatus();
  });
}

asio::awaitable<absl::StatusOr<std::string>> MemoryStore::Read(std::string name, uint64_t offset,
                                                               size_t max_bytes) {
  CO_RETURN_IF_ERROR(down);
  const auto found = objects_.find(name);
  if (found == objects_.end()) co_return absl::NotFoundError(name);
  const std::string& content = found->second.content;
  co_return offset < content.size() ? content.substr(offset, max_bytes) : std::string();
}

asio::awaitable<absl::StatusOr<std::vector<std::string>>> MemoryStore::List(std::string prefix) {
  CO_RETURN_IF_ERROR(down);
  std::vector<std::string> names;
  for (auto at = objects_.lower_bound(prefix); at != objects_.end(); ++at) {
    if (!at->first.starts_with(prefix) || names.size() == kMaxListed) break;
    names.push_back(at->first);
  }
  co_return names;
}

asio::awaitable<absl::Status> MemoryStore::Check() { co_return down; }

}  // namespace boxkeeper::logs
