#include "logs/s3/s3_store.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/crypto/md5.h"
#include "base/log.h"
#include "base/sha256.h"
#include "base/status_macros.h"
#include "logs/remote/store_url.h"
#include "logs/s3/credential_chain.h"
#include "logs/s3/profile_files.h"
#include "logs/s3/s3_objects.h"
#include "logs/s3/s3_upload.h"

namespace boxkeeper::logs::s3 {

namespace asio = boost::asio;

namespace {

constexpr std::chrono::minutes kFirstCleaning{1};
constexpr std::chrono::hours kCleaningInterval{6};
constexpr absl::Duration kAbandonedAfter = absl::Hours(24);
// In a bucket without prefix others may have uploads under way.
constexpr absl::Duration kAbandonedAfterAnywhere = absl::Hours(7 * 24);

// Of S3's answers only these have the meaning that callers of an ObjectStore expect; the rest is
// an operator's.
absl::Status ForCaller(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kNotFound:
    case absl::StatusCode::kOutOfRange:
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kUnimplemented:
      return absl::InvalidArgumentError(status.message());
    default:
      return status;
  }
}

std::string FirstOf(std::initializer_list<std::string> values) {
  for (const std::string& value : values) {
    if (!value.empty()) return value;
  }
  return "";
}

absl::Status NoAppend() { return absl::UnimplementedError("objects of s3:// cannot grow"); }

}  // namespace

class S3Store::Impl {
 public:
  Impl(remote::StoreUrl store_url, asio::any_io_executor executor, std::unique_ptr<S3Client> s3,
       const S3StoreOptions& options)
      : url(std::move(store_url)),
        pool(std::move(executor)),
        client(std::move(s3)),
        part_bytes(options.part_bytes),
        copy_min(options.copy_min) {}

  std::string Key(const std::string& name) const { return url.prefix + name; }

  asio::awaitable<absl::Status> Put(Piece piece) {
    CO_RETURN_IF_ERROR(remote::CheckObjectName(url, piece.name));
    std::string key = Key(piece.name);
    absl::Status stored = co_await StoreObject(*client, pool, url.bucket, std::move(key), Head(),
                                               std::move(piece), part_bytes);
    co_return ForCaller(stored);
  }

  asio::awaitable<absl::Status> Extend(uint64_t from, Piece tail) {
    CO_RETURN_IF_ERROR(remote::CheckObjectName(url, tail.name));
    const std::string key = Key(tail.name);
    auto head = co_await HeadOf(key, from);
    if (!head.ok()) co_return head.status();
    absl::Status stored = co_await StoreObject(*client, pool, url.bucket, key, *std::move(head),
                                               std::move(tail), part_bytes);
    co_return ForCaller(stored);
  }

  asio::awaitable<absl::Status> Remove(std::string name) {
    CO_RETURN_IF_ERROR(remote::CheckObjectName(url, name));
    absl::Status removed = co_await DeleteObject(*client, Key(name));
    co_return ForCaller(removed);
  }

  asio::awaitable<absl::StatusOr<std::string>> Read(std::string name, uint64_t offset,
                                                    size_t max_bytes) {
    CO_RETURN_IF_ERROR(remote::CheckObjectName(url, name));
    auto data = co_await GetObject(*client, Key(name), offset, max_bytes);
    if (!data.ok() && !absl::IsNotFound(data.status())) co_return ForCaller(data.status());
    co_return data;
  }

  asio::awaitable<absl::StatusOr<std::vector<std::string>>> List(std::string prefix) {
    auto keys = co_await ListObjects(*client, Key(prefix), kMaxListed);
    if (!keys.ok()) co_return ForCaller(keys.status());
    for (std::string& key : *keys) key.erase(0, url.prefix.size());
    // Some servers list in another order.
    std::sort(keys->begin(), keys->end());
    co_return keys;
  }

  asio::awaitable<absl::Status> Check() {
    const absl::Status tried = co_await TryAll();
    const absl::Status status = ForCaller(tried);
    if (status.ok()) co_return status;
    co_return absl::Status(
        status.code(), absl::StrCat("logs.url ", url.text, ": ", std::string(status.message())));
  }

  // Looks for uploads that nobody will finish, for ever.
  asio::awaitable<void> CleanUp() {
    base::Clock& clock = client->clock();
    for (base::BootTime next = clock.Boot() + kFirstCleaning;; next += kCleaningInterval) {
      const absl::Status slept = co_await clock.SleepUntil(next);
      if (!slept.ok()) co_return;
      const absl::Status cleaned = co_await AbortAbandoned();
      if (!cleaned.ok()) {
        base::LogWarning("abandoned uploads were not looked for",
                         {{"store", url.text}, {"error", cleaned.ToString()}});
      }
    }
  }

  const remote::StoreUrl url;
  const asio::any_io_executor pool;
  const std::unique_ptr<S3Client> client;
  const uint64_t part_bytes, copy_min;

 private:
  // The object's first `from` bytes: sent again, or, where a part may begin with them, copied.
  asio::awaitable<absl::StatusOr<Head>> HeadOf(const std::string& key, uint64_t from) {
    Head head;
    uint64_t size = 0;
    absl::Status found;
    if (from < copy_min) {
      auto bytes = co_await GetObject(*client, key, 0, from);
      found = bytes.status();
      if (bytes.ok()) head.bytes = *std::move(bytes);
      size = head.bytes.size();
    } else {
      auto info = co_await HeadObject(*client, key);
      found = info.status();
      if (info.ok()) size = info->size;
      head.copied = from;
    }
    if (!found.ok() && !absl::IsNotFound(found)) co_return ForCaller(found);
    if (size < from) {
      co_return absl::OutOfRangeError(
          absl::StrCat(key, ": the object has ", size, " of ", from, " bytes"));
    }
    co_return head;
  }

