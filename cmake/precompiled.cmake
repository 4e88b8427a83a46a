# Headers that most sources include, parsed once for each set of options: without this, reading them is half of the
# time of a build. Sources still include what they use; -DVERNIER_PCH=OFF holds them to it. Off by default under a
# compiler launcher, because ccache would have to hash the precompiled headers.
if(CMAKE_CXX_COMPILER_LAUNCHER)
  option(VERNIER_PCH "precompile common headers" OFF)
else()
  option(VERNIER_PCH "precompile common headers" ON)
endif()

set(common_headers
  <algorithm> <array> <atomic> <bit> <charconv> <chrono> <cmath> <cstdint> <cstdio> <cstdlib> <cstring> <filesystem>
  <fstream> <functional> <limits> <map> <memory> <mutex> <numeric> <optional> <random> <set> <span> <sstream> <string>
  <string_view> <thread> <unordered_map> <unordered_set> <utility> <variant> <vector>
  <fmt/format.h> <nlohmann/json.hpp> <tl/expected.hpp>)

# vernier_precompiled(KIND LIBS... OPTIONS... HEADERS...): the target vernier_pch_KIND, for targets with its options.
function(vernier_precompiled kind)
  cmake_parse_arguments(ARG "" "" "LIBS;OPTIONS;HEADERS" ${ARGN})
  add_library(vernier_pch_${kind} OBJECT EXCLUDE_FROM_ALL ${CMAKE_SOURCE_DIR}/cmake/precompiled.cc)
  target_link_libraries(vernier_pch_${kind} PRIVATE fmt::fmt tl::expected nlohmann_json::nlohmann_json ${ARG_LIBS}
    vernier_options)
  target_compile_options(vernier_pch_${kind} PRIVATE ${ARG_OPTIONS})
  target_precompile_headers(vernier_pch_${kind} PRIVATE ${common_headers} ${ARG_HEADERS})
endfunction()

# vernier_use_precompiled(TARGET KIND)
function(vernier_use_precompiled target kind)
  if(VERNIER_PCH)
    target_precompile_headers(${target} REUSE_FROM vernier_pch_${kind})
  endif()
endfunction()
