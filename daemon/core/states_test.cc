#include "daemon/core/states.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <tuple>

namespace boxkeeper::daemon {
namespace {

using Row = std::tuple<std::string, std::string, std::string>;

std::set<Row> DocumentedEdges() {
  std::ifstream file("docs/architecture.md");
  std::set<Row> rows;
  bool inside = false;
  for (std::string line; std::getline(file, line);) {
    if (line == "<!-- edges:begin -->") inside = true;
    if (line == "<!-- edges:end -->") inside = false;
    std::istringstream words(line);
    std::string bar, from, event, to;
    if (inside && words >> bar >> from >> bar >> event >> bar >> to && event.starts_with("k")) {
      rows.insert({from, event, to});
    }
  }
  return rows;
}

constexpr TaskEvent kLastEvent = TaskEvent::kAbandoned;

TEST(StatesTest, TheDocumentShowsExactlyTheTable) {
  std::set<Row> rows;
  for (const Edge& edge : Edges()) {
    rows.insert({std::string(StateName(edge.from)), std::string(EventName(edge.on)),
                 std::string(StateName(edge.to))});
  }
  EXPECT_EQ(rows.size(), Edges().size()) << "an edge stands twice";
  EXPECT_EQ(DocumentedEdges(), rows);
}

TEST(StatesTest, WhatIsNotInTheTableIsRefused) {
  std::map<std::pair<int, int>, v1::TaskState> table;
  for (const Edge& edge : Edges()) table[{edge.from, static_cast<int>(edge.on)}] = edge.to;
  for (int state = v1::TASK_STATE_QUEUED; state < v1::TaskState_ARRAYSIZE; ++state) {
    for (int event = 0; event <= static_cast<int>(kLastEvent); ++event) {
      const auto next = Next(static_cast<v1::TaskState>(state), static_cast<TaskEvent>(event));
      auto edge = table.find({state, event});
      if (edge == table.end()) {
        EXPECT_EQ(next.status().code(), absl::StatusCode::kFailedPrecondition);
      } else {
        ASSERT_TRUE(next.ok());
        EXPECT_EQ(*next, edge->second);
      }
    }
  }
}

TEST(StatesTest, TerminalStatesAbsorb) {
  for (const Edge& edge : Edges()) EXPECT_FALSE(IsTerminal(edge.from));
}

// But where the intent is withdrawn, because what was intended provably did not happen.
TEST(StatesTest, NoTaskReturnsToTheQueueAfterItsStartIntent) {
  for (const Edge& edge : Edges()) {
    if (MayRun(edge.from) && edge.on != TaskEvent::kStartWithdrawn)
      EXPECT_FALSE(edge.to == v1::TASK_STATE_QUEUED || edge.to == v1::TASK_STATE_CREATING);
  }
}

TEST(StatesTest, SuccessComesOnlyFromAnAttestedExitZero) {
  for (const Edge& edge : Edges()) {
    if (edge.to == v1::TASK_STATE_SUCCEEDED) EXPECT_EQ(edge.on, TaskEvent::kExitedZero);
  }
}

}  // namespace
}  // namespace boxkeeper::daemon
