// The compiled fast_path.bpf.c, an ELF file for libbpf.
#pragma once

#include <cstddef>

namespace tulle::fastpath {

extern const unsigned char object[];
extern const std::size_t object_size;

}  // namespace tulle::fastpath
