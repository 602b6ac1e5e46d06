#include "node/nftables.h"

#include "base/format.h"

#include <nftables/libnftables.h>

#include <mutex>

namespace tulle::node {

Result<void> run_nft(const std::string& commands) {
  // The library keeps tables of its own that threads share.
  static std::mutex one_at_a_time;
  const std::lock_guard lock(one_at_a_time);
  nft_ctx* context = nft_ctx_new(NFT_CTX_DEFAULT);
  if (context == nullptr) return fail(Code::unavailable, "nftables cannot be used");
  nft_ctx_buffer_error(context);
  nft_ctx_buffer_output(context);
  const bool fine = nft_run_cmd_from_buffer(context, commands.c_str()) == 0;
  std::string why = fine ? "" : nft_ctx_get_error_buffer(context);
  nft_ctx_free(context);
  if (fine) return {};
  return failf(Code::unavailable, "nftables: {}", why);
}

Result<void> check_nftables() {
  auto outcome = run_nft("list tables");
  if (outcome) return {};
  return failf(Code::unavailable,
               "this machine's kernel does not do nftables, which pods' networks need; load the "
               "module nf_tables ({})",
               outcome.error().message);
}

}  // namespace tulle::node
