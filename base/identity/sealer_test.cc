#include "base/identity/sealer.h"

#include <gtest/gtest.h>

#include <thread>

#include "base/testing/faulty_file_system.h"

namespace boxkeeper::base {
namespace {

struct SealerTest : testing::Test {
  FaultyFileSystem fs;
  std::unique_ptr<Rng> rng = MakeSeededRng(1);
  std::unique_ptr<Sealer> Make() {
    auto sealer = Sealer::Create(fs, *rng, {.key_file = "/identity/seal.key"});
    EXPECT_TRUE(sealer.ok()) << sealer.status();
    return *std::move(sealer);
  }
};

TEST_F(SealerTest, OpensWhatItSealedAlsoAfterARestart) {
  for (const std::string& secret :
       {std::string(), std::string("x"), std::string(100'000, 's'), std::string("\0\xff", 2)}) {
    std::string box = Make()->Seal(secret, "task 7");
    fs.Crash(*rng);
    auto opened = Make()->Open(box, "task 7");
    ASSERT_TRUE(opened.ok()) << opened.status();
    EXPECT_EQ(opened->view(), secret);
  }
}

TEST_F(SealerTest, ABoxTellsNothing) {
  auto sealer = Make();
  std::string canary = "canary-0123456789";
  std::string a = sealer->Seal(canary, "task 7"), b = sealer->Seal(canary, "task 7");
  EXPECT_NE(a, b);
  EXPECT_EQ(a.find(canary), std::string::npos);
}

TEST_F(SealerTest, AnyChangeAndAnyOtherTaskFailToOpen) {
  auto sealer = Make();
  std::string box = sealer->Seal("secret", "task 7");
  EXPECT_EQ(sealer->Open(box, "task 8").status().code(), absl::StatusCode::kDataLoss);
  for (size_t i = 0; i < box.size(); ++i) {
    std::string changed = box;
    changed[i] ^= 1;
    EXPECT_FALSE(sealer->Open(changed, "task 7").ok()) << i;
    EXPECT_FALSE(sealer->Open(box.substr(0, i), "task 7").ok()) << i;
  }
  EXPECT_FALSE(sealer->Open(box + "x", "task 7").ok());
}

TEST_F(SealerTest, RotationKeepsOldBoxesAndDigests) {
  auto before = Make();
  std::string box = before->Seal("secret", "t");
  std::string digest = before->KeyedHash("secret");
  std::string file = *fs.Content("/identity/seal.key");
  fs.SetContent("/identity/seal.key", "new " + std::string(64, 'c') + "\n" + file);
  auto after = Make();
  EXPECT_EQ(after->Open(box, "t")->view(), "secret");
  EXPECT_EQ(after->KeyedHash("secret"), digest);
  EXPECT_EQ(before->Open(after->Seal("secret", "t"), "t").status().code(),
            absl::StatusCode::kNotFound);
}

TEST_F(SealerTest, KeyedHashesDifferByValueAndByKey) {
  auto one = Make();
  EXPECT_EQ(one->KeyedHash("a"), one->KeyedHash("a"));
  EXPECT_NE(one->KeyedHash("a"), one->KeyedHash("b"));
  EXPECT_EQ(one->KeyedHash("a").size(), 32u);
  auto two = *Sealer::Create(fs, *rng, {.key_file = "/other.key"});
  EXPECT_NE(one->KeyedHash("a"), two->KeyedHash("a"));
}

TEST_F(SealerTest, AProvidedKeyMustBeThere) {
  EXPECT_EQ(Sealer::Create(fs, *rng, {.key_file = "/run/cred", .must_exist = true}).status().code(),
            absl::StatusCode::kNotFound);
  EXPECT_FALSE(*fs.Exists("/run/cred"));
}

TEST_F(SealerTest, ServesManyThreads) {
  auto sealer = Make();
  std::vector<std::jthread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 200; ++i) {
        std::string box = sealer->Seal("secret", "t");
        EXPECT_TRUE(sealer->Open(box, "t").ok());
      }
    });
  }
}

}  // namespace
}  // namespace boxkeeper::base
