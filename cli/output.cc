#include "cli/output.h"

#include <utility>

namespace boxkeeper::cli {

std::optional<Format> ParseFormat(const std::string& word) {
  static const std::pair<const char*, Format> kWords[] = {
      {"table", Format::kTable}, {"wide", Format::kWide}, {"json", Format::kJson},
      {"jsonl", Format::kJsonl}, {"yaml", Format::kYaml}, {"name", Format::kName}};
  for (const auto& [name, format] : kWords) {
    if (word == name) return format;
  }
  return std::nullopt;
}

bool Print(const Console& console, Format format, const Listing& listing) {
  switch (format) {
    case Format::kTable:
    case Format::kWide:
      return console.out(listing.text(format == Format::kWide));
    case Format::kJson:
    case Format::kYaml: {
      Object object;
      object.emplace_back(listing.field, Node{listing.items});
      for (const auto& field : listing.after) object.push_back(field);
      const Node node{std::move(object)};
      return console.out(format == Format::kJson ? PrettyJson(node) : Yaml(node));
    }
    case Format::kJsonl: {
      std::string lines;
      for (const Node& item : listing.items) lines += CompactJson(item) + "\n";
      return console.out(lines);
    }
    case Format::kName: {
      std::string lines;
      for (const std::string& name : listing.names) lines += name + "\n";
      return console.out(lines);
    }
  }
  return false;
}

bool Print(const Console& console, Format format, const Node& node, const std::string& name,
           const TextForm& text) {
  switch (format) {
    case Format::kTable:
    case Format::kWide:
      return console.out(text(format == Format::kWide));
    case Format::kJson:
      return console.out(PrettyJson(node));
    case Format::kJsonl:
      return console.out(CompactJson(node) + "\n");
    case Format::kYaml:
      return console.out(Yaml(node));
    case Format::kName:
      return console.out(name + "\n");
  }
  return false;
}

}  // namespace boxkeeper::cli
