#include "logs/exit_record.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "base/hex.h"
#include "base/sha256.h"

namespace boxkeeper::logs {
namespace {

TrackedLog Ended(Layout layout) {
  ShipJob job;
  job.layout = layout;
  job.path = "a/\"b\"";
  TrackedLog log(std::move(job));
  log.end = LogEnd{.stdout_bytes = 100, .stderr_bytes = 0};
  return log;
}

TEST(ExitRecordTest, TellsOfEachStreamAsItIsStored) {
  TrackedLog log = Ended(Layout::kPlain);
  PlainProgress& out = log.plain_of(Stream::kStdout);
  out.position = 100;
  out.gap = {10, 90};
  out.pieces = 3;
  out.hash->Update("what is stored");
  const auto facts = boost::json::parse(StoredFacts(log, /*can_append=*/false)).as_object();
  EXPECT_EQ(facts.at("path").as_string(), "a/\"b\"");
  const auto& stdout_facts = facts.at("stdout").as_object();
  EXPECT_EQ(stdout_facts.at("raw_bytes").as_int64(), 100);
  EXPECT_EQ(stdout_facts.at("dropped_bytes").as_int64(), 80);
  EXPECT_EQ(stdout_facts.at("stored_bytes").as_int64(), 20 + 31);  // with the marker
  EXPECT_EQ(stdout_facts.at("pieces").as_int64(), 3);
  EXPECT_EQ(stdout_facts.at("sha256").as_string(), base::HexEncode(base::Sha256("what is stored")));
  const auto& stderr_facts = facts.at("stderr").as_object();
  EXPECT_EQ(stderr_facts.at("pieces").as_int64(), 0);
  EXPECT_EQ(stderr_facts.at("sha256").as_string(), base::HexEncode(base::Sha256("")));
}

TEST(ExitRecordTest, SaysNothingThatIsNotKnown) {
  TrackedLog log = Ended(Layout::kMetaflow);
  log.job.streams = {Stream::kStdout};
  log.plain_of(Stream::kStdout).GoTo(100, std::nullopt);
  const auto facts = boost::json::parse(StoredFacts(log, false)).as_object();
  EXPECT_EQ(facts.at("stdout").as_object().at("pieces").as_int64(), 1);  // one object that grew
  EXPECT_FALSE(facts.at("stdout").as_object().contains("sha256"));
  EXPECT_FALSE(facts.at("stderr").as_object().contains("stored_bytes"));
}

TEST(ExitRecordTest, JoinsTheCoresRecord) {
  for (const char* record :
       {"{}", "{\n}\n", "{\"a\": {\"b\": 1}}", "{\n \"a\": {\n  \"b\": 1\n }\n}\n"}) {
    const auto joined = boost::json::parse(CompleteExitRecord(record, "{\"c\":2}")).as_object();
    EXPECT_EQ(joined.at("stored").as_object().at("c").as_int64(), 2) << record;
    EXPECT_EQ(joined.contains("a"), std::string(record).find('a') != std::string::npos);
  }
  EXPECT_EQ(CompleteExitRecord("", "{}"), "");
}

}  // namespace
}  // namespace boxkeeper::logs
