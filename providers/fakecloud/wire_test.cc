#include "providers/fakecloud/wire.h"

#include <gtest/gtest.h>

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include "providers/fakecloud/server_wire.h"

namespace boxkeeper::providers::fakecloud {
namespace {

namespace json = boost::json;

absl::StatusOr<pb::SandboxView> View(const char* text) {
  return SandboxFromJson(json::parse(text));
}

TEST(WireTest, SandboxComesBackAsItWas) {
  pb::SandboxView view;
  view.set_handle("h");
  view.set_name("n");
  (*view.mutable_labels())["k"] = "v";
  view.set_state(pb::SandboxView::ENDED);
  view.mutable_created_at()->set_seconds(1'700'000'000);
  view.mutable_started_at()->set_seconds(1'700'000'001);
  view.mutable_started_at()->set_nanos(5'000);
  view.mutable_exit()->set_signal(9);
  view.mutable_exit()->set_timed_out(true);
  view.mutable_exit()->set_stdout_bytes(1LL << 40);
  const auto back = SandboxFromJson(SandboxToJson(view));
  ASSERT_TRUE(back.ok()) << back.status();
  EXPECT_EQ(back->handle(), "h");
  EXPECT_EQ(back->labels().at("k"), "v");
  EXPECT_EQ(back->started_at().nanos(), 5'000);
  EXPECT_TRUE(back->started_marker());
  EXPECT_EQ(back->exit().signal(), 9);
  EXPECT_FALSE(back->exit().has_exit_code());
  EXPECT_TRUE(back->exit().timed_out());
  EXPECT_EQ(back->exit().stdout_bytes(), 1LL << 40);
}

TEST(WireTest, UnknownWordIsUnknownAndHasNoExit) {
  const auto view = View(R"({"id":"h","name":"n","state":"exploded","exit":{"exit_code":0}})");
  ASSERT_TRUE(view.ok()) << view.status();
  EXPECT_EQ(view->state(), pb::SandboxView::UNKNOWN);
  EXPECT_FALSE(view->has_exit());
}

TEST(WireTest, EndWithoutACodeIsNoSuccess) {
  const auto view = View(R"({"id":"h","name":"n","state":"ended","exit":{"exit_code":null}})");
  ASSERT_TRUE(view.ok()) << view.status();
  EXPECT_FALSE(view->exit().has_exit_code());
}

TEST(WireTest, WhatMakesNoSenseIsRefused) {
  for (const char* text :
       {"[]", "null", "3", "{}", R"({"id":"h"})", R"({"id":3,"name":"n","state":"running"})",
        R"({"id":"","name":"n","state":"running"})", R"({"id":"h","name":"","state":"running"})",
        R"({"id":"h","name":"n"})", R"({"id":"h","name":"n","state":"running","labels":[]})",
        R"({"id":"h","name":"n","state":"running","labels":{"a":1}})",
        R"({"id":"h","name":"n","state":"running","started_at":"yesterday"})",
        R"({"id":"h","name":"n","state":"ended","exit":{"exit_code":"0"}})",
        R"({"id":"h","name":"n","state":"ended","exit":{"exit_code":0.5}})",
        R"({"id":"h","name":"n","state":"ended","exit":{"exit_code":99999999999}})",
        R"({"id":"h","name":"n","state":"ended","exit":{"exit_code":0,"signal":9}})",
        R"({"id":"h","name":"n","state":"ended","exit":{"stdout_bytes":-1}})",
        R"({"id":"h","name":"n","state":"ended","exit":[]})"}) {
    EXPECT_FALSE(View(text).ok()) << text;
  }
}

TEST(WireTest, ListNeedsItsRows) {
  EXPECT_TRUE(ListFromJson(json::parse(R"({"sandboxes":[]})")).ok());
  EXPECT_FALSE(ListFromJson(json::parse("{}")).ok());
  EXPECT_FALSE(ListFromJson(json::parse(R"({"sandboxes":[{}]})")).ok());
}

TEST(WireTest, StartSaysOneOfThree) {
  EXPECT_TRUE(StartFromJson(json::parse(R"({"result":"started","repeated":true})"))
                  ->started()
                  .repeated_call());
  EXPECT_EQ(StartFromJson(json::parse(R"({"result":"ended","exit":{"exit_code":4}})"))
                ->ended()
                .exit_code(),
            4);
  EXPECT_EQ(StartFromJson(json::parse(R"({"result":"failed","message":"m","errno":2})"))
                ->failure()
                .message(),
            "m");
  EXPECT_FALSE(StartFromJson(json::parse(R"({"result":"maybe"})")).ok());
  EXPECT_FALSE(StartFromJson(json::parse(R"({"result":"ended"})")).ok());
}

TEST(WireTest, LaunchArrivesWithoutItsSecrets) {
  pb::LaunchRequest launch;
  launch.set_exec_id("x");
  launch.mutable_command()->mutable_argv()->add_args("sim");
  launch.mutable_command()->mutable_argv()->add_args("run=1s");
  (*launch.mutable_secret_env())["KEY"] = "s3cret";
  launch.mutable_timeout()->set_seconds(3);
  launch.mutable_grace()->set_nanos(5'000'000);
  const auto there = LaunchFromJson(LaunchToJson(launch));
  ASSERT_TRUE(there.ok()) << there.status();
  EXPECT_EQ(there->command().argv().args(1), "run=1s");
  EXPECT_EQ(there->timeout().seconds(), 3);
  EXPECT_EQ(there->grace().nanos(), 5'000'000);
  EXPECT_EQ(there->DebugString().find("s3cret"), std::string::npos);
}

TEST(WireTest, ErrorCodeIsFoundWhereItIs) {
  EXPECT_EQ(ErrorCodeOf(json::value(ErrorToJson("no_capacity", "m"))), "no_capacity");
  EXPECT_EQ(ErrorCodeOf(json::parse("{}")), "");
  EXPECT_EQ(ErrorCodeOf(json::parse("[]")), "");
  EXPECT_EQ(ErrorCodeOf(json::parse(R"({"error":"x"})")), "");
}

}  // namespace
}  // namespace boxkeeper::providers::fakecloud
