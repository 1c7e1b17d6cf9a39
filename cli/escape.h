// Output of tasks is data: on a terminal nothing in it may move the cursor, change colours or
// titles, or hide text.
#pragma once

#include <string>
#include <string_view>

namespace boxkeeper::cli {

// Makes a byte stream safe to show, chunk by chunk: newline and tab stay, every other control
// character (C0, DEL, C1), every byte that is not UTF-8, and what reverses or hides text
// (bidirectional controls, zero-width spaces) is shown as
// \x1b, \u202e. A character split between two chunks is shown whole.
class TerminalEscaper {
 public:
  std::string Escape(std::string_view chunk);
  // What is still held back of a character that never got its end. Call it once, after the last
  // chunk.
  std::string Finish();

 private:
  std::string held_;  // < 4 bytes: a sequence that may still become valid
};

// A whole text in one line for tables and messages: as above, and newline and tab are shown as \n
// and \t.
std::string EscapeLine(std::string_view text);

// Columns that `text` (already escaped) takes on a terminal: one for each character, two for East
// Asian wide ones.
size_t DisplayWidth(std::string_view text);

}  // namespace boxkeeper::cli
