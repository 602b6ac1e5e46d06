#include "net/tls.h"

#include "base/check.h"
#include "net/openssl_ptr.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <array>
#include <memory>

namespace tulle::net {

namespace {

constexpr std::size_t kRecordBytesMax = 16 * 1024;

using SslPtr = std::unique_ptr<SSL, OpensslDeleter<SSL_free>>;

Error tls_error(Code code, std::string_view what) {
  std::array<char, 256> text{};
  const unsigned long number = ERR_get_error();
  ERR_clear_error();
  if (number == 0) return fail(code, std::string(what));
  ERR_error_string_n(number, text.data(), text.size());
  return fail(code, std::string(what) + ": " + text.data());
}

BioPtr text_bio(const std::string& text) {
  return BioPtr(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

Result<void> use_certificate(SSL_CTX* context, const std::string& chain, const std::string& key) {
  const BioPtr chain_bio = text_bio(chain);
  const X509Ptr leaf(PEM_read_bio_X509(chain_bio.get(), nullptr, nullptr, nullptr));
  if (!leaf || SSL_CTX_use_certificate(context, leaf.get()) != 1) {
    return tls_error(Code::malformed, "reading the certificate");
  }
  while (X509* next = PEM_read_bio_X509(chain_bio.get(), nullptr, nullptr, nullptr)) {
    SSL_CTX_add0_chain_cert(context, next);
  }
  ERR_clear_error();
  const BioPtr key_bio = text_bio(key);
  const KeyPtr private_key(PEM_read_bio_PrivateKey(key_bio.get(), nullptr, nullptr, nullptr));
  if (!private_key || SSL_CTX_use_PrivateKey(context, private_key.get()) != 1) {
    return tls_error(Code::malformed, "reading the private key");
  }
  return {};
}

Result<void> trust(SSL_CTX* context, const std::string& ca_pem) {
  const BioPtr bio = text_bio(ca_pem);
  bool any = false;
  X509_STORE* store = SSL_CTX_get_cert_store(context);
  while (X509* next = PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr)) {
    const X509Ptr certificate(next);
    X509_STORE_add_cert(store, certificate.get());
    SSL_CTX_add_client_CA(context, certificate.get());
    any = true;
  }
  ERR_clear_error();
  if (!any) return fail(Code::malformed, "no certificate in the CA text");
  return {};
}

std::string wire_alpn(const std::vector<std::string>& protocols) {
  std::string wire;
  for (const auto& protocol : protocols) {
    wire.push_back(static_cast<char>(protocol.size()));
    wire.append(protocol);
  }
  return wire;
}

int select_alpn(SSL*, const unsigned char** out, unsigned char* out_size, const unsigned char* in,
                unsigned int in_size, void* argument) {
  const auto* ours = static_cast<const std::string*>(argument);
  unsigned char* chosen = nullptr;
  const int found =
      SSL_select_next_proto(&chosen, out_size, reinterpret_cast<const unsigned char*>(ours->data()),
                            static_cast<unsigned int>(ours->size()), in, in_size);
  *out = chosen;
  return found == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_NOACK;
}

void free_alpn(void*, void* data, CRYPTO_EX_DATA*, int, long, void*) {
  delete static_cast<std::string*>(data);
}

// The context owns the list that its callback reads.
void offer_server_alpn(SSL_CTX* context, const std::vector<std::string>& protocols) {
  if (protocols.empty()) return;
  static const int slot = SSL_CTX_get_ex_new_index(0, nullptr, nullptr, nullptr, free_alpn);
  auto wire = std::make_unique<std::string>(wire_alpn(protocols));
  SSL_CTX_set_alpn_select_cb(context, select_alpn, wire.get());
  SSL_CTX_set_ex_data(context, slot, wire.release());
}

std::string entry_text(const X509_NAME_ENTRY* entry) {
  unsigned char* text = nullptr;
  const int size = ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(entry));
  if (size < 0) return {};
  std::string out(reinterpret_cast<char*>(text), static_cast<std::size_t>(size));
  OPENSSL_free(text);
  return out;
}

TlsPeer peer_of(SSL* ssl) {
  TlsPeer peer;
  const X509* certificate = SSL_get0_peer_certificate(ssl);
  if (certificate == nullptr || SSL_get_verify_result(ssl) != X509_V_OK) return peer;
  const X509_NAME* subject = X509_get_subject_name(certificate);
  for (int i = 0; i < X509_NAME_entry_count(subject); ++i) {
    const X509_NAME_ENTRY* entry = X509_NAME_get_entry(subject, i);
    const int kind = OBJ_obj2nid(X509_NAME_ENTRY_get_object(entry));
    if (kind == NID_commonName) peer.common_name = entry_text(entry);
    if (kind == NID_organizationName) peer.organizations.push_back(entry_text(entry));
  }
  return peer;
}

// Moves bytes between OpenSSL's memory buffers and the inner stream.
class OpensslStream final : public TlsStream {
 public:
  OpensslStream(rt::Loop& loop, std::unique_ptr<Stream> inner,
                std::shared_ptr<const TlsContext> context)
      : loop_(loop),
        inner_(std::move(inner)),
        context_(std::move(context)),
        ssl_(SSL_new(static_cast<SSL_CTX*>(context_->native()))),
        in_(BIO_new(BIO_s_mem())),
        out_(BIO_new(BIO_s_mem())) {
    SSL_set_bio(ssl_.get(), in_, out_);
  }
  ~OpensslStream() override {
    if (broken_ || shut_down_ || SSL_is_init_finished(ssl_.get()) == 0) return;
    SSL_shutdown(ssl_.get());
    (void)flush();
  }

