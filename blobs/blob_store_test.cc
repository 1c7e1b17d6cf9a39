#include "blobs/blob_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <deque>
#include <vector>

#include "base/hex.h"
#include "base/sha256.h"
#include "base/testing/fake_clock.h"
#include "base/testing/faulty_file_system.h"

namespace boxkeeper::blobs {
namespace {

using boost::asio::awaitable;
using std::chrono::hours;

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr char kFolder[] = "/state/blobs";

std::string NameOf(const std::string& content) { return base::HexEncode(base::Sha256(content)); }

// A client that sends its pieces, one for each time that it is asked.
struct Client {
  std::deque<std::string> pieces;
  absl::Status end;  // after the pieces
  int asked = 0;

  BlobStore::Next Next() {
    return [this]() -> awaitable<absl::StatusOr<std::optional<std::string>>> {
      ++asked;
      if (pieces.empty()) {
        if (!end.ok()) co_return end;
        co_return std::optional<std::string>();
      }
      std::string piece = std::move(pieces.front());
      pieces.pop_front();
      co_return std::optional<std::string>(std::move(piece));
    };
  }
};

class BlobStoreTest : public ::testing::Test {
 protected:
  BlobStoreTest() { Restart(); }

  void Restart() {
    store_ = std::make_unique<BlobStore>(
        BlobStore::Deps{clock_, *rng_, files_, context_.get_executor()}, kFolder, limits_);
    const absl::Status opened = store_->Open();
    ASSERT_TRUE(opened.ok()) << opened;
  }
  // Starts an upload; its result comes into the returned place.
  std::shared_ptr<std::optional<absl::StatusOr<StoredBlob>>> Begin(const std::string& name,
                                                                   int64_t size,
                                                                   BlobStore::Next next) {
    auto result = std::make_shared<std::optional<absl::StatusOr<StoredBlob>>>();
    boost::asio::co_spawn(context_, store_->Put(name, size, std::move(next)),
                          [result](std::exception_ptr error, absl::StatusOr<StoredBlob> stored) {
                            if (error) std::rethrow_exception(error);
                            *result = std::move(stored);
                          });
    return result;
  }
  absl::StatusOr<StoredBlob> Put(const std::string& name, int64_t size, Client& client) {
    const auto result = Begin(name, size, client.Next());
    clock_.RunUntilIdle();
    if (!result->has_value()) return absl::InternalError("the upload did not end");
    return **result;
  }
  absl::StatusOr<StoredBlob> Put(const std::string& content) {
    Client client{.pieces = {content}, .end = {}};
    return Put(NameOf(content), static_cast<int64_t>(content.size()), client);
  }
  std::vector<std::string> Files() {
    clock_.RunUntilIdle();
    auto names = files_.List(kFolder);
    return names.ok() ? *names : std::vector<std::string>();
  }
  std::string ContentOf(const std::string& name) {
    auto content = files_.Content(store_->PathOf(name));
    return content.ok() ? *content : std::string(content.status().message());
  }
  bool Has(const std::string& content) {
    const bool pinned = store_->Pin(NameOf(content));
    if (pinned) store_->Unpin(NameOf(content));
    return pinned;
  }

