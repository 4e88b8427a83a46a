// Single-precision functions as glibc has them since 2.28 (on machines with fused multiply-adds),
// bit for bit: llama.cpp calls them, so the profiles need them (docs/profiles.md, section 6). The
// methods and constants are those of Arm's optimized routines (sincosf.c, expf.c, logf.c and their
// data).
#ifndef VERNIER_OPS_GLIBC_MATH_H_
#define VERNIER_OPS_GLIBC_MATH_H_

namespace vernier {

struct FloatSinCos {
  float sin, cos;
};
FloatSinCos GlibcSinCos(float x);
float GlibcExp(float x);
float GlibcLog(float x);  // of a normal positive number

}  // namespace vernier

#endif  // VERNIER_OPS_GLIBC_MATH_H_
