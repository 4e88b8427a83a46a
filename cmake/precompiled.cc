// A source for the targets that precompile headers (precompiled.cmake), which must have one.