  SSL* ssl() { return ssl_.get(); }
  rt::Task<Result<void>> handshake();

  Attempt try_read(std::span<char> buffer) override {
    for (;;) {
      ERR_clear_error();
      std::size_t count = 0;
      const int outcome = SSL_read_ex(ssl_.get(), buffer.data(), buffer.size(), &count);
      if (outcome == 1) return Result<std::size_t>(count);
      const int why = SSL_get_error(ssl_.get(), outcome);
      if (why == SSL_ERROR_ZERO_RETURN) return Result<std::size_t>(0UL);
      if (why != SSL_ERROR_WANT_READ) return broken("TLS read");
      if (!shut_down_) (void)flush();
      auto fed = feed();
      if (!fed) return std::nullopt;
      if (!*fed) return Result<std::size_t>(std::move(*fed).error());
      if (**fed == 0) {
        broken_ = true;
        return Result<std::size_t>(fail(Code::reset, "the connection ended without close_notify"));
      }
    }
  }

  Attempt try_write(std::span<const std::string_view> pieces) override {
    // Bytes that OpenSSL took count as written only once the inner stream took the record.
    if (unreported_ == 0) {
      auto taken = encrypt(pieces);
      if (!taken) return taken;
      unreported_ = *taken;
    }
    const auto flushed = flush();
    if (!flushed) return Result<std::size_t>(flushed.error());
    if (!pending_.empty()) return std::nullopt;
    return Result<std::size_t>(std::exchange(unreported_, 0));
  }

  void wait(Interest interest, rt::Runnable& waiter) override {
    if (interest == Interest::read && SSL_has_pending(ssl_.get()) != 0) {
      return loop_.schedule(waiter);
    }
    inner_->wait(interest, waiter);
  }

  Result<void> shutdown_write() override {
    if (std::exchange(shut_down_, true)) return {};
    if (!broken_) SSL_shutdown(ssl_.get());
    return end_.advance();
  }

  SocketAddress local_address() const override { return inner_->local_address(); }
  SocketAddress peer_address() const override { return inner_->peer_address(); }
  SocketAddress original_destination() const override { return inner_->original_destination(); }
  const TlsPeer& peer() const override { return peer_; }
  std::string_view alpn() const override { return alpn_; }

 private:
  Result<std::size_t> broken(std::string_view what) {
    broken_ = true;
    return tls_error(Code::reset, what);
  }

