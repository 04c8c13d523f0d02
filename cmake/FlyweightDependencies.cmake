# Every third-party library, found and never downloaded. Each is used behind one file of ours (docs/dependencies.md).
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(OpenSSL REQUIRED COMPONENTS Crypto)

pkg_check_modules(ZSTD REQUIRED IMPORTED_TARGET libzstd)
pkg_check_modules(XXHASH REQUIRED libxxhash)  # header only: XXH_INLINE_ALL

add_library(flyweight_zstd INTERFACE)
if(FLYWEIGHT_STATIC)
  find_library(ZSTD_STATIC_LIBRARY libzstd.a HINTS ${ZSTD_LIBRARY_DIRS} REQUIRED)
  target_link_libraries(flyweight_zstd INTERFACE ${ZSTD_STATIC_LIBRARY})
else()
  target_link_libraries(flyweight_zstd INTERFACE PkgConfig::ZSTD)
endif()

# libcrypto is linked statically wherever the archive is there: only SHA-256 is used, and the command starts in a third of the time.
add_library(flyweight_hash_libraries INTERFACE)
find_library(CRYPTO_STATIC_LIBRARY libcrypto.a)
if(CRYPTO_STATIC_LIBRARY)
  target_link_libraries(flyweight_hash_libraries INTERFACE ${CRYPTO_STATIC_LIBRARY} ${CMAKE_DL_LIBS} Threads::Threads)
else()
  target_link_libraries(flyweight_hash_libraries INTERFACE OpenSSL::Crypto Threads::Threads)
endif()
