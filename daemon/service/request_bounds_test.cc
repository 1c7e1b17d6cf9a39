#include "daemon/service/request_bounds.h"

#include <google/protobuf/stubs/logging.h>
#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "boxkeeper/v1/executor.pb.h"
#include "daemon/api/api_error.h"
#include "daemon/service/wire.h"

namespace boxkeeper::daemon {
namespace {

std::string Repeated(const std::string& piece, int times) {
  std::string all;
  all.reserve(piece.size() * static_cast<size_t>(times));
  for (int i = 0; i < times; ++i) all += piece;
  return all;
}

std::string Varint(size_t value) {
  std::string bytes;
  for (; value > 127; value >>= 7) bytes += static_cast<char>(value | 128);
  return bytes + static_cast<char>(value);
}

// A length-delimited field.
std::string Field(int number, const std::string& value) {
  return static_cast<char>(number << 3 | 2) + Varint(value.size()) + value;
}

grpc::ByteBuffer InOnePiece(const std::string& bytes) {
  const grpc::Slice slice(bytes);
  return grpc::ByteBuffer(&slice, 1);
}

absl::Status Check(const std::string& bytes, const google::protobuf::Message& type) {
  return CheckBounds(InOnePiece(bytes), *type.GetDescriptor());
}

absl::Status CheckSubmit(const std::string& bytes) {
  return Check(bytes, v1::SubmitTasksRequest());
}

// ErrorInfo's reason; empty for OK.
std::string ReasonOf(const absl::Status& status) {
  if (status.ok()) return "";
  EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
  google::rpc::ErrorInfo info;
  EXPECT_TRUE(ToRpcStatus(status).details(0).UnpackTo(&info));
  return info.reason();
}

v1::SubmitTasksRequest RealSubmission(int items) {
  v1::SubmitTasksRequest request;
  for (int i = 0; i < items; ++i) {
    v1::TaskSpec& task = *request.add_tasks();
    task.set_submission_id("00000000-0000-0000-0000-000000000001");
    task.mutable_key()->set_name("name");
    task.mutable_key()->set_index(-1);
    task.mutable_command()->mutable_argv()->add_args("/bin/true");
    (*task.mutable_labels())["team"] = "data";
    (*task.mutable_secrets())["PASSWORD"].set_value("x");
    auto& fields = *task.mutable_sandbox_override()->mutable_fields();
    fields["cpu"].set_number_value(1.5);
    (*fields["env"].mutable_struct_value()->mutable_fields())["A"].set_string_value("b");
    fields["provider"].mutable_list_value()->add_values()->set_string_value("local");
    task.add_files()->set_content(std::string(100, '\xff'));
    task.mutable_lease()->mutable_ttl()->set_seconds(60);
  }
  request.set_validate_only(true);
  return request;
}

// `levels` lists in each other, as an item's sandbox_override.
std::string NestedSubmission(int levels) {
  std::string value("\x08\x00", 2);
  for (int i = 0; i < levels; ++i) value = Field(6, Field(1, value));
  return Field(1, Field(5, Field(1, Field(1, "a") + Field(2, value))));
}

TEST(RequestBoundsTest, RealRequestsPass) {
  EXPECT_TRUE(CheckSubmit("").ok());
  EXPECT_TRUE(CheckSubmit(RealSubmission(1000).SerializeAsString()).ok());
  v1::ListTasksRequest list;
  list.mutable_filter()->add_states(v1::TASK_STATE_RUNNING);
  (*list.mutable_filter()->mutable_labels())["a"] = "b";
  EXPECT_TRUE(Check(list.SerializeAsString(), list).ok());
  EXPECT_TRUE(CheckSubmit(NestedSubmission(40)).ok());
}

TEST(RequestBoundsTest, ListsOfTheRequestAreBounded) {
  EXPECT_TRUE(CheckSubmit(Repeated(Field(1, ""), 1000)).ok());
  const absl::Status refused = CheckSubmit(Repeated(Field(1, ""), 1001));
  EXPECT_EQ(ReasonOf(refused), "TOO_MANY_ITEMS");
  google::rpc::BadRequest bad;
  EXPECT_TRUE(ToRpcStatus(refused).details(1).UnpackTo(&bad));
  EXPECT_EQ(bad.field_violations(0).field(), "tasks");
  const std::string ids = Repeated(Field(1, "x"), 1001);
  EXPECT_EQ(ReasonOf(Check(ids, v1::WaitTaskRequest())), "TOO_MANY_ITEMS");
  EXPECT_EQ(ReasonOf(Check(ids, v1::RenewLeaseRequest())), "TOO_MANY_ITEMS");
  EXPECT_EQ(ReasonOf(Check(Repeated(Field(1, ""), 1001), v1::CancelTasksRequest())),
            "TOO_MANY_ITEMS");
  EXPECT_EQ(ReasonOf(Check(Repeated(Field(2, ""), 1001), v1::AdoptTasksRequest())),
            "TOO_MANY_ITEMS");
}

TEST(RequestBoundsTest, AllFieldsAreBoundedWhereverTheyAre) {
  constexpr int kWrappers = 3;  // the item, its command, its argv
  const auto arguments = [](int count) {
    return Field(1, Field(4, Field(1, Repeated(Field(1, ""), count))));
  };
  EXPECT_TRUE(CheckSubmit(arguments(kFieldsMax - kWrappers)).ok());
  EXPECT_EQ(ReasonOf(CheckSubmit(arguments(kFieldsMax - kWrappers + 1))), "TOO_MANY_FIELDS");
  const std::string unknown = Repeated(Field(14, ""), kFieldsMax + 1);
  EXPECT_EQ(ReasonOf(CheckSubmit(unknown)), "TOO_MANY_FIELDS");
  EXPECT_EQ(ReasonOf(Check(unknown, v1::GetCapacityRequest())), "TOO_MANY_FIELDS");
  EXPECT_EQ(ReasonOf(Check(Field(1, Repeated(Field(4, ""), kFieldsMax)), v1::ListTasksRequest())),
            "TOO_MANY_FIELDS");
}

TEST(RequestBoundsTest, TextIsNoMessage) {
  EXPECT_TRUE(CheckSubmit(Field(1, Field(3, Repeated(Field(1, ""), kFieldsMax + 1)))).ok());
  EXPECT_TRUE(CheckSubmit(Field(14, "\xff\xff\xff")).ok());
}

TEST(RequestBoundsTest, WhatNoParserTakesIsMalformed) {
  const std::vector<std::string> malformed = {
      std::string(50, '\xff'),           // a tag without an end
      std::string("\0", 1),              // field 0
      std::string("\0\0\0\0", 4),        // again
      "\x0a",                            // no length
      "\x0a\x05x",                       // shorter than it says
      "\x0a\xff\xff\xff\xff\x0f",        // a negative length
      Field(1, "\x0a\x7f"),              // longer than what it is in
      "\x10",                            // no value
      "\x10" + std::string(11, '\xff'),  // a varint without an end
      "\x11" + std::string(7, 'x'),      // 7 bytes of 8
      "\x15" + std::string(3, 'x'),      // 3 bytes of 4
      "\x0b\x0c",                        // a group
      "\x0c",                            // the end of none
      "\x0e",                            // no wire type
      NestedSubmission(60),
  };
  for (const std::string& bytes : malformed) {
    EXPECT_EQ(ReasonOf(CheckSubmit(bytes)), "MALFORMED_REQUEST") << testing::PrintToString(bytes);
    v1::SubmitTasksRequest request;
    EXPECT_EQ(ReasonOf(ParseRequest(InOnePiece(bytes), request)), "MALFORMED_REQUEST");
  }
  v1::SubmitTasksRequest request;
  EXPECT_EQ(ReasonOf(ParseRequest(grpc::ByteBuffer(), request)), "MALFORMED_REQUEST");
}

TEST(RequestBoundsTest, ManyPiecesAreOneMessage) {
  const v1::SubmitTasksRequest request = RealSubmission(3);
  std::vector<grpc::Slice> pieces;
  for (const char byte : request.SerializeAsString()) pieces.emplace_back(std::string(1, byte));
  const grpc::ByteBuffer wire(pieces.data(), pieces.size());
  v1::SubmitTasksRequest parsed;
  ASSERT_TRUE(ParseRequest(wire, parsed).ok());
  EXPECT_EQ(parsed.tasks(2).key().name(), "name");
  pieces.pop_back();
  const grpc::ByteBuffer cut(pieces.data(), pieces.size());
  EXPECT_EQ(ReasonOf(ParseRequest(cut, parsed)), "MALFORMED_REQUEST");
}

// The walk and protobuf's parser see the same message, else one could hide from the other.
TEST(RequestBoundsTest, WhatParsesIsNotCalledMalformed) {
  const std::string good = RealSubmission(2).SerializeAsString();
  std::mt19937 random(7);
  const google::protobuf::LogSilencer silent;  // it tells of every text that is no UTF-8
  int parsed = 0;
  for (int round = 0; round < 5'000; ++round) {
    std::string bytes = good;
    for (int i = 0; i < 2; ++i) bytes[random() % bytes.size()] = static_cast<char>(random());
    v1::SubmitTasksRequest request;
    if (!request.ParseFromString(bytes)) continue;
    const absl::Status checked = CheckSubmit(bytes);
    // Groups alone are refused though they parse, as unknown fields.
    if (std::string(checked.message()).find("wire type") != std::string::npos) continue;
    EXPECT_TRUE(checked.ok()) << checked;
    ++parsed;
  }
  EXPECT_GT(parsed, 500);
}

}  // namespace
}  // namespace boxkeeper::daemon
