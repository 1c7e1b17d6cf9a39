#include "logs/gcs/gcs_store.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/crc32c.h"
#include "base/crypto/base64.h"
#include "base/hex.h"
#include "base/http/client.h"
#include "base/sha256.h"
#include "base/status_macros.h"
#include "logs/gcs/gcs_client.h"
#include "logs/gcs/gcs_objects.h"
#include "logs/gcs/token_source.h"
#include "logs/remote/piece_reader.h"
#include "logs/remote/store_url.h"

namespace boxkeeper::logs {

namespace asio = boost::asio;

namespace {

constexpr char kTemporaryFolder[] = "_boxkeeper/tmp/";
constexpr size_t kCheckRead = 64;
constexpr absl::Duration kLeftOverAge = absl::Hours(24);

absl::Status TooShort(const std::string& name, uint64_t wanted) {
  return absl::OutOfRangeError(
      absl::StrCat(name, ": the object has fewer than ", wanted, " bytes"));
}

absl::Status CannotGrow() { return absl::UnimplementedError("objects of gs:// cannot grow"); }

gcs::BlockSource SourceOf(remote::PieceReader& reader) {
  return [&reader](size_t size) { return reader.Next(size); };
}

// The checksum of an object that is text of Google's; nullopt if it has none.
std::optional<uint32_t> ParseCrc32c(const std::string& text) {
  const auto bytes = base::Base64Decode(text);
  if (!bytes || bytes->size() != sizeof(uint32_t)) return std::nullopt;
  uint32_t crc = 0;
  for (const char byte : *bytes) crc = crc << 8 | static_cast<uint8_t>(byte);
  return crc;
}

}  // namespace

class GcsStore::Impl {
 public:
  Impl(Deps deps, size_t block_bytes, remote::StoreUrl url, gcs::GcsClient::Deps client,
       base::http::BaseUrl endpoint)
      : url_(std::move(url)),
        deps_(deps),
        client_(std::move(client), std::move(endpoint), url_.bucket),
        objects_(client_, block_bytes) {}

  const std::string& url() const { return url_.text; }

  asio::awaitable<absl::Status> Put(Piece piece) {
    CO_RETURN_IF_ERROR(remote::CheckObjectName(url_, piece.name));
    remote::PieceReader reader(deps_.pool, piece);
    auto stored = co_await objects_.Upload(url_.prefix + piece.name, piece.size, SourceOf(reader));
    co_return MissingBucket(stored.status());
  }

  asio::awaitable<absl::Status> Extend(uint64_t from, Piece tail) {
    if (from == 0) co_return co_await Put(std::move(tail));
    CO_RETURN_IF_ERROR(remote::CheckObjectName(url_, tail.name));
    const std::string name = url_.prefix + tail.name;
    auto state = co_await objects_.Stat(name);
    if (absl::IsNotFound(state.status())) co_return TooShort(name, from);
    CO_RETURN_IF_ERROR(state.status());
    if (state->size < from) co_return TooShort(name, from);
    if (state->size == from) co_return co_await Join(name, *state, tail);
    co_return co_await Replace(name, *state, from, tail);
  }

  asio::awaitable<absl::Status> Remove(std::string name) {
    CO_RETURN_IF_ERROR(remote::CheckObjectName(url_, name));
    co_return co_await objects_.Delete(url_.prefix + name);
  }

  asio::awaitable<absl::StatusOr<std::string>> Read(std::string name, uint64_t offset,
                                                    size_t max_bytes) {
    CO_RETURN_IF_ERROR(remote::CheckObjectName(url_, name));
    co_return co_await objects_.ReadRange(url_.prefix + name, offset, max_bytes);
  }

  asio::awaitable<absl::StatusOr<std::vector<std::string>>> List(std::string prefix) {
    auto objects = co_await objects_.List(url_.prefix + prefix, kMaxListed);
    CO_RETURN_IF_ERROR(objects.status());
    std::vector<std::string> names;
    for (const gcs::ListedObject& object : *objects) {
      names.push_back(object.name.substr(url_.prefix.size()));
    }
    co_return names;
  }

