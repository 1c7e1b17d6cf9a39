#include "logs/azure/azure_store.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/hex.h"
#include "base/http/client.h"
#include "base/sha256.h"
#include "base/status_macros.h"
#include "logs/azure/blob_calls.h"
#include "logs/azure/blob_client.h"
#include "logs/remote/piece_reader.h"
#include "logs/remote/store_url.h"

namespace boxkeeper::logs {

namespace asio = boost::asio;

namespace {

constexpr char kTemporaryFolder[] = "_boxkeeper/tmp/";
// A blob has at most 50 000 blocks; some are left for what comes behind.
constexpr uint64_t kBlocksPlanned = 40'000;
constexpr size_t kBlockBytesMax = 100 << 20;
// An append that must be made room for, or whose blob must lose its end, is tried again this often.
constexpr int kAppendTries = 3;
constexpr absl::Duration kLeftOverAge = absl::Hours(24);

absl::Status TooShort(const std::string& name, uint64_t wanted) {
  return absl::OutOfRangeError(
      absl::StrCat(name, ": the object has fewer than ", wanted, " bytes"));
}

}  // namespace

class AzureStore::Impl {
 public:
  Impl(Deps deps, Options options, remote::StoreUrl url, azure::BlobClient::Deps client,
       azure::Account account)
      : url_(std::move(url)),
        deps_(deps),
        block_bytes_(options.block_bytes),
        client_(std::move(client), std::move(account), url_.bucket),
        calls_(client_) {}

  const std::string& url() const { return url_.text; }

  asio::awaitable<absl::Status> WriteAt(std::string name, uint64_t offset, std::string data) {
    CO_RETURN_IF_ERROR(remote::CheckObjectName(url_, name));
    const std::string blob = url_.prefix + name;
    if (offset == 0) {
      absl::Status begun = co_await calls_.BeginAppendBlob(blob);
      CO_RETURN_IF_ERROR(begun);
    }
    for (size_t at = 0; at < data.size();) {
      std::string block = data.substr(at, block_bytes_);
      const size_t size = block.size();
      absl::Status written = co_await AppendBlock(blob, offset + at, std::move(block));
      CO_RETURN_IF_ERROR(written);
      at += size;
    }
    co_return absl::OkStatus();
  }

  asio::awaitable<absl::Status> Sync(std::string name, uint64_t size) {
    CO_RETURN_IF_ERROR(remote::CheckObjectName(url_, name));
    const std::string blob = url_.prefix + name;
    auto state = co_await calls_.Properties(blob);
    if (absl::IsNotFound(state.status())) co_return TooShort(blob, size);
    CO_RETURN_IF_ERROR(state.status());
    if (state->length < size) co_return TooShort(blob, size);
    if (state->length == size) co_return absl::OkStatus();
    if (size == 0) co_return co_await calls_.BeginAppendBlob(blob);
    co_return co_await Rewrite(blob, size);
  }

  asio::awaitable<absl::Status> Put(Piece piece) {
    CO_RETURN_IF_ERROR(remote::CheckObjectName(url_, piece.name));
    const std::string blob = url_.prefix + piece.name;
    remote::PieceReader reader(deps_.pool, piece);
    if (piece.size > block_bytes_) {
      Assembly assembly{.blob = blob, .block_bytes = BlockBytesFor(piece.size)};
      absl::Status added = co_await AddTail(assembly, reader);
      CO_RETURN_IF_ERROR(added);
      co_return co_await Finish(assembly);
    }
    auto whole = co_await reader.Next(block_bytes_ + 1);
    CO_RETURN_IF_ERROR(whole.status());
    co_return co_await calls_.PutBlob(blob, *std::move(whole));
  }

  asio::awaitable<absl::Status> Extend(uint64_t from, Piece tail) {
    if (from == 0) co_return co_await Put(std::move(tail));
    CO_RETURN_IF_ERROR(remote::CheckObjectName(url_, tail.name));
    const std::string blob = url_.prefix + tail.name;
    auto state = co_await calls_.Properties(blob);
    if (absl::IsNotFound(state.status())) co_return TooShort(blob, from);
    CO_RETURN_IF_ERROR(state.status());
    if (state->length < from) co_return TooShort(blob, from);
    Assembly assembly{.blob = blob,
                      .temporary = state->is_append_blob ? Temporary(blob) : "",
                      .block_bytes = BlockBytesFor(from + tail.size)};
    absl::Status added = co_await AddHead(assembly, from);
    CO_RETURN_IF_ERROR(added);
    remote::PieceReader reader(deps_.pool, tail);
    added = co_await AddTail(assembly, reader);
    CO_RETURN_IF_ERROR(added);
    co_return co_await Finish(assembly);
  }

  asio::awaitable<absl::Status> Remove(std::string name) {
    CO_RETURN_IF_ERROR(remote::CheckObjectName(url_, name));
    co_return co_await calls_.Delete(url_.prefix + name);
  }

