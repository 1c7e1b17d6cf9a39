#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>

#include "absl/strings/str_cat.h"
#include "artifacts/artifact_reader.h"
#include "artifacts/artifact_shipper.h"
#include "artifacts/spooled_outputs.h"
#include "base/rng.h"
#include "base/sha256.h"
#include "base/testing/fake_clock.h"
#include "base/testing/faulty_file_system.h"
#include "logs/testing/memory_store.h"
#include "logs/testing/run_awaitable.h"

namespace boxkeeper::artifacts {
namespace {

using std::chrono::seconds;

constexpr char kManifest[] = "/spool/t/outputs";

base::TaskId Task(uint8_t number) {
  base::TaskId task;
  task.id.bytes[0] = number;
  return task;
}

class ArtifactsTest : public ::testing::Test {
 protected:
  ArtifactsTest() {
    EXPECT_TRUE(files_.MakeDirectories("/spool/t", 0700).ok());
    Restart();
  }

  void Restart() {
    shipper_.reset();
    stored_ = 0;
    ArtifactShipper::Deps deps{clock_,
                               *rng_,
                               files_,
                               store_,
                               context_.get_executor(),
                               context_.get_executor(),
                               [this](base::TaskId) { ++stored_; }};
    shipper_ = std::make_unique<ArtifactShipper>(std::move(deps), ArtifactShipperOptions());
  }

  void Collect(const std::vector<std::pair<std::string, std::string>>& contents,
               const std::string& manifest_path = kManifest) {
    base::OutputsManifest manifest;
    std::string data;
    for (const auto& [path, content] : contents) {
      manifest.files.push_back({.path = path,
                                .offset = data.size(),
                                .size = content.size(),
                                .modified_unix_ns = 1'500'000'000,
                                .mode = 0640,
                                .sha256 = base::Sha256(content)});
      data += content;
    }
    manifest.skipped = 1;
    manifest.notes = {"'x': is a symbolic link"};
    if (!data.empty()) files_.SetContent(manifest_path + ".data", data);
    files_.SetContent(manifest_path, base::EncodeOutputsManifest(manifest));
  }

  template <typename T>
  T Await(boost::asio::awaitable<T> coroutine) {
    return logs::RunAwaitable(context_, clock_, std::move(coroutine));
  }