  asio::awaitable<absl::Status> Check() {
    const std::string probe = Temporary("probe");
    const std::string content = "boxkeeper\n";
    gcs::BlockSource source = [&content](size_t) -> asio::awaitable<absl::StatusOr<std::string>> {
      co_return content;
    };
    auto written = co_await objects_.Upload(probe, content.size(), std::move(source));
    absl::Status status = MissingBucket(written.status());
    if (status.ok()) {
      auto read = co_await objects_.ReadRange(probe, 0, kCheckRead);
      status = read.status();
    }
    if (status.ok()) status = co_await objects_.Delete(probe);
    if (status.ok()) status = co_await Sweep();
    if (status.ok()) co_return status;
    co_return absl::Status(
        status.code(), absl::StrCat("logs.url ", url_.text, ": ", std::string(status.message())));
  }

 private:
  // Names below the store's own folder, so that they share no prefix with an object's.
  std::string Temporary(const std::string& name) const {
    return absl::StrCat(url_.prefix, kTemporaryFolder,
                        base::HexEncode(base::Sha256(name)).substr(0, 32));
  }

  // What an upload cannot find is the bucket.
  absl::Status MissingBucket(const absl::Status& status) const {
    if (!absl::IsNotFound(status)) return status;
    return absl::InvalidArgumentError(absl::StrCat(std::string(status.message()),
                                                   "; create the bucket '", url_.bucket,
                                                   "', or correct logs.url"));
  }

  // The object with the tail behind it, by the server.
  asio::awaitable<absl::Status> Join(std::string name, gcs::ObjectState state, Piece tail) {
    const std::string temporary = Temporary(name);
    remote::PieceReader reader(deps_.pool, tail);
    auto tail_crc = co_await objects_.Upload(temporary, tail.size, SourceOf(reader));
    CO_RETURN_IF_ERROR(tail_crc.status());
    auto joined = co_await objects_.Compose(name, state.generation, temporary);
    absl::Status status = joined.status();
    if (status.ok() && !*joined) status = co_await IsJoined(name, state, *tail_crc, tail.size);
    // What stays is overwritten by the next one of this object, or swept.
    (co_await objects_.Delete(temporary)).IgnoreError();
    co_return status;
  }

  // Another generation is there: ours, if the answer to it was lost.
  asio::awaitable<absl::Status> IsJoined(std::string name, gcs::ObjectState before, uint32_t tail,
                                         uint64_t tail_size) {
    auto now = co_await objects_.Stat(name);
    CO_RETURN_IF_ERROR(now.status());
    const auto crc_before = ParseCrc32c(before.crc32c), crc_now = ParseCrc32c(now->crc32c);
    const bool ours = now->size == before.size + tail_size && crc_before && crc_now &&
                      *crc_now == base::ConcatCrc32c(*crc_before, tail, tail_size);
    if (ours) co_return absl::OkStatus();
    co_return absl::UnavailableError(absl::StrCat(name, ": it changed while it was extended"));
  }

  // The object's head and the tail, uploaded as a whole: there is no way to cut an object.
  asio::awaitable<absl::Status> Replace(std::string name, gcs::ObjectState state, uint64_t from,
                                        Piece tail) {
    remote::PieceReader reader(deps_.pool, tail);
    uint64_t at = 0;
    gcs::BlockSource source = [&](size_t size) -> asio::awaitable<absl::StatusOr<std::string>> {
      std::string block;
      if (at < from) {
        const uint64_t wanted = std::min<uint64_t>(size, from - at);
        auto head = co_await objects_.ReadRange(name, at, wanted, state.generation);
        if (absl::IsNotFound(head.status()) || (head.ok() && head->size() < wanted)) {
          co_return absl::UnavailableError(
              absl::StrCat(name, ": it changed while it was extended"));
        }
        CO_RETURN_IF_ERROR(head.status());
        block = *std::move(head);
        at += block.size();
      }
      if (block.size() == size) co_return block;
      auto rest = co_await reader.Next(size - block.size());
      CO_RETURN_IF_ERROR(rest.status());
      co_return block + *rest;
    };
    auto stored = co_await objects_.Upload(name, from + tail.size, std::move(source));
    co_return stored.status();
  }

