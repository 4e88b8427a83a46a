# cmake --install: the program, its manual page, completion for bash and zsh, documentation, studies and recipes.
# What the program says of itself is written by the program, when it is installed.
include(GNUInstallDirs)
install(TARGETS vernier RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
set(said ${CMAKE_BINARY_DIR}/said)
foreach(pair "man|vernier.1" "completion=bash|vernier.bash" "completion=zsh|_vernier")
  string(REPLACE "|" ";" pair "${pair}")
  list(GET pair 0 option)
  list(GET pair 1 file)
  install(CODE "
    file(MAKE_DIRECTORY \"${said}\")
    execute_process(COMMAND \"$<TARGET_FILE:vernier>\" help --${option} OUTPUT_FILE \"${said}/${file}\"
      COMMAND_ERROR_IS_FATAL ANY)")
endforeach()
install(FILES ${said}/vernier.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
install(FILES ${said}/vernier.bash DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions RENAME vernier)
install(FILES ${said}/_vernier DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/site-functions)
install(FILES README.md CHANGELOG.md LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(DIRECTORY docs/ DESTINATION ${CMAKE_INSTALL_DOCDIR}/docs)
# Studies name models and texts by their folders: they run in this one.
install(DIRECTORY studies models data DESTINATION ${CMAKE_INSTALL_DATADIR}/vernier)
install(DIRECTORY recipes DESTINATION ${CMAKE_INSTALL_DATADIR}/vernier OPTIONAL)
