// Columns for people. Cells are escaped, so that nothing a task or user wrote can break or forge a
// row.
#pragma once

#include <string>
#include <vector>

namespace boxkeeper::cli {

enum class Colour { kNone, kGreen, kRed, kYellow, kBlue, kDim };

// `text` in `colour`; unchanged where `enabled` is false.
std::string Paint(const std::string& text, Colour colour, bool enabled);

struct Cell {
  std::string text;
  Colour colour = Colour::kNone;

  Cell(std::string t, Colour c = Colour::kNone)
      : text(std::move(t)), colour(c) {}  // NOLINT: a text is a cell
  Cell(const char* t) : text(t) {}        // NOLINT
};

class Table {
 public:
  // Each column's head; its cells are aligned left, two spaces between columns, none at the end of
  // a line.
  explicit Table(std::vector<std::string> heads) : heads_(std::move(heads)) {}

  // One cell for each head.
  void AddRow(std::vector<Cell> cells) { rows_.push_back(std::move(cells)); }
  bool empty() const { return rows_.empty(); }

  // Heads and rows, each with a newline. An empty cell is "-".
  std::string Render(bool colour) const;

 private:
  const std::vector<std::string> heads_;
  std::vector<std::vector<Cell>> rows_;
};

// "name:   value" lines for one thing; values are escaped and aligned.
class Fields {
 public:
  void Add(const std::string& name, const std::string& value, Colour colour = Colour::kNone);
  // As Add, but nothing for an empty value.
  void AddIfAny(const std::string& name, const std::string& value);
  std::string Render(bool colour) const;

 private:
  std::vector<std::pair<std::string, Cell>> fields_;
};

}  // namespace boxkeeper::cli