  Result<std::size_t> encrypt(std::span<const std::string_view> pieces) {
    std::size_t total = 0;
    for (std::string_view piece : pieces) {
      while (!piece.empty() && total < kRecordBytesMax) {
        std::size_t count = 0;
        ERR_clear_error();
        const std::size_t size = std::min(piece.size(), kRecordBytesMax - total);
        if (SSL_write_ex(ssl_.get(), piece.data(), size, &count) != 1) return broken("TLS write");
        piece.remove_prefix(count);
        total += count;
      }
    }
    return total;
  }

  // Reads from the inner stream into OpenSSL; nullopt when it would block, 0 at its end.
  Attempt feed() {
    std::array<char, kRecordBytesMax> buffer;
    auto attempt = inner_->try_read(buffer);
    if (attempt && *attempt && **attempt > 0) {
      CHECK(BIO_write(in_, buffer.data(), static_cast<int>(**attempt)) ==
            static_cast<int>(**attempt));
    }
    return attempt;
  }

  // Sends what OpenSSL made, as far as the inner stream takes it; the rest stays in pending_.
  Result<void> flush() {
    const std::size_t made = BIO_ctrl_pending(out_);
    if (made > 0) {
      const std::size_t before = pending_.size();
      pending_.resize(before + made);
      BIO_read(out_, pending_.data() + before, static_cast<int>(made));
    }
    std::size_t sent = 0;
    while (sent < pending_.size()) {
      const std::string_view rest = std::string_view(pending_).substr(sent);
      auto attempt = inner_->try_write(std::span(&rest, 1));
      if (!attempt) break;
      if (!*attempt) {
        broken_ = true;
        return std::move(*attempt).error();
      }
      sent += **attempt;
    }
    pending_.erase(0, sent);
    return {};
  }

  // Sends close_notify as far as the inner stream takes it, the rest when it takes more, and only
  // then the end of the inner stream.
  class End final : public rt::Runnable {
   public:
    explicit End(OpensslStream& owner) : owner_(owner) {}
    void run() override { (void)advance(); }
    Result<void> advance() {
      TRY_VOID(owner_.flush());
      if (owner_.pending_.empty()) return owner_.inner_->shutdown_write();
      owner_.inner_->wait(Interest::write, *this);
      return {};
    }

   private:
    OpensslStream& owner_;
  };

  rt::Loop& loop_;
  std::unique_ptr<Stream> inner_;
  std::shared_ptr<const TlsContext> context_;
  SslPtr ssl_;
  BIO* in_;   // owned by ssl_
  BIO* out_;  // owned by ssl_
  std::string pending_;
  std::size_t unreported_ = 0;
  bool broken_ = false;
  bool shut_down_ = false;
  End end_{*this};
  TlsPeer peer_;
  std::string alpn_;
};

class WaitFor final : public rt::Resumer {
 public:
  WaitFor(Stream& stream, Interest interest) : stream_(stream), interest_(interest) {}
  bool await_ready() { return false; }
  void await_suspend(std::coroutine_handle<> waiting) {
    handle = waiting;
    stream_.wait(interest_, *this);
  }
  void await_resume() {}

