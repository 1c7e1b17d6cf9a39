// -o table|wide|json|jsonl|yaml|name.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "cli/console.h"
#include "cli/node.h"

namespace boxkeeper::cli {

enum class Format { kTable, kWide, kJson, kJsonl, kYaml, kName };

std::optional<Format> ParseFormat(const std::string& word);

// Text of a table or page; `wide` as -o wide wants it.
using TextForm = std::function<std::string(bool wide)>;

// Several things under one name: json and yaml are {<field>: [...], <after>...}, jsonl is one item
// a line, name is the bare names.
struct Listing {
  std::string field;
  List items;
  Object after;                    // further fields of the object
  std::vector<std::string> names;  // one for each item
  TextForm text;
};

// Both answer false if stdout is closed.
bool Print(const Console& console, Format format, const Listing& listing);

// One thing: json and yaml are the thing itself, name is its bare name.
bool Print(const Console& console, Format format, const Node& node, const std::string& name,
           const TextForm& text);

}  // namespace boxkeeper::cli