  asio::awaitable<absl::StatusOr<std::string>> Read(std::string name, uint64_t offset,
                                                    size_t max_bytes) {
    CO_RETURN_IF_ERROR(remote::CheckObjectName(url_, name));
    co_return co_await calls_.ReadRange(url_.prefix + name, offset, max_bytes);
  }

  asio::awaitable<absl::StatusOr<std::vector<std::string>>> List(std::string prefix) {
    auto blobs = co_await calls_.List(url_.prefix + prefix, kMaxListed);
    CO_RETURN_IF_ERROR(blobs.status());
    std::vector<std::string> names;
    for (const azure::ListedBlob& blob : *blobs)
      names.push_back(blob.name.substr(url_.prefix.size()));
    co_return names;
  }

  asio::awaitable<absl::Status> Check() {
    const std::string probe = Temporary("probe");
    absl::Status status = co_await calls_.PutBlob(probe, "boxkeeper\n");
    if (status.ok()) {
      auto read = co_await calls_.ReadRange(probe, 0, kCheckRead);
      status = read.status();
    }
    if (status.ok()) status = co_await calls_.BeginAppendBlob(probe);
    if (status.ok()) status = co_await calls_.Delete(probe);
    if (status.ok()) status = co_await Sweep();
    if (status.ok()) co_return status;
    co_return absl::Status(
        status.code(), absl::StrCat("logs.url ", url_.text, ": ", std::string(status.message())));
  }

 private:
  static constexpr size_t kCheckRead = 64;

  // The parts of an object until it is whole: blocks that are not committed yet, or an append blob
  // of another name.
  struct Assembly {
    std::string blob;
    std::string temporary = {};  // "" = the parts are blocks of a block blob
    size_t block_bytes = 0;
    uint64_t size = 0;
    uint32_t blocks = 0;
    bool begun = false;
  };

  // Names below the store's own folder, so that they share no prefix with an object's.
  std::string Temporary(const std::string& blob) const {
    return absl::StrCat(url_.prefix, kTemporaryFolder,
                        base::HexEncode(base::Sha256(blob)).substr(0, 32));
  }

  size_t BlockBytesFor(uint64_t size) const {
    const uint64_t least = size / kBlocksPlanned + 1;
    return std::clamp<uint64_t>(least, block_bytes_, std::max(block_bytes_, kBlockBytesMax));
  }

  asio::awaitable<absl::Status> AppendBlock(std::string blob, uint64_t offset, std::string data) {
    for (int tries = 0; tries < kAppendTries; ++tries) {
      auto appended = co_await calls_.Append(blob, offset, data);
      CO_RETURN_IF_ERROR(appended.status());
      if (*appended == azure::Appended::kDone) co_return absl::OkStatus();
      if (*appended == azure::Appended::kShort) co_return TooShort(blob, offset);
      // Of a blob that begins anew nothing is kept.
      absl::Status made =
          offset == 0 ? co_await calls_.BeginAppendBlob(blob) : co_await Rewrite(blob, offset);
      CO_RETURN_IF_ERROR(made);
    }
    co_return absl::ResourceExhaustedError(
        absl::StrCat(blob, ": the append blob has as many blocks as it can have"));
  }

  // Makes the blob its first `size` bytes in fewer and larger blocks.
  asio::awaitable<absl::Status> Rewrite(std::string blob, uint64_t size) {
    Assembly assembly{
        .blob = blob, .temporary = Temporary(blob), .block_bytes = BlockBytesFor(size)};
    absl::Status added = co_await AddHead(assembly, size);
    CO_RETURN_IF_ERROR(added);
    co_return co_await Finish(assembly);
  }

  asio::awaitable<absl::Status> AddHead(Assembly& assembly, uint64_t size) {
    while (assembly.size < size) {
      const uint64_t wanted = std::min<uint64_t>(assembly.block_bytes, size - assembly.size);
      auto data = co_await calls_.ReadRange(assembly.blob, assembly.size, wanted);
      if (absl::IsNotFound(data.status())) co_return TooShort(assembly.blob, size);
      CO_RETURN_IF_ERROR(data.status());
      if (data->size() < wanted) co_return TooShort(assembly.blob, size);
      absl::Status added = co_await Add(assembly, *std::move(data));
      CO_RETURN_IF_ERROR(added);
    }
    co_return absl::OkStatus();
  }

  asio::awaitable<absl::Status> AddTail(Assembly& assembly, remote::PieceReader& tail) {
    for (;;) {
      auto data = co_await tail.Next(assembly.block_bytes);
      CO_RETURN_IF_ERROR(data.status());
      if (data->empty()) co_return absl::OkStatus();
      absl::Status added = co_await Add(assembly, *std::move(data));
      CO_RETURN_IF_ERROR(added);
    }
  }

