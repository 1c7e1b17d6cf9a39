#include "logs/remote/piece_reader.h"

#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>

#include "base/sha256.h"
#include "base/testing/fake_clock.h"
#include "logs/airflow_piece.h"
#include "logs/testing/run_awaitable.h"

namespace boxkeeper::logs::remote {
namespace {

Piece PieceOf(const std::string& content) {
  Piece piece{.name = "p", .size = content.size(), .sha256 = base::Sha256(content)};
  piece.open = TextOpener(std::make_shared<const std::string>(content));
  return piece;
}

class PieceReaderTest : public testing::Test {
 protected:
  // The blocks, with the error that ended them as the last one.
  std::vector<std::string> Blocks(const Piece& piece, size_t size) {
    PieceReader reader(context_.get_executor(), piece);
    std::vector<std::string> blocks;
    for (;;) {
      auto block = RunAwaitable(context_, clock_, reader.Next(size));
      if (!block.ok()) {
        blocks.push_back(absl::IsDataLoss(block.status()) ? "lost" : "error");
        return blocks;
      }
      if (block->empty()) return blocks;
      blocks.push_back(*std::move(block));
    }
  }

  boost::asio::io_context context_;
  base::FakeClock clock_{context_};
};

TEST_F(PieceReaderTest, GivesBlocksOfTheSizeAskedFor) {
  EXPECT_EQ(Blocks(PieceOf("hello world"), 4), (std::vector<std::string>{"hell", "o wo", "rld"}));
  EXPECT_EQ(Blocks(PieceOf("12345678"), 4), (std::vector<std::string>{"1234", "5678"}));
  EXPECT_TRUE(Blocks(PieceOf(""), 4).empty());
}

TEST_F(PieceReaderTest, KeepsTheLastBlockOfWhatWasNotAnnounced) {
  Piece wrong = PieceOf("12345678");
  wrong.sha256[0] ^= 1;
  EXPECT_EQ(Blocks(wrong, 4), (std::vector<std::string>{"1234", "lost"}));
  EXPECT_EQ(Blocks(wrong, 100), (std::vector<std::string>{"lost"}));
  Piece longer = PieceOf("12345678");
  longer.size = 9;
  EXPECT_EQ(Blocks(longer, 100), (std::vector<std::string>{"lost"}));
  Piece shorter = PieceOf("12345678");
  shorter.size = 7;
  EXPECT_EQ(Blocks(shorter, 4), (std::vector<std::string>{"lost"}));
  Piece empty = PieceOf("");
  empty.size = 1;
  EXPECT_EQ(Blocks(empty, 4), (std::vector<std::string>{"lost"}));
}

}  // namespace
}  // namespace boxkeeper::logs::remote