  asio::awaitable<absl::Status> Sweep() {
    auto objects = co_await objects_.List(absl::StrCat(url_.prefix, kTemporaryFolder), kMaxListed);
    CO_RETURN_IF_ERROR(objects.status());
    const absl::Time old = deps_.clock.Now() - kLeftOverAge;
    for (const gcs::ListedObject& object : *objects) {
      if (object.updated > old) continue;
      absl::Status deleted = co_await objects_.Delete(object.name);
      CO_RETURN_IF_ERROR(deleted);
    }
    co_return absl::OkStatus();
  }

  const remote::StoreUrl url_;
  const Deps deps_;
  gcs::GcsClient client_;
  gcs::GcsObjects objects_;
};

absl::StatusOr<std::unique_ptr<GcsStore>> GcsStore::Create(Deps deps, const std::string& url,
                                                           Options options) {
  auto parsed = remote::ParseStoreUrl("gs", url);
  if (!parsed.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat("logs.url ", std::string(parsed.status().message())));
  }
  auto endpoint = base::http::ParseBaseUrl(gcs::EndpointOf(options.settings, options.environment));
  if (!endpoint.ok()) {
    return absl::InvalidArgumentError(absl::StrCat("logs.gcs.endpoint (or STORAGE_EMULATOR_HOST): ",
                                                   std::string(endpoint.status().message())));
  }
  base::http::ClientOptions http;
  http.base = *endpoint;
  http.ca_file = options.ca_file;
  ASSIGN_OR_RETURN(auto client, base::http::Client::Create({deps.clock, deps.loop}, http));
  gcs::GcsClient::Deps client_deps{
      .clock = deps.clock,
      .rng = deps.rng,
      .http = std::move(client),
      .tokens = std::make_unique<gcs::TokenSource>(
          gcs::TokenSource::Deps{deps.clock, deps.rng, deps.files, deps.loop, deps.pool},
          std::move(options.settings), options.environment, options.retry),
      .retry = options.retry};
  return std::unique_ptr<GcsStore>(
      new GcsStore(std::make_unique<Impl>(deps, options.block_bytes, *std::move(parsed),
                                          std::move(client_deps), *std::move(endpoint))));
}

GcsStore::GcsStore(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
GcsStore::~GcsStore() = default;

const std::string& GcsStore::url() const { return impl_->url(); }

asio::awaitable<absl::Status> GcsStore::WriteAt(std::string, uint64_t, std::string) {
  co_return CannotGrow();
}
asio::awaitable<absl::Status> GcsStore::Sync(std::string, uint64_t) { co_return CannotGrow(); }
asio::awaitable<absl::Status> GcsStore::Put(Piece piece) { return impl_->Put(std::move(piece)); }
asio::awaitable<absl::Status> GcsStore::Extend(uint64_t from, Piece tail) {
  return impl_->Extend(from, std::move(tail));
}
asio::awaitable<absl::Status> GcsStore::Remove(std::string name) {
  return impl_->Remove(std::move(name));
}
asio::awaitable<absl::StatusOr<std::string>> GcsStore::Read(std::string name, uint64_t offset,
                                                            size_t max_bytes) {
  return impl_->Read(std::move(name), offset, max_bytes);
}
asio::awaitable<absl::StatusOr<std::vector<std::string>>> GcsStore::List(std::string prefix) {
  return impl_->List(std::move(prefix));
}
asio::awaitable<absl::Status> GcsStore::Check() { return impl_->Check(); }

}  // namespace boxkeeper::logs
