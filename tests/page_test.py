#!/usr/bin/env python3
"""The page of studies in a browser.

    page_test.py BINARY SOURCE_FOLDER WORK_FOLDER [--full]
    page_test.py --modules SOURCE_FOLDER WORK_FOLDER

Installs the page's node modules from its lock file (npm ci, into WORK_FOLDER), builds the page again and compares it with
the one that is kept, runs the project's studies on few chunks (--full: as they are), and opens their pages in Chromium
(page/test/run.mjs). With VERNIER_TEST_ALL screenshots stay in WORK_FOLDER/screenshots. --modules only installs the
modules: ./test does so while the program is built.
"""
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import time

STUDIES = ["ffn-norm-bf16", "bf16-norm-weights", "quantisation-types", "posit32-qwen-and-llama", "mamba-int8-modes"]


def run(arguments, folder, what, good=(0,), **options):
    start = time.time()
    done = subprocess.run(arguments, cwd=folder, capture_output=True, text=True, **options)
    print(f"{what}: {time.time() - start:.1f} s", flush=True)
    if done.returncode not in good:
        sys.exit(f"{done.stdout[-6000:]}{done.stderr[-6000:]}\npage test: {what} failed ({done.returncode})")
    return done.stdout


def modules(page, work):
    """npm ci, once for each lock file."""
    for name in ("package.json", "package-lock.json", "build.mjs", "template.html", "style.css"):
        shutil.copy(os.path.join(page, name), work)
    for name in ("src", "test"):
        shutil.rmtree(os.path.join(work, name), ignore_errors=True)
        shutil.copytree(os.path.join(page, name), os.path.join(work, name))
    lock = hashlib.sha256(open(os.path.join(page, "package-lock.json"), "rb").read()).hexdigest()
    stamp = os.path.join(work, "node_modules", ".of-lock")
    if os.path.exists(stamp) and open(stamp).read() == lock:
        return
    if not shutil.which("npm"):
        sys.exit("page test: no npm; apt-get install npm")
    done = subprocess.run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"], cwd=work,
                          capture_output=True, text=True, timeout=400)
    if done.returncode != 0:
        sys.exit(f"{done.stderr[-2000:]}\npage test: npm ci failed: is the npm registry in reach?")
    open(stamp, "w").write(lock)


def cut(text):
    """A study on few chunks, so that it takes seconds; without timings, which mean nothing here."""
    context = 16 if "posit" in text else 64  # arithmetic in posits is slow
    text = re.sub(r"(?m)^context = \d+", f"context = {context}", text)
    text = re.sub(r"(?m)^chunks = \d+", "chunks = 2", text)
    text = re.sub(r"(?m)^fit_chunks = \d+", "fit_chunks = 1", text)
    text = re.sub(r"(?m)^calibrate_chunks = \d+", "calibrate_chunks = 2", text)
    text = re.sub(r"(?m)^noise = \d+", "noise = 1", text)
    text = re.sub(r"(?m)^timings = \d+", "timings = 0", text)
    text = re.sub(r"tokens = \d+", "tokens = 8", text)
    text = re.sub(r"limit = \d+", "limit = 1", text)
    blocks = re.split(r"(?m)^(?=\[\[)", text)
    return "".join(b for b in blocks if "overhead(" not in b and "posit64" not in b)


def main():
    full = "--full" in sys.argv
    binary, source, work = map(os.path.abspath, sys.argv[1:4])
    os.makedirs(work, exist_ok=True)
    page = os.path.join(source, "page")
    with open(os.path.join(work, "modules.lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # waits for an installation that is under way
        modules(page, work)
    if sys.argv[1] == "--modules":
        return
    run(["node", "build.mjs", os.path.join(work, "rebuilt.html")], work, "building the page")
    kept = open(os.path.join(page, "dist", "page.html"), "rb").read()
    if open(os.path.join(work, "rebuilt.html"), "rb").read() != kept:
        sys.exit("page test: page/dist/page.html is not what page/ builds; run: cd page && npm ci && npm run build")
    if len(kept) > 600_000:
        sys.exit(f"page test: the page without data has {len(kept)} bytes")

    for name in ("models", "data", "recipes"):
        link = os.path.join(work, name)
        if os.path.exists(os.path.join(source, name)) and not os.path.exists(link):
            os.symlink(os.path.join(source, name), link)
    out = os.path.join(work, "full" if full else "out")
    shutil.rmtree(out, ignore_errors=True)
    os.makedirs(os.path.join(work, "studies"), exist_ok=True)
    pages = []
    for name in STUDIES:
        path = os.path.join(source, "studies", name + ".toml")
        if not os.path.exists(path):
            continue
        text = open(path, encoding="utf-8").read()
        with open(os.path.join(work, "studies", name + ".toml"), "w", encoding="utf-8") as file:
            file.write(text if full else cut(text))
        run([binary, "study", f"studies/{name}.toml", "-o", os.path.join(out, name), "--quiet"], work, name, (0, 1))
        pages.append(os.path.join(out, name, "report.html"))
    both = os.path.join(out, "side-by-side.html")
    run([binary, "report"] + [os.path.join(out, name) for name in STUDIES[:2]] + ["-o", both], work, "report")
    # One study alone is the page that the study itself made.
    again = os.path.join(out, "again.html")
    run([binary, "report", os.path.join(out, STUDIES[0]), "-o", again], work, "report")
    if open(again, "rb").read() != open(pages[0], "rb").read():
        sys.exit("page test: vernier report makes another page than vernier study")
    named = []
    for path in pages:
        name = os.path.join(out, os.path.basename(os.path.dirname(path)) + ".html")
        shutil.copy(path, name)
        named.append(name)
    start = time.time()
    done = subprocess.run(["node", "test/run.mjs", os.path.join(work, "screenshots")] + named + [both], cwd=work,
                          timeout=900)
    print(f"browser: {time.time() - start:.1f} s")
    sys.exit(done.returncode)


if __name__ == "__main__":
    main()
