# Build options and the one function that makes a library of a layer's folder.

option(TULLE_TESTS "Build the unit, simulation and end-to-end tests" ON)
option(TULLE_BENCH "Build the micro-benchmarks, where Google Benchmark is installed" OFF)
option(TULLE_FUZZ "Build the libFuzzer targets" OFF)
set(TULLE_SANITIZE "" CACHE STRING "Comma-separated list for -fsanitize=")

find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
find_package(SQLite3 REQUIRED)
find_package(LibArchive REQUIRED)
find_package(CLI11 REQUIRED)
find_library(CCTZ_LIBRARY cctz REQUIRED)
pkg_check_modules(RE2 REQUIRED IMPORTED_TARGET re2)
pkg_check_modules(NFTABLES REQUIRED IMPORTED_TARGET libnftables)
pkg_check_modules(BPF REQUIRED IMPORTED_TARGET libbpf)

# What the layers up to http need is linked as archives: the example programs are one static file
# each, and Tulle starts faster.
set(OPENSSL_USE_STATIC_LIBS ON)
set(ZLIB_USE_STATIC_LIBS ON)
set(Boost_USE_STATIC_LIBS ON)
find_package(OpenSSL 3 REQUIRED)
find_package(ZLIB REQUIRED)
find_package(Boost 1.81 REQUIRED COMPONENTS json)
set(tulle_suffixes ${CMAKE_FIND_LIBRARY_SUFFIXES})
set(CMAKE_FIND_LIBRARY_SUFFIXES .a)
pkg_check_modules(NGHTTP2 REQUIRED IMPORTED_TARGET libnghttp2)
pkg_check_modules(YAML REQUIRED IMPORTED_TARGET yaml-0.1)
set(CMAKE_FIND_LIBRARY_SUFFIXES ${tulle_suffixes})

# The names of fmt's and spdlog's own packages, whose libraries are shared ones in Debian.
find_path(FMT_INCLUDE_DIR fmt/format-inl.h REQUIRED)
find_path(SPDLOG_INCLUDE_DIR spdlog/spdlog.h REQUIRED)
add_library(tulle_fmt STATIC ${CMAKE_CURRENT_LIST_DIR}/fmt.cc)
add_library(fmt::fmt ALIAS tulle_fmt)
add_library(tulle_spdlog INTERFACE)
target_compile_definitions(tulle_spdlog INTERFACE SPDLOG_FMT_EXTERNAL)
target_link_libraries(tulle_spdlog INTERFACE tulle_fmt Threads::Threads)
add_library(spdlog::spdlog ALIAS tulle_spdlog)

find_program(CCACHE ccache)
if(CCACHE)
  set(CMAKE_C_COMPILER_LAUNCHER ${CCACHE})
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE})
endif()

add_library(tulle_flags INTERFACE)
target_compile_options(tulle_flags INTERFACE
  -Wall -Wextra -Wpedantic -Werror -Wshadow -Wnon-virtual-dtor -Wimplicit-fallthrough
  -fno-omit-frame-pointer $<$<CONFIG:Debug>:-O1 -g1>)
target_compile_definitions(tulle_flags INTERFACE TULLE_VERSION="${PROJECT_VERSION}")
target_include_directories(tulle_flags INTERFACE ${PROJECT_SOURCE_DIR}/src)
target_link_options(tulle_flags INTERFACE -fuse-ld=lld-19)
if(TULLE_SANITIZE)
  target_compile_options(tulle_flags INTERFACE -fsanitize=${TULLE_SANITIZE}
    -fno-sanitize-recover=undefined)
  target_link_options(tulle_flags INTERFACE -fsanitize=${TULLE_SANITIZE})
endif()