 private:
  Stream& stream_;
  Interest interest_;
};

rt::Task<Result<void>> OpensslStream::handshake() {
  for (;;) {
    ERR_clear_error();
    const int outcome = SSL_do_handshake(ssl_.get());
    const int why = outcome == 1 ? SSL_ERROR_NONE : SSL_get_error(ssl_.get(), outcome);
    // An alert goes out even where the handshake failed.
    Error failure;
    if (why != SSL_ERROR_NONE && why != SSL_ERROR_WANT_READ) {
      broken_ = true;
      failure = tls_error(Code::permission_denied, "TLS handshake");
    }
    CO_TRY_VOID(flush());
    while (!pending_.empty()) {
      co_await WaitFor(*inner_, Interest::write);
      CO_TRY_VOID(flush());
    }
    if (broken_) co_return failure;
    if (why == SSL_ERROR_NONE) break;
    auto fed = feed();
    if (!fed) {
      co_await WaitFor(*inner_, Interest::read);
      continue;
    }
    if (!*fed) co_return std::move(*fed).error();
    if (**fed == 0) co_return fail(Code::closed, "the connection ended during the TLS handshake");
  }
  peer_ = peer_of(ssl_.get());
  const unsigned char* protocol = nullptr;
  unsigned int size = 0;
  SSL_get0_alpn_selected(ssl_.get(), &protocol, &size);
  if (size > 0) alpn_.assign(reinterpret_cast<const char*>(protocol), size);
  co_return Result<void>();
}

}  // namespace

TlsContext::~TlsContext() { SSL_CTX_free(static_cast<SSL_CTX*>(native_)); }

Result<std::shared_ptr<const TlsContext>> TlsContext::server(const Server& options) {
  SSL_CTX* native = SSL_CTX_new(TLS_server_method());
  if (native == nullptr) return tls_error(Code::internal, "SSL_CTX_new");
  auto context = std::make_shared<const TlsContext>(native);
  SSL_CTX_set_min_proto_version(native, TLS1_2_VERSION);
  SSL_CTX_set_mode(native, SSL_MODE_RELEASE_BUFFERS);
  TRY_VOID(use_certificate(native, options.certificate_chain_pem, options.private_key_pem));
  if (!options.client_ca_pem.empty()) {
    TRY_VOID(trust(native, options.client_ca_pem));
    int mode = SSL_VERIFY_PEER;
    if (options.client_certificate_required) mode |= SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
    SSL_CTX_set_verify(native, mode, nullptr);
    // Sessions resumed across instances need a context id once clients are verified.
    SSL_CTX_set_session_id_context(native, reinterpret_cast<const unsigned char*>("tulle"), 5);
  }
  offer_server_alpn(native, options.alpn);
  return context;
}

Result<std::shared_ptr<const TlsContext>> TlsContext::client(const Client& options) {
  SSL_CTX* native = SSL_CTX_new(TLS_client_method());
  if (native == nullptr) return tls_error(Code::internal, "SSL_CTX_new");
  auto context = std::make_shared<const TlsContext>(native);
  SSL_CTX_set_min_proto_version(native, TLS1_2_VERSION);
  SSL_CTX_set_mode(native, SSL_MODE_RELEASE_BUFFERS);
  if (!options.certificate_chain_pem.empty()) {
    TRY_VOID(use_certificate(native, options.certificate_chain_pem, options.private_key_pem));
  }
  if (!options.ca_pem.empty()) {
    TRY_VOID(trust(native, options.ca_pem));
  } else if (options.verify_peer) {
    SSL_CTX_set_default_verify_paths(native);
  }
  SSL_CTX_set_verify(native, options.verify_peer ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, nullptr);
  if (!options.alpn.empty()) {
    const std::string wire = wire_alpn(options.alpn);
    SSL_CTX_set_alpn_protos(native, reinterpret_cast<const unsigned char*>(wire.data()),
                            static_cast<unsigned int>(wire.size()));
  }
  return context;
}

rt::Task<Result<std::unique_ptr<TlsStream>>> tls_accept(rt::Loop& loop,
                                                        std::unique_ptr<Stream> inner,
                                                        std::shared_ptr<const TlsContext> context) {
  auto stream = std::make_unique<OpensslStream>(loop, std::move(inner), std::move(context));
  SSL_set_accept_state(stream->ssl());
  CO_TRY_VOID(co_await stream->handshake());
  co_return std::unique_ptr<TlsStream>(std::move(stream));
}

rt::Task<Result<std::unique_ptr<TlsStream>>> tls_connect(rt::Loop& loop,
                                                         std::unique_ptr<Stream> inner,
                                                         std::shared_ptr<const TlsContext> context,
                                                         std::string server_name) {
  auto stream = std::make_unique<OpensslStream>(loop, std::move(inner), std::move(context));
  SSL* ssl = stream->ssl();
  SSL_set_connect_state(ssl);
  if (IpAddress::parse(server_name)) {
    X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), server_name.c_str());
  } else if (!server_name.empty()) {
    SSL_set_tlsext_host_name(ssl, server_name.c_str());
    SSL_set1_host(ssl, server_name.c_str());
  }
  CO_TRY_VOID(co_await stream->handshake());
  co_return std::unique_ptr<TlsStream>(std::move(stream));
}

}  // namespace tulle::net
