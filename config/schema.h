// Every key of the configuration as one table: the loader decodes by it, a reload is judged by it,
// and a test holds it against config.proto and docs/configuration.md.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace boxkeeper::config {

enum class KeyType {
  kSection,  // a map of further keys
  kText,
  kPath,  // a file or directory; relative to state_dir
  kChoice,
  kBool,
  kWhole,
  kDuration,
  kSize,
  kTextList,
  kOneOrMore,  // a text or a list of texts
  kSpecMap,    // name -> SandboxSpec keys
  kProviders,  // name -> provider section
};

struct SchemaKey {
  std::string_view path;  // '*' stands for a provider's name
  KeyType type;
  std::string_view
      default_text;           // as a file would say it; empty = "", none, or computed by the loader
  std::string_view min, max;  // kWhole, kDuration, kSize
  std::string_view choices;   // kChoice: separated by spaces
  bool reloadable;            // in force at SIGHUP; else it needs a restart
};

std::span<const SchemaKey> Schema();
// nullptr if there is no such key.
const SchemaKey* FindKey(std::string_view path);
// Names of the keys right below the section `path` ("" = the top), sorted.
std::vector<std::string> KeysBelow(std::string_view path);

}  // namespace boxkeeper::config