# tulle_layer(NAME [DEPS target...]): every source of src/NAME becomes library tulle_NAME; its
# *_test.cc become the test program NAME_test, its *_fuzz.cc one fuzz target each.
#
# A fuzz target is in the test build too, as test fuzz/NAME: it replays test/corpus/NAME and then
# tries a few thousand inputs, the same ones every time.
function(tulle_layer name)
  cmake_parse_arguments(ARG "" "" "DEPS" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${name}/*.cc)
  set(tests ${sources})
  set(fuzzers ${sources})
  set(benches ${sources})
  list(FILTER tests INCLUDE REGEX "_test\\.cc$")
  list(FILTER fuzzers INCLUDE REGEX "_fuzz\\.cc$")
  list(FILTER sources EXCLUDE REGEX "_(test|fuzz|bench)\\.cc$|/main\\.cc$")
  if(sources)
    add_library(tulle_${name} STATIC ${sources})
    target_link_libraries(tulle_${name} PUBLIC tulle_flags ${ARG_DEPS})
  else()
    add_library(tulle_${name} INTERFACE)
    target_link_libraries(tulle_${name} INTERFACE tulle_flags ${ARG_DEPS})
  endif()
  if(TULLE_TESTS AND tests)
    find_package(GTest REQUIRED)
    add_executable(${name}_test ${tests})
    target_link_libraries(${name}_test PRIVATE tulle_${name} GTest::gmock GTest::gtest_main)
    add_test(NAME ${name} COMMAND ${name}_test)
    set_tests_properties(${name} PROPERTIES WORKING_DIRECTORY ${PROJECT_SOURCE_DIR} TIMEOUT 300)
  endif()
  if(TULLE_BENCH)
    find_package(benchmark QUIET)
    list(FILTER benches INCLUDE REGEX "_bench\\.cc$")
    if(benchmark_FOUND AND benches)
      add_executable(${name}_bench ${benches})
      target_link_libraries(${name}_bench PRIVATE tulle_${name} benchmark::benchmark_main)
    endif()
  endif()
  if(TULLE_FUZZ OR (TULLE_TESTS AND TULLE_SANITIZE MATCHES "address"))
    foreach(source ${fuzzers})
      get_filename_component(target ${source} NAME_WE)
      add_executable(${target} ${source})
      target_link_libraries(${target} PRIVATE tulle_${name})
      target_compile_options(${target} PRIVATE -fsanitize=fuzzer-no-link)
      target_link_options(${target} PRIVATE -fsanitize=fuzzer)
      set(corpus ${PROJECT_SOURCE_DIR}/test/corpus/${target})
      file(GLOB corpus_if_any LIST_DIRECTORIES true ${corpus})
      # libFuzzer puts what it finds into the first folder: never into the seeds in the tree.
      set(found ${CMAKE_CURRENT_BINARY_DIR}/fuzz/${target})
      file(MAKE_DIRECTORY ${found})
      add_test(NAME fuzz/${target} COMMAND ${target} -seed=1 -runs=5000 -max_total_time=30
        -verbosity=0 -artifact_prefix=${found}/ ${found} ${corpus_if_any})
      set_tests_properties(fuzz/${target} PROPERTIES TIMEOUT 120)
    endforeach()
  endif()
endfunction()

# tulle_embed_text(LAYER NAMESPACE HEADER file...): puts text files into the layer's library, each
# as a std::string_view named after it, which HEADER declares in NAMESPACE.
function(tulle_embed_text layer namespace header)
  list(TRANSFORM ARGN PREPEND ${CMAKE_CURRENT_SOURCE_DIR}/ OUTPUT_VARIABLE files)
  list(JOIN files "|" inputs)
  set(output ${CMAKE_CURRENT_BINARY_DIR}/${layer}_text.cc)
  set(script ${PROJECT_SOURCE_DIR}/cmake/EmbedText.cmake)
  add_custom_command(OUTPUT ${output}
    COMMAND ${CMAKE_COMMAND} -DOUTPUT=${output} -DHEADER=${header} -DNAMESPACE=${namespace}
      "-DINPUTS=${inputs}" -P ${script}
    DEPENDS ${files} ${script} VERBATIM)
  target_sources(tulle_${layer} PRIVATE ${output})
endfunction()

# tulle_embed_bpf(LAYER NAMESPACE HEADER SOURCE): compiles a program for the kernel's BPF machine
# and puts the object into the layer's library, as `object` and `object_size` of HEADER.
function(tulle_embed_bpf layer namespace header source)
  set(input ${CMAKE_CURRENT_SOURCE_DIR}/${source})
  set(object ${CMAKE_CURRENT_BINARY_DIR}/${layer}.bpf.o)
  set(output ${CMAKE_CURRENT_BINARY_DIR}/${layer}_object.cc)
  set(script ${PROJECT_SOURCE_DIR}/cmake/EmbedBytes.cmake)
  add_custom_command(OUTPUT ${object}
    COMMAND clang-19 -target bpf -mcpu=v3 -O2 -g -Wall -Wextra -Werror
      -I ${PROJECT_SOURCE_DIR}/src -isystem /usr/include/${CMAKE_LIBRARY_ARCHITECTURE}
      -fdebug-prefix-map=${PROJECT_SOURCE_DIR}/= -MD -MF ${object}.d -c ${input} -o ${object}
    DEPENDS ${input} DEPFILE ${object}.d VERBATIM)
  add_custom_command(OUTPUT ${output}
    COMMAND ${CMAKE_COMMAND} -DOUTPUT=${output} -DHEADER=${header} -DNAMESPACE=${namespace}
      -DNAME=object -DINPUT=${object} -P ${script}
    DEPENDS ${object} ${script} VERBATIM)
  target_sources(tulle_${layer} PRIVATE ${output})
endfunction()
