# Writes OUTPUT, a header that says what `git describe` says of SOURCE; only when that has changed, so that nothing is
# compiled again for the same. Run at every build: cmake -DSOURCE=... -DOUTPUT=... -P git.cmake
execute_process(COMMAND git -C ${SOURCE} describe --always --dirty OUTPUT_VARIABLE description ERROR_QUIET
  OUTPUT_STRIP_TRAILING_WHITESPACE RESULT_VARIABLE status)
if(NOT status EQUAL 0)
  set(description "")  # no git, or sources without their history
endif()
set(content "// Made by cmake/git.cmake.\ninline constexpr const char* kGitDescription = \"${description}\";\n")
set(old "")
if(EXISTS ${OUTPUT})
  file(READ ${OUTPUT} old)
endif()
if(NOT content STREQUAL old)
  file(WRITE ${OUTPUT} "${content}")
endif()
