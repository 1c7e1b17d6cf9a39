#include "logs/resumable_sha256.h"

#include <gtest/gtest.h>

#include "base/hex.h"
#include "base/rng.h"
#include "base/sha256.h"

namespace boxkeeper::logs {
namespace {

TEST(ResumableSha256Test, KnownAnswers) {
  EXPECT_EQ(base::HexEncode(ResumableSha256().Digest()),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  ResumableSha256 hash;
  hash.Update("abc");
  EXPECT_EQ(base::HexEncode(hash.Digest()),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(ResumableSha256Test, GoesOnFromItsStateAtEveryLength) {
  auto rng = base::MakeSeededRng(1);
  std::string text;
  ResumableSha256 hash;
  for (int round = 0; round < 400; ++round) {
    EXPECT_EQ(hash.Digest(), base::Sha256(text)) << text.size();
    const std::string state = hash.State();
    EXPECT_LE(state.size(), 103u);
    auto again = ResumableSha256::FromState(state);
    ASSERT_TRUE(again.has_value());
    hash = *again;
    const std::string more(rng->Next() % 200, static_cast<char>('a' + round % 26));
    hash.Update(more);
    text += more;
  }
}

TEST(ResumableSha256Test, RefusesWhatIsNoState) {
  EXPECT_FALSE(ResumableSha256::FromState(""));
  EXPECT_FALSE(ResumableSha256::FromState(std::string(41, '\0')));
}

}  // namespace
}  // namespace boxkeeper::logs
