#include "cli/image_command.h"

#include "node/disk_room.h"
#include "node/image_store.h"

#include <fmt/ostream.h>
#include <CLI/CLI.hpp>

#include <algorithm>
#include <array>
#include <functional>
#include <iostream>
#include <memory>

namespace tulle::cli {
namespace {

constexpr std::size_t short_id_size = 12;

int report(const Error& error, std::ostream& err) {
  fmt::print(err, "tulle image: {}\n", error.message);
  return 1;
}

// "sha256:e3b0c44298fc1c…" → "e3b0c44298fc"
std::string short_id(std::string_view id) {
  id.remove_prefix(std::min(id.find(':') + 1, id.size()));
  return std::string(id.substr(0, short_id_size));
}

// "2026-03-01T12:00:00.5Z" → "2026-03-01 12:00"
std::string short_time(std::string_view time) {
  if (time.size() < 16 || time[10] != 'T') return "-";
  return fmt::format("{} {}", time.substr(0, 10), time.substr(11, 5));
}

using Command = std::function<int(const node::ImageStore&)>;

int with_store(const std::string& data_dir, const Command& command) {
  const auto store = node::ImageStore::open(data_dir + "/images");
  if (store) return command(*store);
  if (store.error().code == Code::permission_denied) {
    fmt::print(std::cerr, "tulle image: {}; run as root, or choose another --data-dir\n",
               store.error().message);
    return 1;
  }
  return report(store.error(), std::cerr);
}

}  // namespace

int load_image(const node::ImageStore& store, const std::string& archive, std::ostream& out,
               std::ostream& err) {
  const auto names = store.load_archive(archive);
  if (!names) return report(names.error(), err);
  for (const std::string& name : *names) fmt::print(out, "Loaded {}\n", name);
  return 0;
}

int import_image(const node::ImageStore& store, const std::string& reference,
                 const std::string& path, std::ostream& out, std::ostream& err) {
  const auto name = store.import_path(reference, path);
  if (!name) return report(name.error(), err);
  fmt::print(out, "Imported {}\n", *name);
  return 0;
}

int list_images(const node::ImageStore& store, std::ostream& out, std::ostream& err) {
  const auto images = store.list();
  if (!images) return report(images.error(), err);
  if (images->empty()) {
    fmt::print(out, "No images yet. Load some with: tulle image load ARCHIVE\n");
    return 0;
  }
  std::size_t width = std::string_view("IMAGE").size();
  for (const auto& image : *images) width = std::max(width, image.reference.size());
  constexpr auto row = "{:<{}}  {:<12}  {:<16}  {:>8}\n";
  fmt::print(out, row, "IMAGE", width, "ID", "CREATED", "SIZE");
  for (const auto& image : *images) {
    fmt::print(out, row, image.reference, width, short_id(image.id), short_time(image.created),
               node::human_size(image.size));
  }
  return 0;
}

int remove_image(const node::ImageStore& store, const std::string& reference, std::ostream& out,
                 std::ostream& err) {
  const auto removed = store.remove(reference);
  if (!removed) return report(removed.error(), err);
  fmt::print(out, "Removed {}\n", reference);
  return 0;
}

void add_image_commands(CLI::App& app, const std::string& data_dir, int& exit_code) {
  struct Arguments {
    std::string reference;
    std::string path;
  };
  const auto arguments = std::make_shared<Arguments>();
  CLI::App* image = app.add_subcommand("image", "Load, list and remove the images pods run from");
  image->require_subcommand(1);
  const auto add = [&](CLI::App* command, Command action) {
    command->callback([action = std::move(action), &data_dir, &exit_code] {
      exit_code = with_store(data_dir, action);
    });
  };

  CLI::App* load = image->add_subcommand(
      "load", "Load the images of an archive, as docker save or skopeo writes it");
  load->add_option("ARCHIVE", arguments->path, "docker-archive or oci-archive, perhaps compressed")
      ->required();
  add(load, [arguments](const node::ImageStore& store) {
    return load_image(store, arguments->path, std::cout, std::cerr);
  });

  CLI::App* import = image->add_subcommand(
      "import", "Make an image of one static executable, or of a root directory");
  import->add_option("REF", arguments->reference, "its name, like hello:latest")->required();
  import->add_option("PATH", arguments->path, "the executable or directory")->required();
  add(import, [arguments](const node::ImageStore& store) {
    return import_image(store, arguments->reference, arguments->path, std::cout, std::cerr);
  });

  CLI::App* list = image->add_subcommand("ls", "List the images");
  add(list, [](const node::ImageStore& store) { return list_images(store, std::cout, std::cerr); });

  CLI::App* remove = image->add_subcommand("rm", "Remove a name, and what no other name needs");
  remove->add_option("REF", arguments->reference, "a name or an image id")->required();
  add(remove, [arguments](const node::ImageStore& store) {
    return remove_image(store, arguments->reference, std::cout, std::cerr);
  });
}

}  // namespace tulle::cli
