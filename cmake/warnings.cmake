# The options every target of the project is compiled with. Numerics first: no contraction, no fast-math,
# so that a float expression means what docs/numerics.md says on every machine.
add_library(vernier_options INTERFACE)
target_compile_features(vernier_options INTERFACE cxx_std_20)
target_compile_options(vernier_options INTERFACE
  -ffp-contract=off -fno-fast-math
  -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor -Wold-style-cast
  $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict>  # GCC 12 sees overlaps in std::string operator+ that are not there (GCC bug 105651)
  -Werror
  # Memory for time: garbage is collected beyond a gigabyte only (10.1 s to 6.2 s a large test).
  $<$<CXX_COMPILER_ID:GNU>:--param=ggc-min-heapsize=1048576>)
if(VERNIER_SANITIZE)
  target_compile_options(vernier_options INTERFACE -fsanitize=address,undefined -fno-sanitize-recover=all
    -fno-omit-frame-pointer)
  target_link_options(vernier_options INTERFACE -fsanitize=address,undefined)
endif()
