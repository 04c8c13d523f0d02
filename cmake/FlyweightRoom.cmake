# flyweight_add_room(NAME USES room...)
#
# A room is a folder src/NAME and a static library flyweight_NAME of all its .cc files. Its headers are included as "NAME/file.h", which only works for rooms that name it in
# USES: each room has an include root of its own, a folder with one link to src/NAME. So a room that reaches where it may not does not compile.
#   *_avx2.cc, *_avx512.cc   compiled for that instruction set; they hold kernels only, no std containers
#   *_gfni.cc                the same for AVX-512 with GFNI
#   *_neon.cc                the same for aarch64, all of which have NEON
#   *_test.cc                a test program each room: flyweight_NAME_test (FLYWEIGHT_BUILD_TESTS)
include(CheckCXXCompilerFlag)

set(FLYWEIGHT_AVX2_FLAGS -mavx2 -mbmi -mbmi2 -mlzcnt -mpopcnt)
set(FLYWEIGHT_AVX512_FLAGS ${FLYWEIGHT_AVX2_FLAGS} -mavx512f -mavx512bw -mavx512vl -mavx512dq -mavx512vbmi -mavx512vbmi2 -mprefer-vector-width=512)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # g++ 12 takes the undefined pass-through operand inside its own AVX-512 intrinsics for a mistake of the caller.
  list(APPEND FLYWEIGHT_AVX512_FLAGS -Wno-uninitialized -Wno-maybe-uninitialized)
endif()

function(flyweight_add_room name)
  cmake_parse_arguments(ROOM "" "" "USES" ${ARGN})
  set(folder "${PROJECT_SOURCE_DIR}/src/${name}")
  set(include_root "${PROJECT_BINARY_DIR}/rooms/${name}")
  file(MAKE_DIRECTORY "${include_root}")
  if(NOT EXISTS "${include_root}/${name}")
    file(CREATE_LINK "${folder}" "${include_root}/${name}" SYMBOLIC)
  endif()

  file(GLOB_RECURSE sources CONFIGURE_DEPENDS "${folder}/*.cc")
  set(test_sources ${sources})
  list(FILTER sources EXCLUDE REGEX "_test\\.cc$")
  list(FILTER test_sources INCLUDE REGEX "_test\\.cc$")
  if(NOT CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
    list(FILTER sources EXCLUDE REGEX "_(avx2|avx512|gfni)\\.cc$")
  endif()
  if(NOT CMAKE_SYSTEM_PROCESSOR MATCHES "aarch64|arm64")
    list(FILTER sources EXCLUDE REGEX "_neon\\.cc$")
  endif()

  add_library(flyweight_${name} STATIC ${sources})
  set_target_properties(flyweight_${name} PROPERTIES LINKER_LANGUAGE CXX)
  target_include_directories(flyweight_${name} PUBLIC "${include_root}" "${PROJECT_SOURCE_DIR}/include")
  target_link_libraries(flyweight_${name} PRIVATE flyweight_flags)
  foreach(used IN LISTS ROOM_USES)
    target_link_libraries(flyweight_${name} PUBLIC flyweight_${used})
  endforeach()
  foreach(source IN LISTS sources)
    if(source MATCHES "_avx2\\.cc$")
      set_source_files_properties(${source} PROPERTIES COMPILE_OPTIONS "${FLYWEIGHT_AVX2_FLAGS}")
    elseif(source MATCHES "_avx512\\.cc$")
      set_source_files_properties(${source} PROPERTIES COMPILE_OPTIONS "${FLYWEIGHT_AVX512_FLAGS}")
    elseif(source MATCHES "_gfni\\.cc$")
      set_source_files_properties(${source} PROPERTIES COMPILE_OPTIONS "${FLYWEIGHT_AVX512_FLAGS};-mgfni")
    endif()
  endforeach()

  if(FLYWEIGHT_BUILD_TESTS AND test_sources)
    flyweight_add_test(flyweight_${name}_test SOURCES ${test_sources} LINKS flyweight_${name})
  endif()
endfunction()

# flyweight_add_test(NAME SOURCES file... LINKS target...): a GoogleTest program, registered with ctest case by case. Tests may use tests/support.
function(flyweight_add_test name)
  cmake_parse_arguments(TEST "" "" "SOURCES;LINKS" ${ARGN})
  find_package(GTest REQUIRED)
  include(GoogleTest)
  add_executable(${name} ${TEST_SOURCES})
  target_include_directories(${name} PRIVATE "${PROJECT_SOURCE_DIR}/tests")
  target_compile_definitions(${name} PRIVATE FLYWEIGHT_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
  target_link_libraries(${name} PRIVATE ${TEST_LINKS} flyweight_flags GTest::gmock GTest::gtest_main)
  gtest_discover_tests(${name} DISCOVERY_TIMEOUT 60 PROPERTIES LABELS unit)
endfunction()