  asio::awaitable<absl::Status> TryAll() {
    const std::string id = client->rng().NewId().ToString();
    const std::string key = Key("_boxkeeper/probe/" + id);
    const std::string content = "boxkeeper " + id + "\n";
    Part part{std::make_shared<const std::string>(content), base::Sha256(content),
              base::Md5(content)};
    absl::Status status = co_await PutObject(*client, key, std::move(part));
    CO_RETURN_IF_ERROR(status);
    auto read = co_await GetObject(*client, key, 0, content.size() + 1);
    CO_RETURN_IF_ERROR(read.status());
    auto listed = co_await ListObjects(*client, key, 1);
    CO_RETURN_IF_ERROR(listed.status());
    status = co_await DeleteObject(*client, key);
    CO_RETURN_IF_ERROR(status);
    if (*read != content) co_return absl::DataLossError("what was read is not what was written");
    if (listed->empty()) co_return absl::UnavailableError("what was written is not listed");
    co_return absl::OkStatus();
  }

  asio::awaitable<absl::Status> AbortAbandoned() {
    auto uploads = co_await ListUploads(*client, url.prefix);
    CO_RETURN_IF_ERROR(uploads.status());
    const absl::Duration age = url.prefix.empty() ? kAbandonedAfterAnywhere : kAbandonedAfter;
    const absl::Time before = client->Now() - age;
    for (const Upload& upload : *uploads) {
      if (upload.began >= before) continue;
      absl::Status aborted = co_await AbortUpload(*client, upload.key, upload.id);
      CO_RETURN_IF_ERROR(aborted);
      base::LogInfo("an abandoned upload was aborted", {{"store", url.text}, {"key", upload.key}});
    }
    co_return absl::OkStatus();
  }
};

absl::StatusOr<std::unique_ptr<S3Store>> S3Store::Create(Deps deps, S3StoreOptions options) {
  auto url = remote::ParseStoreUrl("s3", options.url);
  if (!url.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat("logs.url ", std::string(url.status().message())));
  }
  const remote::Environment& environment = deps.environment;
  const std::string profile_name = ProfileName(environment, options.profile);
  ASSIGN_OR_RETURN(const auto profile, LoadProfile(deps.files, environment, profile_name));
  const bool has_region = profile && profile->contains("region");
  const std::string region =
      FirstOf({options.region, environment("AWS_REGION"), environment("AWS_DEFAULT_REGION"),
               has_region ? profile->at("region") : "", "us-east-1"});
  const std::string endpoint = FirstOf(
      {options.endpoint, environment("AWS_ENDPOINT_URL_S3"), environment("AWS_ENDPOINT_URL")});
  auto location = Locate({*url, endpoint, region, options.path_style});
  if (!location.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat("logs.s3.endpoint ", std::string(location.status().message())));
  }
  CredentialOptions credentials{options.access_key_file, options.secret_key_file, options.profile,
                                region};
  RemoteDeps chain{{deps.files, deps.pool, environment}, deps.clock, deps.rng, deps.loop};
  auto keeper = MakeCredentialKeeper(std::move(chain), std::move(credentials));
  ASSIGN_OR_RETURN(auto client, S3Client::Create({deps.clock, deps.rng, deps.loop, environment},
                                                 {*url, *location, region, {}}, std::move(keeper)));
  auto impl = std::make_shared<Impl>(*std::move(url), deps.pool, std::move(client), options);
  return std::unique_ptr<S3Store>(new S3Store(deps.clock, deps.loop, std::move(impl)));
}

S3Store::S3Store(base::Clock& clock, asio::any_io_executor loop, std::shared_ptr<Impl> impl)
    : impl_(std::move(impl)), group_(clock, std::move(loop)) {
  group_.Spawn("s3 uploads", [impl = impl_] { return impl->CleanUp(); });
}

S3Store::~S3Store() = default;

const std::string& S3Store::url() const { return impl_->url.text; }

asio::awaitable<absl::Status> S3Store::WriteAt(std::string /*name*/, uint64_t /*offset*/,
                                               std::string /*data*/) {
  co_return NoAppend();
}

asio::awaitable<absl::Status> S3Store::Sync(std::string /*name*/, uint64_t /*size*/) {
  co_return NoAppend();
}

asio::awaitable<absl::Status> S3Store::Put(Piece piece) {
  auto impl = impl_;
  co_return co_await impl->Put(std::move(piece));
}

asio::awaitable<absl::Status> S3Store::Extend(uint64_t from, Piece tail) {
  auto impl = impl_;
  if (from == 0) co_return co_await impl->Put(std::move(tail));
  co_return co_await impl->Extend(from, std::move(tail));
}

asio::awaitable<absl::Status> S3Store::Remove(std::string name) {
  auto impl = impl_;
  co_return co_await impl->Remove(std::move(name));
}

asio::awaitable<absl::StatusOr<std::string>> S3Store::Read(std::string name, uint64_t offset,
                                                           size_t max_bytes) {
  auto impl = impl_;
  co_return co_await impl->Read(std::move(name), offset, max_bytes);
}

asio::awaitable<absl::StatusOr<std::vector<std::string>>> S3Store::List(std::string prefix) {
  auto impl = impl_;
  co_return co_await impl->List(std::move(prefix));
}

asio::awaitable<absl::Status> S3Store::Check() {
  auto impl = impl_;
  co_return co_await impl->Check();
}

}  // namespace boxkeeper::logs::s3
