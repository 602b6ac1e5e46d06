// A table for the terminal: columns as wide as their widest cell, three spaces apart.
#pragma once

#include <string>
#include <vector>

namespace tulle::cli {

class TextTable final {
 public:
  explicit TextTable(std::vector<std::string> header) { rows_.push_back(std::move(header)); }
  // REQUIRES: as many cells as the header has.
  void add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }
  // Lines end with '\n' and have no spaces at their end.
  std::string text() const;

 private:
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace tulle::cli
