// A tree of plain values in a fixed order, and its text forms: JSON for programs, YAML for people.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace boxkeeper::cli {

// A number or boolean or null as JSON writes it, e.g. Literal{"1.5"}.
struct Literal {
  std::string text;
};

struct Node;
using List = std::vector<Node>;
using Object = std::vector<std::pair<std::string, Node>>;  // in order of output; names are unique

struct Node {
  std::variant<Literal, std::string, List, Object> value;

  static Node Text(std::string text) { return Node{std::move(text)}; }
  static Node Bare(std::string literal) { return Node{Literal{std::move(literal)}}; }
  static Node Bool(bool b) { return Bare(b ? "true" : "false"); }
};

// One line, no spaces: the form of -o jsonl. No newline at the end.
std::string CompactJson(const Node& node);
// Indented by two spaces. Ends with a newline.
std::string PrettyJson(const Node& node);
// Block style. Ends with a newline.
std::string Yaml(const Node& node);

}  // namespace boxkeeper::cli
