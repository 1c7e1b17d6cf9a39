#include "bench/latencies.h"

#include <gtest/gtest.h>

namespace boxkeeper::bench {
namespace {

TEST(LatenciesTest, EmptyHasNoPercentile) { EXPECT_EQ(Latencies().PercentileMs(50), 0); }

TEST(LatenciesTest, PercentileIsTheNearestRank) {
  Latencies latencies;
  for (int i = 100; i >= 1; --i) latencies.Add(i * 1'000'000);
  EXPECT_EQ(latencies.PercentileMs(50), 50);
  EXPECT_EQ(latencies.PercentileMs(99), 99);
  EXPECT_EQ(latencies.PercentileMs(100), 100);
  latencies.Add(0);
  EXPECT_EQ(latencies.PercentileMs(0), 0);
}

TEST(LatenciesTest, MergeKeepsEveryValue) {
  Latencies a;
  Latencies b;
  a.Add(3'000'000);
  EXPECT_EQ(a.PercentileMs(50), 3);
  b.Add(1'000'000);
  b.Add(2'000'000);
  a.Merge(b);
  EXPECT_EQ(a.size(), 3U);
  EXPECT_EQ(a.PercentileMs(50), 2);
  EXPECT_EQ(a.Json(),
            R"({"count":3,"p50_ms":2.0000,"p90_ms":3.0000,"p99_ms":3.0000,"max_ms":3.0000})");
}

}  // namespace
}  // namespace boxkeeper::bench
