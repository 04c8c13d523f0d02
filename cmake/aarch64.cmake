# Cross build for 64-bit ARM on Debian and Ubuntu, with the libraries of their arm64 packages; programs run under qemu-user. scripts/aarch64 installs what it needs.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)

find_program(FLYWEIGHT_AARCH64_CXX NAMES aarch64-linux-gnu-g++ aarch64-linux-gnu-g++-14 aarch64-linux-gnu-g++-13 aarch64-linux-gnu-g++-12 REQUIRED)
find_program(FLYWEIGHT_QEMU_AARCH64 NAMES qemu-aarch64 qemu-aarch64-static REQUIRED)
set(CMAKE_CXX_COMPILER "${FLYWEIGHT_AARCH64_CXX}")
set(CMAKE_CROSSCOMPILING_EMULATOR "${FLYWEIGHT_QEMU_AARCH64}")

# Multiarch: the libraries of arm64 stand beside those of the machine, headers and programs are shared.
set(CMAKE_LIBRARY_ARCHITECTURE aarch64-linux-gnu)
set(CMAKE_IGNORE_PATH /usr/lib/x86_64-linux-gnu /lib/x86_64-linux-gnu /usr/lib/x86_64-linux-gnu/cmake)
set(ENV{PKG_CONFIG_LIBDIR} /usr/lib/aarch64-linux-gnu/pkgconfig:/usr/share/pkgconfig)

# The compiler's packages bring no libstdc++ that a program would find when it runs.
set(CMAKE_EXE_LINKER_FLAGS_INIT "-static-libstdc++ -static-libgcc")
