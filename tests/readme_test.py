#!/usr/bin/env python3
"""Runs every command of README.md's shell blocks, with the built binary in the place of ./vernier.

    readme_test.py BINARY SOURCE_FOLDER

`./test` is not run (it runs this). Commands run in a folder of their own that sees the project's models and data, and its
studies: on at most CHUNKS chunks of each text and timed once, unless VERNIER_TEST_ALL is set.
"""
import os
import re
import subprocess
import sys
import tempfile


CHUNKS = 2


def copy_studies(source, folder):
    os.mkdir(folder)
    for name in os.listdir(source):
        with open(os.path.join(source, name), encoding="utf-8") as file:
            study = file.read()
        if "VERNIER_TEST_ALL" not in os.environ:
            study = re.sub(r"(?m)^chunks *= *(\d+)", lambda m: f"chunks = {min(int(m[1]), CHUNKS)}", study)
            if not re.search(r"(?m)^timings *=", study):
                study = "timings = 1\n" + study
        with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
            file.write(study)


def commands(text):
    for block in re.findall(r"```sh\n(.*?)```", text, re.S):
        for line in block.splitlines():
            if line.strip() and not line.startswith("#"):
                yield line


def main():
    binary, source = map(os.path.abspath, sys.argv[1:3])
    text = open(os.path.join(source, "README.md"), encoding="utf-8").read()
    found = list(commands(text))
    if len(found) < 8:
        sys.exit(f"only {len(found)} commands found in README.md")
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        for name in ("models", "data"):
            os.symlink(os.path.join(source, name), os.path.join(folder, name))
        copy_studies(os.path.join(source, "studies"), os.path.join(folder, "studies"))
        os.mkdir(os.path.join(folder, "out"))
        for command in found:
            if not command.startswith("./vernier "):
                sys.exit(f"README.md has a command this test cannot run: {command}")
            line = command.replace("./vernier", "'" + binary + "'", 1)
            done = subprocess.run(line, shell=True, cwd=folder, capture_output=True, text=True, timeout=600)
            good = done.returncode == 0 and done.stdout
            print(("ok      " if good else "FAILED  ") + command)
            if not good:
                print(done.stdout, done.stderr)
                failed += 1
        if not os.path.exists(os.path.join(folder, "out", "ffn-norm-bf16", "results.json")):
            sys.exit("the study left no results.json")
    for page in re.findall(r"\]\(((?:docs/)?[\w.-]+\.md)\)", text):
        if not os.path.exists(os.path.join(source, page)):
            sys.exit(f"README.md links to {page}, which is not there")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
