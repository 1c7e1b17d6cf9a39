#include "base/log.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>
#include <vector>

namespace boxkeeper::base {
namespace {

struct Capture {
  explicit Capture(LogFormat format, LogLevel level = LogLevel::kDebug)
      : scoped(level, format,
               [this](LogLevel, std::string_view line) { lines.emplace_back(line); }) {}
  std::vector<std::string> lines;
  ScopedLogCapture scoped;
};

TEST(LogTest, FieldsPrintInTheFixedOrderThenAsGiven) {
  Capture capture(LogFormat::kText);
  LogInfo("task ended",
          {{"why", "x"}, {"code", 7}, {"provider", "local"}, {"task_id", "t1"}, {"again", true}});
  EXPECT_EQ(capture.lines.at(0), "task ended task_id=t1 provider=local code=7 why=x again=true");
}

TEST(LogTest, TextQuotesAndEscapesSoThatALineStaysALine) {
  Capture capture(LogFormat::kText);
  LogInfo("m", {{"a", "two words"}, {"b", "x\n\x1b[31m\"q\"\\"}, {"c", "\xff"}, {"d", ""}});
  EXPECT_EQ(capture.lines.at(0),
            "m a=\"two words\" b=\"x\\n\\u001b[31m\\\"q\\\"\\\\\" c=\"\xEF\xBF\xBD\"");
}

TEST(LogTest, JsonKeepsTypesAndIsValidUtf8) {
  Capture capture(LogFormat::kJson);
  LogInfo(
      "m",
      {{"n", -3}, {"u", UINT64_MAX}, {"d", 0.5}, {"b", false}, {"s", "\xc3\xa4\xff\xed\xa0\x80"}});
  EXPECT_EQ(capture.lines.at(0),
            "\"message\":\"m\",\"n\":-3,\"u\":18446744073709551615,\"d\":0.5,\"b\":false,"
            "\"s\":\"\xc3\xa4\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\"");
}

TEST(LogTest, LevelFilters) {
  Capture capture(LogFormat::kText, LogLevel::kWarning);
  LogDebug("d");
  LogInfo("i");
  LogWarning("w");
  LogError("e");
  EXPECT_EQ(capture.lines, (std::vector<std::string>{"w", "e"}));
  SetLogLevel(LogLevel::kOff);
  LogError("e2");
  EXPECT_EQ(capture.lines.size(), 2u);
}

TEST(LogTest, RepeatedWarningsAreLimitedPerMessage) {
  Capture capture(LogFormat::kText);
  for (int i = 0; i < 100; ++i) LogWarning("disk is slow", {{"i", i}});
  LogWarning("other");
  for (int i = 0; i < 100; ++i) LogInfo("transition");
  EXPECT_EQ(capture.lines.size(), 10u + 1u + 100u);
}

TEST(LogTest, IgnoredErrorsAreTold) {
  Capture capture(LogFormat::kText);
  LogIfError(absl::OkStatus(), "never said");
  LogIfError(absl::NotFoundError("gone"), "it was to be removed");
  ASSERT_EQ(capture.lines.size(), 1u);
  EXPECT_EQ(capture.lines[0],
            "ignored an error error=\"NOT_FOUND: gone\" why=\"it was to be removed\"");
}

TEST(LogTest, AsynchronousLinesAllReachTheFileAsJson) {
  std::string pattern = testing::TempDir() + "/log.XXXXXX";
  std::string dir = mkdtemp(pattern.data());
  std::string path = dir + "/log";
  {
    LogOptions options;
    options.file = path;
    Logging logging(options);
    std::vector<std::jthread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([t] {
        for (int i = 0; i < 100; ++i) LogInfo("line", {{"t", t}, {"i", i}});
      });
    }
    threads.clear();
    EXPECT_EQ(LogLinesDropped(), 0u);
  }
  std::ifstream file(path);
  std::string line;
  int count = 0;
  while (std::getline(file, line)) {
    EXPECT_TRUE(line.starts_with("{\"time\":\"20")) << line;
    EXPECT_NE(line.find("\"level\":\"info\",\"message\":\"line\""), std::string::npos) << line;
    ++count;
  }
  EXPECT_EQ(count, 400);
  std::filesystem::remove_all(dir);
}

TEST(LogTest, ParsesLevelsAndFormats) {
  EXPECT_EQ(ParseLogLevel("warning"), LogLevel::kWarning);
  EXPECT_EQ(ParseLogLevel("WARN"), std::nullopt);
  EXPECT_EQ(ParseLogFormat("json"), LogFormat::kJson);
  EXPECT_EQ(ParseLogFormat(""), std::nullopt);
}

TEST(CheckDeathTest, SaysConditionAndBelief) {
  EXPECT_DEATH(CHECK(1 == 2, "one is one"), "CHECK\\(1 == 2\\) failed: one is one");
  CHECK(true);
}

}  // namespace
}  // namespace boxkeeper::base
