// `tulle image load|import|ls|rm`: the node's images, whether an instance runs or not.
#pragma once

#include <iosfwd>
#include <string>

namespace CLI {
class App;
}

namespace tulle::node {
class ImageStore;
}

namespace tulle::cli {

// The commands themselves. Each writes to `out` what it did, to `err` one line per failure, and
// returns the exit code.
int load_image(const node::ImageStore& store, const std::string& archive, std::ostream& out,
               std::ostream& err);
int import_image(const node::ImageStore& store, const std::string& reference,
                 const std::string& path, std::ostream& out, std::ostream& err);
int list_images(const node::ImageStore& store, std::ostream& out, std::ostream& err);
int remove_image(const node::ImageStore& store, const std::string& reference, std::ostream& out,
                 std::ostream& err);

// Adds the subcommand `image` to `app`. When one of its commands is parsed it runs on
// <data_dir>/images and its exit code is put into `exit_code`. Both references must outlive `app`;
// `data_dir` is read after parsing.
void add_image_commands(CLI::App& app, const std::string& data_dir, int& exit_code);

}  // namespace tulle::cli
