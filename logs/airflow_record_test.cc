#include "logs/airflow_record.h"

#include <gtest/gtest.h>

namespace boxkeeper::logs {
namespace {

constexpr int64_t kTime = 1'767'225'600'123'456;  // 2026-01-01T00:00:00.123456Z

std::string Text(std::string_view text, uint64_t part = 0) {
  std::string out;
  AppendTextRecord(out, Stream::kStdout, kTime, text, part);
  return out;
}

std::string Existing(std::string_view line) {
  std::string out;
  AppendExistingRecord(out, line);
  return out;
}

TEST(AirflowRecordTest, TextBecomesARecord) {
  EXPECT_EQ(Text("hello"),
            "{\"timestamp\":\"2026-01-01T00:00:00.123456Z\",\"level\":\"info\","
            "\"logger\":\"task.stdout\",\"event\":\"hello\"}\n");
  std::string out;
  AppendTextRecord(out, Stream::kStderr, kTime, "oops", 3);
  EXPECT_EQ(out,
            "{\"timestamp\":\"2026-01-01T00:00:00.123456Z\",\"level\":\"error\","
            "\"logger\":\"task.stderr\",\"event\":\"oops\",\"part\":3}\n");
}

TEST(AirflowRecordTest, AnyBytesGiveOneLineOfValidJson) {
  std::string all;
  for (int c = 0; c < 256; ++c) all += static_cast<char>(c);
  const std::string line = Text(all + "\xe2\x80\xa8\xc2\x85\xf0\x9f\x98\x80");
  EXPECT_EQ(line.find('\n'), line.size() - 1);
  auto record = ParseRecordText(line);
  ASSERT_TRUE(record);
  EXPECT_EQ(record->stream, Stream::kStdout);
  EXPECT_EQ(record->text.substr(0, 128), all.substr(0, 128));
  EXPECT_TRUE(record->text.ends_with("\xef\xbf\xbd\xe2\x80\xa8\xc2\x85\xf0\x9f\x98\x80"));
  // The reader would break lines at these.
  EXPECT_EQ(line.find("\xe2\x80\xa8"), std::string::npos);
  EXPECT_EQ(line.find("\xc2\x85"), std::string::npos);
}

TEST(AirflowRecordTest, RecognisesRecords) {
  EXPECT_EQ(ExistingRecordTime(R"({"timestamp":"2026-01-01T00:00:00.123456Z","event":"x"})"),
            kTime);
  EXPECT_EQ(ExistingRecordTime(R"({"timestamp":"2026-01-01T01:00:00.123456+01:00","event":"x"})"),
            kTime);
  EXPECT_EQ(
      ExistingRecordTime(R"( {"event":"","timestamp":"2026-01-01 00:00:00.123456","a":[{}]} )"),
      kTime);
  EXPECT_EQ(ExistingRecordTime(R"({"timestamp":1767225600,"event":"x"})"), 1'767'225'600'000'000);
  EXPECT_EQ(ExistingRecordTime(R"({"timestamp":1767225600123,"event":"x"})"),
            1'767'225'600'123'000);
}

TEST(AirflowRecordTest, EverythingElseIsText) {
  for (const char* line :
       {"", "text", "{", "{}", R"({"event":"x"})", R"({"timestamp":"2026-01-01T00:00:00Z"})",
        R"({"timestamp":"yesterday","event":"x"})", R"({"timestamp":null,"event":"x"})",
        R"({"timestamp":"2026-01-01T00:00:00Z","event":1})", R"(["timestamp","event"])",
        R"("timestamp")", R"({"timestamp":"2026-01-01T00:00:00Z","event":"x"} trailing)",
        "{\"timestamp\":\"2026-01-01T00:00:00Z\",\"event\":\"\xff\"}"}) {
    EXPECT_FALSE(ExistingRecordTime(line)) << line;
  }
}

TEST(AirflowRecordTest, ARecordPassesUnchangedButForLineBreaks) {
  const std::string line = R"({"timestamp":"2026-01-01T00:00:00Z","event":"a\nb","x":1.50})";
  EXPECT_EQ(Existing(line), line + "\n");
  EXPECT_EQ(Existing(line + "\r"), line + "\n");
  EXPECT_EQ(Existing("{\"event\":\"a\xe2\x80\xa8z\",\r\"x\":1}"),
            "{\"event\":\"a\\u2028z\", \"x\":1}\n");
}

TEST(AirflowRecordTest, ReadsBackWhatItWrote) {
  auto part = ParseRecordText(Text("abc", 2));
  ASSERT_TRUE(part);
  EXPECT_EQ(part->text, "abc");
  EXPECT_EQ(part->part, 2u);
  std::string drop;
  AppendDropRecord(drop, Stream::kStderr, kTime, 77);
  auto dropped = ParseRecordText(drop);
  ASSERT_TRUE(dropped);
  EXPECT_EQ(dropped->stream, Stream::kStderr);
  EXPECT_TRUE(dropped->dropped);
  EXPECT_EQ(dropped->text, "[boxkeeper: dropped 77 bytes]");
  auto existing = ParseRecordText(R"({"timestamp":"2026-01-01T00:00:00Z","event":"x"})");
  ASSERT_TRUE(existing);
  EXPECT_FALSE(existing->stream);
  EXPECT_EQ(existing->text, R"({"timestamp":"2026-01-01T00:00:00Z","event":"x"})");
  EXPECT_FALSE(ParseRecordText("text"));
}

TEST(AirflowRecordTest, WhyATaskEndedIsOfNoStream) {
  std::string end;
  AppendEndRecord(end, kTime, "OOM", "it said \"no\"");
  EXPECT_EQ(end.substr(end.find(",\"level\"")),
            ",\"level\":\"error\",\"logger\":\"boxkeeper\",\"event\":\"it said "
            "\\\"no\\\"\",\"reason\":\"OOM\"}\n");
  end.pop_back();
  EXPECT_TRUE(ExistingRecordTime(end));
  EXPECT_FALSE(ParseRecordText(end));
}

}  // namespace
}  // namespace boxkeeper::logs
