#!/usr/bin/env python3
"""Checks what the compiler cannot: the rules that src/ keeps about itself.

  layers   a folder includes itself and the folders below it, in the order of LAYERS
  inl      src/kernels/*-inl.h, and the project headers they reach, include freestanding headers only:
           these files are compiled with wider instruction sets, and an inline function of the standard
           library among them could be the copy that the whole program runs
  forward  the forward pass calls nothing whose result depends on the machine's library, the clock or
           chance (ALLOWED has the exceptions, each with its reason)
  guards   a header's include guard is its path
  sizes    at most 700 lines a .cc and 300 a header: beyond is a warning, from half as much again an error

Prints FILE:LINE: what is wrong; exit status 1 if there is any error. No arguments, any working
directory. `--self-test` runs the checks on small wrong examples.
"""

import pathlib
import re
import sys

# From the top to the bottom.
LAYERS = ["cli", "report", "study", "measure", "engine", "arch", "ops", "formats", "kernels", "model", "base"]
FREESTANDING = {"stddef.h", "stdint.h", "string.h", "immintrin.h", "cstddef", "cstdint"}
FORWARD = ("src/kernels/", "src/ops/", "src/engine/")
FORBIDDEN = re.compile(
    r"\b(?:std::)?(?:exp|exp2|expm1|log|log2|log10|log1p|pow|sin|cos|sincos|tan|tanh|sinh|cosh|atan2?|erfc?|cbrt"
    r"|hypot|tgamma|lgamma|rand|srand|time|clock)[fl]?\s*\(|\brandom_device\b|\bmt19937|\b_clock::now")
ALLOWED = {
    "src/engine/generate.cc": ({"std::exp("}, "sampling with a temperature draws from the logits after the forward pass"),
}
LIMITS = {".cc": 700, ".h": 300}
COMMENT_OR_STRING = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"', re.S)
INCLUDE = re.compile(r'^\s*#\s*include\s+(["<])([^">]+)[">]')


def without_comments(text):
    """Comments and strings blanked, line breaks kept; include lines keep their names."""
    def blank(match):
        line_start = text.rfind("\n", 0, match.start()) + 1
        if match.group()[0] == '"' and "#include" in text[line_start:match.start()]:
            return match.group()
        return re.sub(r"[^\n]", " ", match.group())
    return COMMENT_OR_STRING.sub(blank, text)


class Checker:
    def __init__(self, files):
        self.files = {path: without_comments(text) for path, text in files.items()}
        self.errors, self.warnings = [], []

    def error(self, path, line, message):
        self.errors.append(f"{path}:{line}: {message}")

    def includes(self, path):
        for number, line in enumerate(self.files[path].split("\n"), 1):
            match = INCLUDE.match(line)
            if match:
                yield number, match.group(1) == '"', match.group(2)

    def check(self):
        for path in sorted(self.files):
            self.check_layers(path)
            if path.startswith(FORWARD) and not path.endswith("_test.cc"):
                self.check_forward(path)
            if path.startswith("src/kernels/") and path.endswith("-inl.h"):
                self.check_freestanding(path, path, 1, set())
            if path.endswith(".h"):
                self.check_guard(path)
            self.check_size(path)
        return not self.errors

    def check_layers(self, path):
        folder = path.split("/")[1]
        if folder not in LAYERS:
            return self.error(path, 1, f"folder '{folder}' has no place in the order {' > '.join(LAYERS)}")
        for line, quoted, name in self.includes(path):
            if not quoted:
                continue
            target = name.split("/")[0]
            if target not in LAYERS or "src/" + name not in self.files:
                self.error(path, line, f'"{name}" is no header of src/')
            elif LAYERS.index(target) < LAYERS.index(folder):
                self.error(path, line, f'"{name}": {folder} may not know {target}, which is above it')

    def check_freestanding(self, origin, path, line, seen):
        """Follows project headers; what is wrong is reported where `origin` includes it."""
        if path in seen or path not in self.files:
            return
        seen.add(path)
        for number, quoted, name in self.includes(path):
            at = number if path == origin else line
            if quoted:
                self.check_freestanding(origin, "src/" + name, at, seen)
            elif name not in FREESTANDING:
                through = "" if path == origin else f" (through {path})"
                self.error(origin, at, f"<{name}>{through} is no freestanding header")

    def check_forward(self, path):
        allowed = ALLOWED.get(path, (set(), ""))[0]
        for number, line in enumerate(self.files[path].split("\n"), 1):
            for match in FORBIDDEN.finditer(line):
                before = line[:match.start()].rstrip()
                # Members (x.time(), x->log()) and functions of other names are not meant.
                if before.endswith((".", "->")) or match.group() in allowed:
                    continue
                self.error(path, number, f"'{match.group().strip()}' in the forward pass: its bits are not ours")

    def check_guard(self, path):
        guard = "VERNIER_" + re.sub(r"[^A-Z0-9]", "_", path.removeprefix("src/").upper()) + "_"
        text = self.files[path]
        if f"#ifndef {guard}\n#define {guard}\n" not in text:
            self.error(path, 1, f"expected the include guard {guard}")

    def check_size(self, path):
        lines = self.files[path].count("\n")
        limit = LIMITS[pathlib.PurePath(path).suffix]
        message = f"{path}:1: {lines} lines: expected at most {limit}"
        if lines > limit * 3 // 2:
            self.errors.append(message)
        elif lines > limit:
            self.warnings.append(message)


