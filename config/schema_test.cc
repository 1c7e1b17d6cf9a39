// Table, message and documentation name the same keys.
#include "config/schema.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <sstream>

#include "boxkeeper/config/v1/config.pb.h"
#include "config/load_config.h"
#include "config/spec_decoder.h"
#include "config/value.h"

namespace boxkeeper::config {
namespace {

using ::google::protobuf::Descriptor;
using ::google::protobuf::FieldDescriptor;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAreArray;

// Paths of all fields, sections included, with '*' for a provider's name.
void Collect(const Descriptor* message, const std::string& path, std::vector<std::string>* paths) {
  for (int i = 0; i < message->field_count(); ++i) {
    const FieldDescriptor* field = message->field(i);
    const bool provider = message == v1::Provider::descriptor();
    if (provider &&
        (field->name() == "name" || field->name() == "spec" || field->name() == "options")) {
      continue;  // the map's key, SandboxSpec keys, and the provider's own
    }
    const std::string key = Join(path, field->name());
    paths->push_back(key);
    if (field->message_type() == v1::Provider::descriptor()) {
      paths->push_back(key + ".*");
      Collect(field->message_type(), key + ".*", paths);
    } else if (field->message_type() != nullptr && !field->is_map() &&
               field->message_type()->file() == message->file()) {
      Collect(field->message_type(), key, paths);
    }
  }
}

std::vector<std::string> Split(const std::string& row) {
  std::vector<std::string> cells;
  std::istringstream stream(row);
  std::string cell;
  std::getline(stream, cell, '|');
  while (std::getline(stream, cell, '|')) {
    const size_t begin = cell.find_first_not_of(' ');
    const size_t end = cell.find_last_not_of(' ');
    cells.push_back(begin == std::string::npos ? "" : cell.substr(begin, end - begin + 1));
  }
  return cells;
}

// Rows of the documentation's tables by their first cell, a key in back quotes.
std::map<std::string, std::vector<std::string>> DocumentedKeys() {
  std::ifstream file("docs/configuration.md");
  EXPECT_TRUE(file.is_open());
  std::map<std::string, std::vector<std::string>> rows;
  for (std::string line; std::getline(file, line);) {
    if (line.rfind("| `", 0) != 0) continue;
    std::vector<std::string> cells = Split(line);
    const std::string key = cells[0].substr(1, cells[0].find('`', 1) - 1);
    EXPECT_FALSE(rows.contains(key)) << key << " is documented twice";
    rows[key] = cells;
  }
  return rows;
}

std::string TypeWord(KeyType type) {
  switch (type) {
    case KeyType::kText:
      return "text";
    case KeyType::kPath:
      return "path";
    case KeyType::kChoice:
      return "choice";
    case KeyType::kBool:
      return "bool";
    case KeyType::kWhole:
      return "whole number";
    case KeyType::kDuration:
      return "duration";
    case KeyType::kSize:
      return "size";
    case KeyType::kTextList:
      return "list of texts";
    case KeyType::kOneOrMore:
      return "text or list of texts";
    case KeyType::kProviders:
      return "map by name";
    case KeyType::kSpecMap:
      return "map of [SandboxSpec keys](#sandboxspec-keys) by name";
    case KeyType::kSection:
      break;
  }
  return "";
}

std::string InQuotes(std::string_view text) { return "`" + std::string(text) + "`"; }

TEST(SchemaTest, HasExactlyTheFieldsOfTheMessage) {
  std::vector<std::string> fields;
  Collect(v1::Config::descriptor(), "", &fields);
  std::vector<std::string> keys;
  for (const SchemaKey& key : Schema()) keys.emplace_back(key.path);
  EXPECT_THAT(keys, UnorderedElementsAreArray(fields));
}

TEST(SchemaTest, EveryKeyIsDocumentedAsItIs) {
  const auto rows = DocumentedKeys();
  size_t documented = 0;
  for (const SchemaKey& key : Schema()) {
    if (key.type == KeyType::kSection) continue;
    std::string name(key.path);
    if (const size_t star = name.find('*'); star != std::string::npos)
      name.replace(star, 1, "NAME");
    const auto row = rows.find(name);
    ASSERT_NE(row, rows.end()) << name << " is not in docs/configuration.md";
    ++documented;
    const std::vector<std::string>& cells = row->second;
    ASSERT_GE(cells.size(), 6u) << name;
    EXPECT_EQ(cells[1], TypeWord(key.type)) << name;
    if (!key.default_text.empty()) {
      EXPECT_EQ(cells[2], InQuotes(key.default_text)) << name;
    }
    if (!key.min.empty()) {
      EXPECT_EQ(cells[3], InQuotes(key.min) + " to " + InQuotes(key.max)) << name;
    }
    std::istringstream choices{std::string(key.choices)};
    for (std::string choice; choices >> choice;) {
      EXPECT_THAT(cells[3], ::testing::HasSubstr(InQuotes(choice))) << name;
    }
    EXPECT_EQ(cells[4], key.reloadable ? "reload" : "restart") << name;
    EXPECT_FALSE(cells[5].empty()) << name;
  }
  size_t of_the_table = 0;
  for (const auto& [key, cells] : rows) {
    if (cells.size() >= 6 && (cells[4] == "reload" || cells[4] == "restart")) ++of_the_table;
  }
  EXPECT_EQ(documented, of_the_table) << "docs/configuration.md has keys that do not exist";
}

TEST(SchemaTest, EverySandboxSpecKeyIsDocumented) {
  const auto rows = DocumentedKeys();
  for (const std::string& key : SpecKeys(SpecPlace::kOverride)) {
    EXPECT_TRUE(rows.contains(key)) << key;
  }
}

TEST(SchemaTest, TheExampleFileLoads) {
  LoadOptions options;
  options.providers["local"] = nullptr;
  const LoadResult result = LoadConfig("deploy/examples/config-full.yaml", options);
  EXPECT_THAT(result.Messages(), IsEmpty());
}

// What the example spells out are the defaults, so that it can be read as a reference.
TEST(SchemaTest, TheExamplesSchedulingIsTheDefault) {
  LoadOptions options;
  options.providers["local"] = nullptr;
  options.getenv = [](const char*) { return "/s"; };
  const v1::Config example = LoadConfig("deploy/examples/config-full.yaml", options).config;
  const v1::Config defaults = LoadConfigText("", "empty", options).config;
  EXPECT_EQ(example.scheduling().SerializeAsString(), defaults.scheduling().SerializeAsString());
}

}  // namespace
}  // namespace boxkeeper::config
