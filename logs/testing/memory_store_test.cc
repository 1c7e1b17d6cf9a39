#include "logs/testing/memory_store.h"

#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>

#include "base/sha256.h"
#include "base/testing/fake_clock.h"
#include "logs/airflow_piece.h"
#include "logs/testing/run_awaitable.h"

namespace boxkeeper::logs {
namespace {

Piece PieceOf(std::string name, const std::string& content) {
  Piece piece{.name = std::move(name), .size = content.size(), .sha256 = base::Sha256(content)};
  piece.open = TextOpener(std::make_shared<const std::string>(content));
  return piece;
}

class MemoryStoreTest : public testing::Test {
 protected:
  template <typename T>
  T Run(boost::asio::awaitable<T> call) {
    return RunAwaitable(context_, clock_, std::move(call));
  }
  boost::asio::io_context context_;
  base::FakeClock clock_{context_};
  MemoryStore store_{true};
};

TEST_F(MemoryStoreTest, ExtendsWholeOrNotAtAll) {
  EXPECT_TRUE(absl::IsOutOfRange(Run(store_.Extend(1, PieceOf("x", "tail")))));
  EXPECT_TRUE(Run(store_.Extend(0, PieceOf("x", "hello there"))).ok());
  Piece wrong = PieceOf("x", "world");
  wrong.sha256[0] ^= 1;
  EXPECT_TRUE(absl::IsDataLoss(Run(store_.Extend(6, wrong))));
  EXPECT_EQ(*store_.Content("x"), "hello there");
  EXPECT_TRUE(Run(store_.Extend(6, PieceOf("x", "world"))).ok());
  EXPECT_EQ(*store_.Content("x"), "hello world");
}

TEST_F(MemoryStoreTest, WhatIsNotSyncedIsLostWithThePower) {
  EXPECT_TRUE(Run(store_.WriteAt("x", 0, "12")).ok());
  EXPECT_TRUE(Run(store_.Sync("x", 2)).ok());
  EXPECT_TRUE(Run(store_.WriteAt("x", 2, "34")).ok());
  EXPECT_TRUE(Run(store_.WriteAt("y", 0, "34")).ok());
  EXPECT_TRUE(Run(store_.Put(PieceOf("z", "piece"))).ok());
  store_.LosePower();
  EXPECT_EQ(store_.Names(), (std::vector<std::string>{"x", "z"}));
  EXPECT_EQ(*store_.Content("x"), "12");
}

TEST_F(MemoryStoreTest, FailsAsTold) {
  store_.FailChange(1, absl::UnavailableError("503"), false);
  EXPECT_TRUE(Run(store_.Put(PieceOf("a", "1"))).ok());
  EXPECT_TRUE(absl::IsUnavailable(Run(store_.Put(PieceOf("b", "1")))));
  EXPECT_FALSE(store_.Content("b"));
  store_.FailChange(0, absl::UnavailableError("reset"), true);
  EXPECT_TRUE(absl::IsUnavailable(Run(store_.Put(PieceOf("b", "1")))));
  EXPECT_TRUE(store_.Content("b"));
  store_.down = absl::UnavailableError("down");
  EXPECT_FALSE(Run(store_.Read("a", 0, 1)).ok());
  EXPECT_FALSE(Run(store_.Remove("a")).ok());
  store_.down = absl::OkStatus();
  EXPECT_TRUE(Run(store_.Remove("a")).ok());
  EXPECT_EQ(Run(store_.List(""))->size(), 1u);
}

}  // namespace
}  // namespace boxkeeper::logs