  asio::awaitable<absl::Status> Add(Assembly& assembly, std::string data) {
    const size_t size = data.size();
    if (assembly.temporary.empty()) {
      absl::Status put = co_await calls_.PutBlock(assembly.blob, assembly.blocks, std::move(data));
      CO_RETURN_IF_ERROR(put);
    } else {
      if (!std::exchange(assembly.begun, true)) {
        absl::Status begun = co_await calls_.BeginAppendBlob(assembly.temporary);
        CO_RETURN_IF_ERROR(begun);
      }
      auto appended = co_await calls_.Append(assembly.temporary, assembly.size, std::move(data));
      CO_RETURN_IF_ERROR(appended.status());
      if (*appended != azure::Appended::kDone) {
        co_return absl::UnavailableError(
            absl::StrCat(assembly.temporary, ": somebody else writes to it"));
      }
    }
    assembly.size += size;
    ++assembly.blocks;
    co_return absl::OkStatus();
  }

  asio::awaitable<absl::Status> Finish(Assembly& assembly) {
    if (assembly.temporary.empty()) {
      co_return co_await calls_.CommitBlocks(assembly.blob, assembly.blocks);
    }
    absl::Status copied = co_await calls_.Copy(assembly.temporary, assembly.blob);
    CO_RETURN_IF_ERROR(copied);
    auto state = co_await calls_.Properties(assembly.blob);
    CO_RETURN_IF_ERROR(state.status());
    if (state->length != assembly.size) {
      co_return absl::UnavailableError(absl::StrCat(assembly.blob, ": the server's copy has ",
                                                    state->length, " of ", assembly.size,
                                                    " bytes"));
    }
    // What stays is overwritten by the next rewriting, or swept.
    (co_await calls_.Delete(assembly.temporary)).IgnoreError();
    co_return absl::OkStatus();
  }

  asio::awaitable<absl::Status> Sweep() {
    auto blobs = co_await calls_.List(absl::StrCat(url_.prefix, kTemporaryFolder), kMaxListed);
    CO_RETURN_IF_ERROR(blobs.status());
    const absl::Time old = client_.server_clock().Now() - kLeftOverAge;
    for (const azure::ListedBlob& blob : *blobs) {
      if (blob.modified > old) continue;
      absl::Status deleted = co_await calls_.Delete(blob.name);
      CO_RETURN_IF_ERROR(deleted);
    }
    co_return absl::OkStatus();
  }

  const remote::StoreUrl url_;
  const Deps deps_;
  const size_t block_bytes_;
  azure::BlobClient client_;
  azure::BlobCalls calls_;
};

absl::StatusOr<std::unique_ptr<AzureStore>> AzureStore::Create(Deps deps, const std::string& url,
                                                               Options options) {
  auto parsed = remote::ParseStoreUrl("azure", url);
  if (!parsed.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat("logs.url ", std::string(parsed.status().message())));
  }
  ASSIGN_OR_RETURN(azure::Account account,
                   azure::FindAccount(options.settings, options.environment));
  base::http::ClientOptions http;
  http.base = account.endpoint;
  http.ca_file = options.ca_file;
  ASSIGN_OR_RETURN(auto client, base::http::Client::Create({deps.clock, deps.loop}, http));
  azure::BlobClient::Deps client_deps{
      .clock = deps.clock,
      .rng = deps.rng,
      .http = std::move(client),
      .credentials = std::make_unique<azure::CredentialSource>(
          azure::CredentialSource::Deps{deps.clock, deps.files, deps.pool}, options.settings,
          options.environment),
      .retry = options.retry};
  return std::unique_ptr<AzureStore>(new AzureStore(std::make_unique<Impl>(
      deps, std::move(options), *std::move(parsed), std::move(client_deps), std::move(account))));
}

AzureStore::AzureStore(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
AzureStore::~AzureStore() = default;

const std::string& AzureStore::url() const { return impl_->url(); }

asio::awaitable<absl::Status> AzureStore::WriteAt(std::string name, uint64_t offset,
                                                  std::string data) {
  return impl_->WriteAt(std::move(name), offset, std::move(data));
}
asio::awaitable<absl::Status> AzureStore::Sync(std::string name, uint64_t size) {
  return impl_->Sync(std::move(name), size);
}
asio::awaitable<absl::Status> AzureStore::Put(Piece piece) { return impl_->Put(std::move(piece)); }
asio::awaitable<absl::Status> AzureStore::Extend(uint64_t from, Piece tail) {
  return impl_->Extend(from, std::move(tail));
}
asio::awaitable<absl::Status> AzureStore::Remove(std::string name) {
  return impl_->Remove(std::move(name));
}
asio::awaitable<absl::StatusOr<std::string>> AzureStore::Read(std::string name, uint64_t offset,
                                                              size_t max_bytes) {
  return impl_->Read(std::move(name), offset, max_bytes);
}
asio::awaitable<absl::StatusOr<std::vector<std::string>>> AzureStore::List(std::string prefix) {
  return impl_->List(std::move(prefix));
}
asio::awaitable<absl::Status> AzureStore::Check() { return impl_->Check(); }

}  // namespace boxkeeper::logs