  boost::asio::io_context context_;
  base::FakeClock clock_{context_};
  std::unique_ptr<base::Rng> rng_ = base::MakeSeededRng(1);
  base::FaultyFileSystem files_;
  logs::MemoryStore store_{/*can_append=*/false};
  const base::TaskId task_ = Task(1);
  std::unique_ptr<ArtifactShipper> shipper_;
  ArtifactReader reader_{{files_, store_, context_.get_executor()}};
  int stored_ = 0;
};

TEST_F(ArtifactsTest, EveryFileAndThenTheManifest) {
  Collect({{"dist/a.txt", "A"}, {"empty", ""}, {"/tmp/\xc3\xa4 b", std::string(3 << 20, 'b')}});
  shipper_->Ship(task_, kManifest);
  EXPECT_EQ(stored_, 0);
  clock_.RunUntilIdle();
  EXPECT_EQ(stored_, 1);
  const std::string base = "_boxkeeper/" + task_.ToString() + "/outputs/";
  EXPECT_EQ(store_.Names(),
            (std::vector<std::string>{base + "00000000-a.txt", base + "00000001-empty",
                                      base + "00000002-___b", base + "manifest.json"}));
  EXPECT_EQ(store_.Content(base + "00000002-___b"), std::string(3 << 20, 'b'));
  EXPECT_EQ(shipper_->status().stored_files, 3u);
  EXPECT_EQ(shipper_->status().pending, 0u);
  const auto outputs = ParseOutputs(*store_.Content(base + "manifest.json"));
  ASSERT_TRUE(outputs.ok());
  EXPECT_EQ(outputs->artifacts(0).sha256(),
            "559aead08264d5795d3909718cdd05abd49572e84fe55590eef31a88a08fdffd");
  EXPECT_EQ(outputs->artifacts(0).mode(), 0640u);
  EXPECT_EQ(outputs->artifacts(2).path(), "/tmp/\xc3\xa4 b");
  EXPECT_EQ(outputs->skipped(), 1);
}

TEST_F(ArtifactsTest, NothingCollectedIsStoredAtOnce) {
  shipper_->Ship(task_, kManifest);
  clock_.RunUntilIdle();
  EXPECT_EQ(stored_, 1);
  EXPECT_TRUE(store_.Names().empty());
}

TEST_F(ArtifactsTest, AStoreThatIsDownIsWaitedFor) {
  Collect({{"a", "A"}, {"b", "B"}});
  store_.down = absl::UnavailableError("down");
  shipper_->Ship(task_, kManifest);
  clock_.Advance(seconds(3600));
  EXPECT_EQ(stored_, 0);
  EXPECT_EQ(shipper_->status().failing, 1u);
  EXPECT_EQ(shipper_->status().last_error, "down");
  store_.down = absl::OkStatus();
  clock_.Advance(seconds(61));
  EXPECT_EQ(stored_, 1);
  EXPECT_EQ(shipper_->status().failing, 0u);
  EXPECT_EQ(shipper_->status().last_error, "");
}

// Whatever answer is lost, and whenever the daemon dies: the same objects with the same bytes.
TEST_F(ArtifactsTest, ARepeatChangesNothing) {
  Collect({{"a", "A"}, {"b", "B"}});
  for (int at = 0; at < 3; ++at) {
    store_.FailChange(at, absl::UnavailableError("lost"), /*after_commit=*/true);
    shipper_->Ship(task_, kManifest);
    clock_.RunUntilIdle();
    Restart();
    shipper_->Ship(task_, kManifest);
    clock_.Advance(seconds(61));
    EXPECT_EQ(stored_, 1) << at;
    EXPECT_EQ(store_.Names().size(), 3u);
    EXPECT_EQ(store_.Content(ArtifactObject(task_, 0, "a")), "A");
  }
}

TEST_F(ArtifactsTest, WhatIsDamagedIsNeverStored) {
  Collect({{"a", "A"}});
  files_.SetContent(absl::StrCat(kManifest, ".data"), "B");
  shipper_->Ship(task_, kManifest);
  clock_.RunUntilIdle();
  EXPECT_EQ(stored_, 0);
  EXPECT_TRUE(store_.Names().empty());
  EXPECT_EQ(shipper_->status().failing, 1u);
  files_.SetContent(kManifest, "damaged");
  clock_.Advance(seconds(1));
  EXPECT_EQ(stored_, 0);
}

TEST_F(ArtifactsTest, ForgottenEndsWithoutAWord) {
  Collect({{"a", "A"}});
  store_.down = absl::UnavailableError("down");
  shipper_->Ship(task_, kManifest);
  clock_.RunUntilIdle();
  shipper_->Forget(task_);
  store_.down = absl::OkStatus();
  clock_.Advance(seconds(100));
  EXPECT_EQ(stored_, 0);
  EXPECT_EQ(shipper_->status().pending, 0u);
  EXPECT_EQ(shipper_->status().failing, 0u);
}

TEST_F(ArtifactsTest, StopEndsTheWaiting) {
  Collect({{"a", "A"}});
  store_.down = absl::UnavailableError("down");
  for (uint8_t i = 0; i < 10; ++i) shipper_->Ship(Task(i), kManifest);
  clock_.RunUntilIdle();
  EXPECT_TRUE(Await(shipper_->Stop(clock_.Boot() + seconds(5))).ok());
  clock_.Advance(seconds(100));
  EXPECT_EQ(stored_, 0);
}

TEST_F(ArtifactsTest, ReadFromTheSpoolAndFromTheStoreAlike) {
  const std::string content = absl::StrCat(std::string(1000, 'x'), "end");
  Collect({{"first", "F"}, {"big", content}});
  ArtifactSource source{task_, kManifest, false};
  const auto spooled = Await(reader_.List(source));
  ASSERT_TRUE(spooled.ok());
  EXPECT_EQ(spooled->artifacts(1).object(), "");
  EXPECT_EQ(*Await(reader_.Read(source, spooled->artifacts(1), 998, 4)), "xxen");
  EXPECT_EQ(*Await(reader_.Read(source, spooled->artifacts(1), 1003, 4)), "");
  shipper_->Ship(task_, kManifest);
  clock_.RunUntilIdle();
  ASSERT_TRUE(files_.Remove(kManifest).ok());
  EXPECT_TRUE(absl::IsNotFound(Await(reader_.List(source)).status()));
  source.stored = true;
  const auto stored = Await(reader_.List(source));
  ASSERT_TRUE(stored.ok());
  EXPECT_EQ(stored->artifacts_size(), 2);
  EXPECT_EQ(*Await(reader_.Read(source, stored->artifacts(1), 998, 4)), "xxen");
  EXPECT_EQ(*Await(reader_.Read(source, stored->artifacts(1), 0, 5000)), content);
  EXPECT_EQ(*Await(reader_.Read(source, stored->artifacts(1), 5000, 4)), "");
}

TEST_F(ArtifactsTest, ObjectNamesAreSafeInAnyStore) {
  EXPECT_TRUE(ArtifactObject(task_, 7, "a/" + std::string(255, 'n') + ".xml").size() < 200);
  const std::string name = ArtifactObject(task_, 7, "a/..?*%\xff .xml");
  EXPECT_TRUE(name.ends_with("/outputs/00000007-.._____.xml")) << name;
}

}  // namespace
}  // namespace boxkeeper::artifacts
