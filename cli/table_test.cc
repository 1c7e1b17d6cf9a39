#include "cli/table.h"

#include <gtest/gtest.h>

namespace boxkeeper::cli {
namespace {

TEST(TableTest, AlignsColumns) {
  Table table({"ID", "STATE", "AGE"});
  table.AddRow({"a", Cell("SUCCEEDED", Colour::kGreen), "1s"});
  table.AddRow({"bcd", "", "10m"});
  EXPECT_EQ(table.Render(false),
            "ID   STATE      AGE\n"
            "a    SUCCEEDED  1s\n"
            "bcd  -          10m\n");
}

TEST(TableTest, ColoursDoNotMoveColumns) {
  Table table({"STATE", "X"});
  table.AddRow({Cell("OK", Colour::kGreen), "y"});
  EXPECT_EQ(table.Render(true), "STATE  X\n\x1b[32mOK\x1b[0m     y\n");
}

TEST(TableTest, CellsCannotForgeRows) {
  Table table({"NAME", "X"});
  table.AddRow({"a\nb\x1b[2J", "h\xC3\xA9"});
  EXPECT_EQ(table.Render(false), "NAME         X\na\\nb\\x1b[2J  h\xC3\xA9\n");
}

TEST(TableTest, FieldsAlignValues) {
  Fields fields;
  fields.Add("id", "x");
  fields.AddIfAny("none", "");
  fields.Add("state", "RUNNING", Colour::kBlue);
  EXPECT_EQ(fields.Render(false), "id:     x\nstate:  RUNNING\n");
}

}  // namespace
}  // namespace boxkeeper::cli
