#include "daemon/submit/canonical.h"

#include <gtest/gtest.h>

#include <functional>
#include <set>

#include "absl/strings/escaping.h"
#include "daemon/submit/testing/fake_secret_keeper.h"
#include "google/protobuf/util/json_util.h"

namespace boxkeeper::daemon {
namespace {

v1::TaskSpec Spec(const std::string& json) {
  v1::TaskSpec spec;
  EXPECT_TRUE(google::protobuf::util::JsonStringToMessage(json, &spec).ok()) << json;
  return spec;
}

v1::TaskSpec FullSpec() {
  return Spec(R"({
    "submission_id": "123e4567-e89b-12d3-a456-426614174000",
    "key": {"name": "job", "group": "g", "run": "r"},
    "owner": "me", "command": {"argv": {"args": ["a", "b"]}},
    "sandbox_override": {"cpu": 2, "env": {"A": "1", "B": "2"}, "list": [1, null, true, "x"]},
    "files": [{"path": "f", "content": "eA=="}, {"path": "s", "content": "eA==", "secret": true}],
    "secrets": {"S": {"value": "hush"}, "E": {"env": "HOME"}},
    "labels": {"l": "v"}, "trace_context": "t", "on_live_key": "ON_LIVE_KEY_AFTER",
    "lease": {"ttl": "5s"}})");
}

std::string Digest(const v1::TaskSpec& spec) {
  return ContentDigest(spec, testing::FakeSecretKeeper());
}

TEST(CanonicalTest, WhatMayDifferBetweenRepeatsDoesNotCount) {
  const std::string digest = Digest(FullSpec());
  EXPECT_EQ(digest.size(), 32u);
  v1::TaskSpec spec = FullSpec();
  spec.clear_submission_id();
  spec.clear_owner();
  spec.clear_lease();
  spec.clear_trace_context();
  spec.clear_on_live_key();
  EXPECT_EQ(Digest(spec), digest);
}

TEST(CanonicalTest, TheKeysNormalFormCounts) {
  v1::TaskSpec spec = FullSpec();
  spec.mutable_key()->set_namespace_("default");
  spec.mutable_key()->set_kind(v1::TaskKey::COMMAND);
  spec.mutable_key()->set_index(-1);
  spec.mutable_key()->set_try_(1);
  EXPECT_EQ(Digest(spec), Digest(FullSpec()));
}

TEST(CanonicalTest, EveryOtherChangeCounts) {
  using Change = std::function<void(v1::TaskSpec&)>;
  const Change changes[] = {
      [](auto& s) {},
      [](auto& s) { s.mutable_key()->set_name("other"); },
      [](auto& s) { s.mutable_key()->set_try_(2); },
      [](auto& s) { s.mutable_command()->mutable_argv()->set_args(1, "c"); },
      [](auto& s) { s.mutable_command()->mutable_argv()->add_args(""); },
      [](auto& s) { s.mutable_command()->set_shell("ab"); },
      [](auto& s) { s.mutable_command()->mutable_script()->set_body("ab"); },
      [](auto& s) { s.clear_command(); },
      [](auto& s) { (*s.mutable_sandbox_override()->mutable_fields())["cpu"].set_number_value(3); },
      [](auto& s) {
        (*s.mutable_sandbox_override()->mutable_fields())["cpu"].set_string_value("2");
      },
      [](auto& s) {
        (*s.mutable_sandbox_override()->mutable_fields())["cpu"].set_bool_value(true);
      },
      [](auto& s) {
        (*s.mutable_sandbox_override()->mutable_fields())["new"].mutable_list_value();
      },
      [](auto& s) {
        (*s.mutable_sandbox_override()->mutable_fields())["new"].mutable_struct_value();
      },
      [](auto& s) { s.mutable_files(0)->set_mode(0755); },
      [](auto& s) { s.mutable_files(0)->set_content("y"); },
      [](auto& s) { s.mutable_files(0)->set_secret(true); },
      [](auto& s) { s.mutable_files(1)->set_content("y"); },
      [](auto& s) { s.mutable_files()->SwapElements(0, 1); },
      [](auto& s) { (*s.mutable_secrets())["S"].set_value("hush2"); },
      [](auto& s) { (*s.mutable_secrets())["S"].set_env("hush"); },
      [](auto& s) { (*s.mutable_secrets())["S"].set_file("hush"); },
      [](auto& s) { (*s.mutable_secrets())["T"].set_value("hush"); },
      [](auto& s) { (*s.mutable_labels())["l"] = "w"; },
      [](auto& s) { (*s.mutable_labels())["m"] = "v"; },
      [](auto& s) { s.clear_labels(); },
  };
  std::set<std::string> digests;
  for (const Change& change : changes) {
    v1::TaskSpec spec = FullSpec();
    change(spec);
    digests.insert(Digest(spec));
  }
  EXPECT_EQ(digests.size(), std::size(changes));
}

TEST(CanonicalTest, TheOrderOfMapsDoesNotCount) {
  v1::TaskSpec forward;
  v1::TaskSpec backward;
  for (int i = 0; i < 200; ++i) {
    for (auto& [spec, n] : {std::pair(&forward, i), std::pair(&backward, 199 - i)}) {
      const std::string name = "k" + std::to_string(n);
      (*spec->mutable_labels())[name] = name;
      (*spec->mutable_secrets())[name].set_value(name);
      (*spec->mutable_sandbox_override()->mutable_fields())[name].set_string_value(name);
    }
  }
  EXPECT_EQ(Digest(forward), Digest(backward));
}

TEST(CanonicalTest, NegativeZeroIsZero) {
  v1::TaskSpec plus;
  (*plus.mutable_sandbox_override()->mutable_fields())["x"].set_number_value(0.0);
  v1::TaskSpec minus;
  (*minus.mutable_sandbox_override()->mutable_fields())["x"].set_number_value(-0.0);
  EXPECT_EQ(Digest(plus), Digest(minus));
}

TEST(CanonicalTest, ASecretsValueIsNotInIt) {
  const std::string content = CanonicalContent(FullSpec(), testing::FakeSecretKeeper());
  EXPECT_EQ(content.find("hush"), std::string::npos);
  EXPECT_NE(content.find("HOME"), std::string::npos);
}

// Digests are stored and compared with those of later versions: this one must never change.
TEST(CanonicalTest, TheFormIsFixed) {
  v1::TaskSpec spec = Spec(R"({"key": {"name": "j"}, "command": {"shell": "x"},
                               "sandbox_override": {"cpu": 1.5, "a": [null, {"b": false}]},
                               "files": [{"path": "p", "content": "eA=="}],
                               "secrets": {"E": {"env": "V"}}, "labels": {"l": "v"}})");
  EXPECT_EQ(absl::BytesToHexString(Digest(spec)),
            "c22775bf5bd5d72ee85e686664e8f57486e3a3ead0dc4815f50182e46e024b0f");
}

}  // namespace
}  // namespace boxkeeper::daemon
