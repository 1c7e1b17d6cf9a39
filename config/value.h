// A tree of plain values with the place each one was written at. YAML files and
// google.protobuf.Struct both become one, so that everything behind it is decoded by the same
// strict code.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "google/protobuf/struct.pb.h"

namespace boxkeeper::config {

// One mistake in a configuration or a spec.
struct Problem {
  std::string key;  // path, e.g. "scheduling.poll_interval", "server.listen[1]"; empty = the whole
  std::string message;  // what is wrong, and what is allowed
  int line = 0;         // from 1; 0 = the input has no lines
};

struct Value {
  enum class Kind { kNull, kBool, kNumber, kText, kList, kMap };
  struct Entry;

  Kind kind = Kind::kNull;
  int line = 0;
  bool boolean = false;
  double number = 0;
  std::string text;            // kText: the text; other scalars of YAML: as written
  std::vector<Value> items;    // kList
  std::vector<Entry> entries;  // kMap: in written order, keys unique

  // nullptr if this is not a map or has no such key.
  const Value* Find(std::string_view key) const;
};

struct Value::Entry {
  std::string key;
  int line = 0;  // of the key
  Value value;
};

// "text", "a whole number", "a map", ...: for messages.
std::string Describe(const Value& value);

// Struct nesting is bounded by protobuf's own parser (100 levels).
Value FromStruct(const google::protobuf::Struct& input);
google::protobuf::Struct ToStruct(const Value& map);

// "a.b" from "a" and "b"; "b" where `path` is empty.
std::string Join(const std::string& path, const std::string& key);

// ", did you mean 'x'?" for the candidate nearest to `key`, or "" if none is near.
std::string DidYouMean(const std::string& key, const std::vector<std::string>& candidates);

}  // namespace boxkeeper::config
