#include "logs/piece_list.h"

#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>

#include "base/sha256.h"
#include "base/testing/fake_clock.h"
#include "logs/airflow_piece.h"
#include "logs/log_path.h"
#include "logs/testing/memory_store.h"
#include "logs/testing/run_awaitable.h"

namespace boxkeeper::logs {
namespace {

class PieceListTest : public testing::Test {
 protected:
  void Add(const std::string& name) {
    Piece piece{.name = name, .size = 1, .sha256 = base::Sha256("x")};
    piece.open = TextOpener(std::make_shared<const std::string>("x"));
    ASSERT_TRUE(RunAwaitable(context_, clock_, store_.Put(std::move(piece))).ok());
  }
  std::vector<uint64_t> Places() {
    auto places = RunAwaitable(context_, clock_, ListPieces(store_, "a/b", Stream::kStdout));
    EXPECT_TRUE(places.ok()) << places.status();
    return *places;
  }

  boost::asio::io_context context_;
  base::FakeClock clock_{context_};
  MemoryStore store_{false};
};

TEST_F(PieceListTest, OnlyThisStreamsPieces) {
  EXPECT_TRUE(Places().empty());
  Add(PlainPieceName("a/b", Stream::kStdout, 700));
  Add(PlainPieceName("a/b", Stream::kStdout, 0));
  Add(PlainPieceName("a/b", Stream::kStderr, 5));
  Add("a/b/stdout");
  Add("a/b/stdout.txt");
  Add("a/b/stdout.000000000000000x");
  Add("a/b/stdout.0000000000000001.tmp");
  EXPECT_EQ(Places(), (std::vector<uint64_t>{0, 700}));
}

TEST_F(PieceListTest, MoreThanAListingGives) {
  std::vector<uint64_t> expected;
  for (uint64_t i = 0; i < ObjectStore::kMaxListed + 500; ++i) {
    expected.push_back(i * 9'999);
    Add(PlainPieceName("a/b", Stream::kStdout, expected.back()));
  }
  EXPECT_EQ(Places(), expected);
}

}  // namespace
}  // namespace boxkeeper::logs