def read_sources(root):
    files = {}
    for path in sorted((root / "src").rglob("*")):
        if path.suffix in LIMITS:
            files[path.relative_to(root).as_posix()] = path.read_text(encoding="utf-8")
    return files


def header(path, body=""):
    guard = "VERNIER_" + re.sub(r"[^A-Z0-9]", "_", path.removeprefix("src/").upper()) + "_"
    return f"#ifndef {guard}\n#define {guard}\n{body}#endif\n"


def self_test():
    base = {p: header(p) for p in ("src/base/a.h", "src/engine/e.h", "src/kernels/k.h")}
    base["src/kernels/v.h"] = header("src/kernels/v.h", "#include <vector>\n")
    inl = "src/kernels/x-inl.h"
    cases = [  # file, text, part of the error; None: no error
        ("src/arch/x.cc", '#include "engine/e.h"\n', "may not know engine"),
        ("src/engine/x.cc", '#include "base/a.h"\n', None),
        ("src/engine/x.cc", '#include "base/gone.h"\n', "no header of src/"),
        ("src/other/x.cc", "", "has no place"),
        (inl, header(inl, "#include <algorithm>\n"), "<algorithm> is no freestanding"),
        (inl, header(inl, '#include "kernels/v.h"\n'), "<vector> (through"),
        (inl, header(inl, '#include <stdint.h>\n#include "kernels/k.h"\n'), None),
        ("src/ops/x.cc", "float y = std::exp(x);\n", "'std::exp('"),
        ("src/ops/x.cc", "auto y = sinf(x);\n", "'sinf('"),
        ("src/ops/x.cc", "std::random_device d;\n", "'random_device'"),
        ("src/ops/x.cc", "// exp(x)\nk.exp_f64(x); p.time(); \"pow(\"; Exp(x); /* sin(\n */\n", None),
        ("src/ops/x_test.cc", "std::exp(x);\n", None),
        ("src/engine/generate.cc", "std::exp(x);\n", None),
        ("src/engine/generate.cc", "std::log(x);\n", "'std::log('"),
        ("src/base/b.h", "#pragma once\n", "include guard VERNIER_BASE_B_H_"),
        ("src/base/x.cc", "\n" * 1051, "1051 lines"),
        ("src/base/x.cc", "\n" * 1050, None),
    ]
    for path, text, expected in cases:
        checker = Checker({**base, path: text})
        checker.check()
        found = "\n".join(checker.errors)
        if (expected is None and found) or (expected is not None and expected not in found):
            print(f"self-test: {path} {text[:60]!r}: expected {expected!r}, found {found!r}")
            return False
    return True


def main():
    if "--self-test" in sys.argv[1:]:
        return 0 if self_test() else 1
    checker = Checker(read_sources(pathlib.Path(__file__).resolve().parent.parent))
    checker.check()
    for warning in checker.warnings:
        print("warning:", warning)
    for error in checker.errors:
        print("error:", error)
    print(f"{len(checker.files)} files, {len(checker.errors)} errors, {len(checker.warnings)} warnings")
    return 1 if checker.errors else 0


if __name__ == "__main__":
    sys.exit(main())