  boost::asio::io_context context_;
  base::FakeClock clock_{context_};
  std::unique_ptr<base::Rng> rng_ = base::MakeSeededRng(1);
  base::FaultyFileSystem files_;
  BlobLimits limits_{.max_bytes = 10 << 20, .max_blob_bytes = 4 << 20, .ttl = hours(24)};
  std::unique_ptr<BlobStore> store_;
};

TEST_F(BlobStoreTest, TakesABlobInPieces) {
  Client client{.pieces = {"ab", "", "c"}, .end = {}};
  const auto stored = Put(NameOf("abc"), 3, client);
  ASSERT_TRUE(stored.ok()) << stored.status();
  EXPECT_FALSE(stored->existed);
  EXPECT_EQ(stored->expires_at, clock_.Boot() + hours(24));
  EXPECT_EQ(ContentOf(NameOf("abc")), "abc");
  EXPECT_EQ(store_->status().blobs, 1);
  EXPECT_EQ(store_->status().bytes, 3);
  EXPECT_EQ(store_->status().uploads, 0);
}

TEST_F(BlobStoreTest, AnEmptyBlobIsOne) {
  Client client;
  EXPECT_TRUE(Put(NameOf(""), 0, client).ok());
  EXPECT_EQ(ContentOf(NameOf("")), "");
}

TEST_F(BlobStoreTest, WhatIsHereIsNotAskedForAgain) {
  ASSERT_TRUE(Put("abc").ok());
  clock_.Advance(hours(1));
  Client client{.pieces = {"abc"}, .end = {}};
  const auto again = Put(NameOf("abc"), 3, client);
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_TRUE(again->existed);
  EXPECT_EQ(again->expires_at, clock_.Boot() + hours(24));
  EXPECT_EQ(client.asked, 0);
  EXPECT_THAT(Files(), SizeIs(1));
}

TEST_F(BlobStoreTest, AnotherContentThanSaidLeavesNothing) {
  Client other{.pieces = {"abd"}, .end = {}};
  EXPECT_THAT(Put(NameOf("abc"), 3, other).status().message(), HasSubstr("another SHA-256"));
  Client less{.pieces = {"ab"}, .end = {}};
  EXPECT_THAT(Put(NameOf("abc"), 3, less).status().message(), HasSubstr("2 were sent"));
  Client more{.pieces = {"abc", "d", "e"}, .end = {}};
  EXPECT_TRUE(absl::IsInvalidArgument(Put(NameOf("abc"), 3, more).status()));
  EXPECT_EQ(more.asked, 2);
  Client gone{.pieces = {"ab"}, .end = absl::CancelledError("the caller went away")};
  EXPECT_TRUE(absl::IsCancelled(Put(NameOf("abc"), 3, gone).status()));
  Client large;
  EXPECT_TRUE(absl::IsInvalidArgument(Put(NameOf("abc"), (4 << 20) + 1, large).status()));
  EXPECT_EQ(large.asked, 0);
  EXPECT_THAT(Files(), IsEmpty());
  EXPECT_EQ(store_->status().uploads, 0);
  EXPECT_TRUE(Put("abc").ok());
}

TEST_F(BlobStoreTest, ExpiresAfterItsLastUse) {
  ASSERT_TRUE(Put("a").ok());
  ASSERT_TRUE(Put("b").ok());
  clock_.Advance(hours(23));
  ASSERT_TRUE(Put("a").ok());
  clock_.Advance(hours(1));
  store_->Sweep();
  EXPECT_TRUE(Has("a"));
  EXPECT_FALSE(store_->Pin(NameOf("b")));
  EXPECT_THAT(Files(), SizeIs(1));
}

TEST_F(BlobStoreTest, APinnedOneStaysUntilItsLastUnpin) {
  ASSERT_TRUE(Put("a").ok());
  ASSERT_TRUE(store_->Pin(NameOf("a")));
  ASSERT_TRUE(store_->Pin(NameOf("a")));
  store_->Unpin(NameOf("a"));
  clock_.Advance(hours(48));
  store_->Sweep();
  EXPECT_EQ(ContentOf(NameOf("a")), "a");
  store_->Unpin(NameOf("a"));
  clock_.Advance(hours(23));
  store_->Sweep();
  EXPECT_EQ(ContentOf(NameOf("a")), "a");
  clock_.Advance(hours(1));
  store_->Sweep();
  EXPECT_THAT(Files(), IsEmpty());
  EXPECT_FALSE(store_->Pin(NameOf("a")));
}

TEST_F(BlobStoreTest, ForANewOneTheLeastRecentlyUsedGo) {
  limits_.max_bytes = 3 * BlobStore::kChargeMin;
  Restart();
  for (const char* content : {"a", "b", "c"}) ASSERT_TRUE(Put(content).ok());
  ASSERT_TRUE(Put("a").ok());
  ASSERT_TRUE(store_->Pin(NameOf("b")));
  ASSERT_TRUE(Put("d").ok());
  EXPECT_FALSE(store_->Pin(NameOf("c")));
  ASSERT_TRUE(store_->Pin(NameOf("a")));
  ASSERT_TRUE(store_->Pin(NameOf("d")));
  EXPECT_TRUE(absl::IsResourceExhausted(Put("e").status()));
  EXPECT_THAT(Files(), SizeIs(3));
  store_->Unpin(NameOf("b"));
  EXPECT_TRUE(Put("e").ok());
}

TEST_F(BlobStoreTest, UploadsInFlightAreBounded) {
  auto never = [this]() -> awaitable<absl::StatusOr<std::optional<std::string>>> {
    absl::Status slept = co_await clock_.SleepUntil(clock_.Boot() + hours(1));
    co_return absl::CancelledError("test");
  };
  std::vector<std::shared_ptr<std::optional<absl::StatusOr<StoredBlob>>>> uploads;
  for (int i = 0; i < BlobStore::kUploadsMax; ++i) {
    uploads.push_back(Begin(NameOf(std::to_string(i)), 1, never));
  }
  clock_.RunUntilIdle();
  EXPECT_TRUE(absl::IsUnavailable(Put("x").status()));
  clock_.Advance(hours(1));
  for (const auto& upload : uploads) EXPECT_TRUE(upload->has_value());
  EXPECT_TRUE(Put("x").ok());
  EXPECT_THAT(Files(), SizeIs(1));
}

TEST_F(BlobStoreTest, TwoWhoSendTheSameBothSucceed) {
  Client first{.pieces = {"same"}, .end = {}};
  Client second{.pieces = {"same"}, .end = {}};
  const auto one = Begin(NameOf("same"), 4, first.Next());
  const auto two = Begin(NameOf("same"), 4, second.Next());
  clock_.RunUntilIdle();
  EXPECT_TRUE((*one)->ok());
  EXPECT_TRUE((*two)->ok());
  EXPECT_THAT(Files(), SizeIs(1));
  EXPECT_EQ(ContentOf(NameOf("same")), "same");
}

TEST_F(BlobStoreTest, AFullDiskIsAnAnswerAndLeavesNothing) {
  files_.SetCapacity(1 << 20);
  EXPECT_TRUE(absl::IsResourceExhausted(Put("abc").status()));
  files_.SetCapacity(std::nullopt);
  files_.SetFault([](base::FileOperation operation, const std::string&) {
    return operation == base::FileOperation::kSync ? absl::DataLossError("io") : absl::OkStatus();
  });
  EXPECT_TRUE(absl::IsDataLoss(Put("abc").status()));
  files_.SetFault(nullptr);
  EXPECT_THAT(Files(), IsEmpty());
  EXPECT_TRUE(Put("abc").ok());
}

TEST_F(BlobStoreTest, OffIsSaid) {
  limits_.max_bytes = 0;
  Restart();
  EXPECT_TRUE(absl::IsFailedPrecondition(Put("abc").status()));
}

TEST_F(BlobStoreTest, ARestartFindsWhatIsHere) {
  ASSERT_TRUE(Put("a").ok());
  files_.SetContent(std::string(kFolder) + "/incoming.0123", "rest");
  files_.SetContent(std::string(kFolder) + "/README", "not ours");
  clock_.Advance(hours(23));
  Restart();
  EXPECT_TRUE(Has("a"));
  EXPECT_EQ(ContentOf(NameOf("a")), "a");
  EXPECT_THAT(Files(), SizeIs(2));
  clock_.Advance(hours(23));
  store_->Sweep();
  EXPECT_TRUE(Has("a"));
}

// Whatever step the power goes at: afterwards the blob is not here, or here as a whole; one that
// was answered is here.
TEST_F(BlobStoreTest, APowerCutLeavesAWholeBlobOrNone) {
  const std::string content(100'000, 'x');
  for (uint64_t step = 0; step < 12; ++step) {
    const uint64_t seed = step + 1;
    base::FaultyFileSystem files;
    auto rng = base::MakeSeededRng(seed);
    BlobStore before({clock_, *rng_, files, context_.get_executor()}, kFolder, limits_);
    ASSERT_TRUE(before.Open().ok());
    files.StopAfter(step);
    Client client{.pieces = {content.substr(0, 50'000), content.substr(50'000)}, .end = {}};
    std::optional<absl::StatusOr<StoredBlob>> result;
    boost::asio::co_spawn(
        context_, before.Put(NameOf(content), 100'000, client.Next()),
        [&](std::exception_ptr, absl::StatusOr<StoredBlob> stored) { result = std::move(stored); });
    clock_.RunUntilIdle();
    ASSERT_TRUE(result.has_value());
    files.Crash(*rng);
    BlobStore after({clock_, *rng_, files, context_.get_executor()}, kFolder, limits_);
    ASSERT_TRUE(after.Open().ok());
    const bool here = after.Pin(NameOf(content));
    if (result->ok()) EXPECT_TRUE(here) << step;
    if (here) EXPECT_EQ(*files.Content(after.PathOf(NameOf(content))), content) << step;
    if (step == 11) EXPECT_TRUE(result->ok());
  }
}

}  // namespace
}  // namespace boxkeeper::blobs
