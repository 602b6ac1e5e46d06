#include "node/nftables.h"

#include "base/format.h"

#include <nftables/libnftables.h>

#include <mutex>

namespace tulle::node {

namespace {

// The library keeps tables of its own that threads share.
std::mutex one_at_a_time;

nft_ctx* open_context() {
  const std::lock_guard lock(one_at_a_time);
  nft_ctx* const context = nft_ctx_new(NFT_CTX_DEFAULT);
  if (context == nullptr) return nullptr;
  nft_ctx_buffer_error(context);
  nft_ctx_buffer_output(context);
  return context;
}

void close_context(nft_ctx* context) {
  const std::lock_guard lock(one_at_a_time);
  nft_ctx_free(context);
}

}  // namespace

Nftables::Nftables() : context_(open_context(), &close_context) {}

Result<void> Nftables::run(const std::string& commands) {
  if (!context_) return fail(Code::unavailable, "nftables cannot be used");
  const std::lock_guard lock(one_at_a_time);
  if (nft_run_cmd_from_buffer(context_.get(), commands.c_str()) == 0) return {};
  return failf(Code::unavailable, "nftables: {}", nft_ctx_get_error_buffer(context_.get()));
}

Result<void> check_nftables() {
  auto outcome = Nftables().run("list tables");
  if (outcome) return {};
  return failf(Code::unavailable,
               "this machine's kernel does not do nftables, which pods' networks need; load the "
               "module nf_tables ({})",
               outcome.error().message);
}

}  // namespace tulle::node
