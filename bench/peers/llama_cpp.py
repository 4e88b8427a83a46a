#!/usr/bin/env python3
"""Vernier beside llama.cpp on this machine: speed, time to the first token, memory, and a busy neighbour.

Installs llama.cpp's prebuilt library (the npm package @node-llama-cpp/linux-x64, by npm) into a cache folder, has Vernier write files of
known shapes with random weights (`vernier bench --shape`), and runs both programs in turns on them, each time in a process of its own,
with the same prompt. A ratio is Vernier's rate over llama.cpp's of the same round; the table has the median of the rounds, the least and
the most. Nothing is installed or written outside of the cache folder.

    bench/peers/llama.cpp                                       everything (about an hour)
    bench/peers/llama.cpp --shapes tinyllama-1.1b --types q4_k_m,q8_0 --rounds 5
    bench/peers/llama.cpp --only first-token,memory,busy --types q4_k_m
"""
import argparse
import json
import os
import shlex
import signal
import statistics
import subprocess
import sys
import tempfile
import time

import libllama

HERE = os.path.dirname(os.path.abspath(__file__))
PACKAGE = "@node-llama-cpp/linux-x64"
VERSION = "3.22.1"  # with llama.cpp v0.5.0
SHAPES = "tinyllama-1.1b,qwen2.5-0.5b,mamba-130m"
TYPES = "q4_k_m,q4_0,q8_0,f16,f32"
PARTS = ("speed", "first-token", "memory", "busy")
OWN = "own"


# Runs a program and prints when the first byte of its output came.
STOPWATCH = """
import subprocess, sys, time
start = time.monotonic()
child = subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE, bufsize=0)
child.stdout.read(1)
print(time.monotonic() - start)
child.stdout.read()
sys.exit(child.wait())
"""


class Failure(Exception):
    """What to say in one line."""


def say(text):
    print(text, file=sys.stderr, flush=True)


# ---- numbers and tables


def spread(values):
    return {"median": statistics.median(values), "least": min(values), "most": max(values)}


def table(header, rows):
    """Lines of text; the first column to the left, the others to the right."""
    cells = [header] + [[str(cell) for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in cells) for i in range(len(header))]
    lines = []
    for row in cells:
        line = "  ".join(cell.ljust(width) if i == 0 else cell.rjust(width) for i, (cell, width) in enumerate(zip(row, widths)))
        lines.append(line.rstrip())
    return "\n".join(lines)


def ratio_text(values):
    s = spread(values)
    return f"{s['median']:.2f} ({s['least']:.2f}-{s['most']:.2f})"


def percent(part, whole):
    return f"{100 * part / whole:.0f} %" if whole else ""


def speed_rows(results):
    """A row for each case and lane from what `measure_speed` returns."""
    rows = []
    for case in results:
        peer = case["llama.cpp"]
        for lane, runs in case["lanes"].items():
            if isinstance(runs, str):  # why it could not be run
                rows.append([f"{case['shape']} {case['type']}", lane, runs, "", "", "", "", "", "", ""])
                continue
            row = [f"{case['shape']} {case['type']}", lane]
            for key in ("prefill", "decode"):
                ours, theirs = [run[key] for run in runs], [run[key] for run in peer]
                row += [f"{statistics.median(ours):.1f}", f"{statistics.median(theirs):.1f}",
                        ratio_text([a / b for a, b in zip(ours, theirs)])]
                best = max(run["fma" if key == "prefill" else "read"] for run in runs)
                row.append(percent(statistics.median([run["flops" if key == "prefill" else "bytes"] for run in runs]), best))
            rows.append(row)
    return rows


SPEED_HEADER = ["file", "arithmetic", "prompt tok/s", "llama.cpp", "ratio", "of FMA", "writing tok/s", "llama.cpp", "ratio", "of memory"]


def first_token_rows(results):
    return [[f"{r['shape']} {r['type']}", r["lane"], f"{statistics.median(r['ours']):.3f}", f"{statistics.median(r['llama.cpp']):.3f}",
             ratio_text([b / a for a, b in zip(r["ours"], r["llama.cpp"])])] for r in results]


FIRST_TOKEN_HEADER = ["file", "arithmetic", "seconds", "llama.cpp", "ratio of speed"]


def memory_rows(results):
    return [[f"{r['shape']} {r['type']}", r["lane"], f"{r['file'] / 1e6:.0f}", f"{r['ours'] / 1e6:.0f}", f"{r['llama.cpp'] / 1e6:.0f}"]
            for r in results]


MEMORY_HEADER = ["file", "arithmetic", "file MB", "peak MB", "llama.cpp"]


def busy_rows(results):
    def kept(pair):
        return [beside / alone for alone, beside in zip(pair["alone"], pair["beside"])]
    return [[f"{r['shape']} {r['type']}", r["lane"], ratio_text(kept(r["ours"])), ratio_text(kept(r["llama.cpp"]))] for r in results]


BUSY_HEADER = ["file", "arithmetic", "rate kept", "llama.cpp"]

# ---- programs


def run(command, options):
    """(standard output, struct rusage) of a program; its last line of complaint as a Failure."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        child = subprocess.Popen(shlex.split(options.prefix) + command, stdout=out, stderr=err, start_new_session=True)
        end = time.monotonic() + options.timeout
        pid, status, usage = 0, 0, None
        try:
            while pid == 0 and time.monotonic() < end:
                pid, status, usage = os.wait4(child.pid, os.WNOHANG)
                if pid == 0:
                    time.sleep(0.001)
        finally:
            if pid == 0:
                os.killpg(child.pid, signal.SIGTERM)
                _, status, usage = os.wait4(child.pid, 0)
            child.returncode = os.waitstatus_to_exitcode(status)
        if pid == 0:
            raise Failure(f"{os.path.basename(command[0])} took more than {options.timeout} s (--timeout)")
        out.seek(0)
        err.seek(0)
        if child.returncode != 0:
            complaint = err.read().strip().splitlines() or [f"exit status {child.returncode}"]
            raise Failure(complaint[-1])
        return out.read(), usage


def install(options):
    """The folder of libllama.so, installed first where it is not there yet."""
    if options.library:
        return options.library
    home = os.path.join(options.cache, f"node-llama-cpp-{VERSION}")
    folder = os.path.join(home, "node_modules", *PACKAGE.split("/"), "bins", "linux-x64")
    if os.path.isdir(folder):
        return folder
    os.makedirs(home, exist_ok=True)
    say(f"installing {PACKAGE}@{VERSION} into {home}")
    command = ["npm", "install", "--prefix", home, "--no-save", "--ignore-scripts", "--no-audit", "--no-fund", f"{PACKAGE}@{VERSION}"]
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    except FileNotFoundError:
        raise Failure("llama.cpp cannot be installed: there is no npm here (Debian: apt-get install npm); "
                      "or give a folder with libllama.so as --library") from None
    if done.returncode != 0 or not os.path.isdir(folder):
        last = done.stdout.strip().splitlines() or ["npm said nothing"]
        raise Failure(f"llama.cpp cannot be installed: {' '.join(command)}: {last[-1]}; or give a folder with libllama.so as --library")
    return folder


class Bench:
    def __init__(self, options, library):
        self.options, self.library = options, library

    def write_model(self, shape, file_type):
        folder = os.path.join(self.options.cache, "models")
        os.makedirs(folder, exist_ok=True)
        path = os.path.join(folder, f"{shape}-{file_type}.gguf")
        if not os.path.exists(path):
            say(f"writing {path}")
            done = subprocess.run([self.options.vernier, "bench", "--shape", shape, "--type", file_type, "--write", path, "--quiet"],
                                  capture_output=True, text=True, check=False)
            if done.returncode != 0:
                raise Failure(done.stderr.strip())
        return path

    def rules(self, lane):
        return [] if lane == OWN else ["--rule", f"profile={lane}"]

    def llama(self, model, *more):
        out, usage = run([sys.executable, os.path.join(HERE, "libllama.py"), self.library, model, "--threads", str(self.options.threads),
                          *more], self.options)
        return {**json.loads(out), "usage": usage}

    def speed_of_llama(self, model, prompt, tokens):
        found = self.llama(model, "--prompt", str(prompt), "--tokens", str(tokens), "--repeat", str(self.options.repeat))
        return {"prefill": prompt / found["prefill"], "decode": tokens / found["decode"]}

    def speed_of_vernier(self, model, lane, prompt, tokens):
        o = self.options
        out, _ = run([o.vernier, "bench", "inference", model, "--prompt", str(prompt), "-n", str(tokens), "-t", str(o.threads),
                      "--repeat", str(o.repeat), "--json", "--quiet", *self.rules(lane)], o)
        found = json.loads(out)
        prefill, decode = found["lanes"][0]["prefill"], found["lanes"][0]["decode"]
        return {"prefill": prefill["tokens_per_second"]["median"], "decode": decode["tokens_per_second"]["median"],
                "flops": prefill["flops"], "bytes": decode["bytes"], "fma": found["bounds"]["fma_f32"]["all"],
                "read": found["bounds"]["read"]["all"], "bounds": found["bounds"]}

    def measure_speed(self, shape, file_type, model):
        o = self.options
        case = {"shape": shape, "type": file_type, "llama.cpp": [], "lanes": {lane: [] for lane in o.lanes}}
        for i in range(o.rounds):
            say(f"{shape} {file_type}: round {i + 1} of {o.rounds}")
            case["llama.cpp"].append(self.speed_of_llama(model, o.prompt, o.tokens))
            for lane, runs in case["lanes"].items():
                if isinstance(runs, str):
                    continue
                try:
                    runs.append(self.speed_of_vernier(model, lane, o.prompt, o.tokens))
                except Failure as failure:
                    if lane == OWN:
                        raise
                    case["lanes"][lane] = str(failure)
        return case

    def measure_first_token(self, shape, file_type, model, lane):
        """From the start of the process until the token is written, the file in the page cache; llama.cpp's without Python's own start."""
        result = {"shape": shape, "type": file_type, "lane": lane, "ours": [], "llama.cpp": []}
        with tempfile.NamedTemporaryFile("w", suffix=".json") as ids:
            json.dump(libllama.prompt_ids(16, 1000), ids)
            ids.flush()
            for _ in range(self.options.rounds):
                result["llama.cpp"].append(self.llama(model, "--ids", ids.name, "--cold", "--tokens", "0")["first_token"])
                out, _ = run([sys.executable, "-c", STOPWATCH, self.options.vernier, "run", model, "--tokens", ids.name, "-n", "1",
                              "-t", str(self.options.threads), "--quiet", *self.rules(lane)], self.options)
                result["ours"].append(float(out))
        return result

    def measure_memory(self, shape, file_type, model, lane):
        with tempfile.NamedTemporaryFile("w", suffix=".json") as ids:
            json.dump(libllama.prompt_ids(self.options.prompt, 1000), ids)
            ids.flush()
            _, usage = run([self.options.vernier, "run", model, "--tokens", ids.name, "-n", "16", "-t", str(self.options.threads),
                            "--ignore-eos", "--quiet", *self.rules(lane)], self.options)
            theirs = self.llama(model, "--ids", ids.name, "--prompt", str(self.options.prompt), "--cold", "--tokens", "16")
        return {"shape": shape, "type": file_type, "lane": lane, "file": os.path.getsize(model), "ours": usage.ru_maxrss * 1024,
                "llama.cpp": theirs["max_rss"]}

    def measure_busy(self, shape, file_type, model, lane):
        """Writing tokens alone, and beside one process that never sleeps. A short prompt: threads that spin may take minutes for it."""
        result = {"shape": shape, "type": file_type, "lane": lane, "ours": {"alone": [], "beside": []},
                  "llama.cpp": {"alone": [], "beside": []}}
        for _ in range(self.options.rounds):
            for key in ("alone", "beside"):
                busy = None
                if key == "beside":
                    busy = subprocess.Popen(["sh", "-c", "while :; do :; done"])
                try:
                    result["llama.cpp"][key].append(self.speed_of_llama(model, 8, 24)["decode"])
                    result["ours"][key].append(self.speed_of_vernier(model, lane, 8, 24)["decode"])
                finally:
                    if busy is not None:
                        busy.kill()
                        busy.wait()
        return result


def report(results):
    parts = []
    bounds = [run["bounds"] for case in results["speed"] for runs in case["lanes"].values() if not isinstance(runs, str) for run in runs]
    if bounds:
        best = {key: max(b[key]["all"] for b in bounds) / 1e9 for key in ("fma_f32", "fma_f64", "dot_i8", "read")}
        parts.append(f"this machine does at most {best['fma_f32']:.0f} GFLOP/s in float32, {best['fma_f64']:.0f} in float64, "
                     f"{best['dot_i8']:.0f} GOP/s on 8-bit integers ({bounds[0]['dot_i8_name']}), and reads {best['read']:.1f} GB/s")
    for key, title, header, rows in (
            ("speed", "speed: medians; ratio = Vernier / llama.cpp, median (least-most) of the rounds", SPEED_HEADER, speed_rows),
            ("first-token", "16 tokens to the first one made, from the start of the process", FIRST_TOKEN_HEADER, first_token_rows),
            ("memory", "peak of resident memory of a run", MEMORY_HEADER, memory_rows),
            ("busy", "writing beside one other busy process, over writing alone", BUSY_HEADER, busy_rows)):
        if results[key]:
            parts.append(title + "\n" + table(header, rows(results[key])))
    return "\n\n".join(parts)


def parse(arguments):
    parser = argparse.ArgumentParser(prog="bench/peers/llama.cpp", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = os.path.join(HERE, "..", "..", "build", "release", "vernier")
    home = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    parser.add_argument("--vernier", default=os.path.normpath(default), help="the program (build/release/vernier)")
    parser.add_argument("--cache", default=os.path.join(home, "vernier-peers"), help="folder for the package and the files (%(default)s)")
    parser.add_argument("--library", help="a folder with libllama.so and libggml*.so, instead of installing the package")
    parser.add_argument("--shapes", default=SHAPES, help="%(default)s")
    parser.add_argument("--types", default=TYPES, help="%(default)s")
    parser.add_argument("--arithmetic", default=f"{OWN},ggml-repack", help=f"'{OWN}' or the name of a profile (%(default)s)")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--prompt", type=int, default=512, help="tokens of the prompt (%(default)s)")
    parser.add_argument("--tokens", type=int, default=64, help="tokens after it (%(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="of each measurement (%(default)s)")
    parser.add_argument("--repeat", type=int, default=1, help="runs of a program within a round of speed, of which the median counts (%(default)s)")
    parser.add_argument("--only", default=",".join(PARTS), help="parts to run (%(default)s)")
    parser.add_argument("--prefix", default="", help="put before each measured command, as 'taskset -c 0,1'")
    parser.add_argument("--timeout", type=float, default=600, help="seconds that one program may take (%(default)s)")
    parser.add_argument("--keep", action="store_true", help="keep the model files (up to 4.4 GB each)")
    parser.add_argument("--json", metavar="FILE", help="also write all numbers there")
    options = parser.parse_args(arguments)
    options.shapes, options.types = options.shapes.split(","), options.types.split(",")
    options.lanes, options.only = options.arithmetic.split(","), options.only.split(",")
    for part in options.only:
        if part not in PARTS:
            parser.error(f"--only: unknown part '{part}'; known are {', '.join(PARTS)}")
    if min(options.rounds, options.repeat, options.threads, options.prompt, options.tokens) < 1:
        parser.error("--rounds, --repeat, --threads, --prompt, --tokens: expected at least 1")
    return options


def measure(options, bench, results):
    for shape in options.shapes:
        for file_type in options.types:
            model = bench.write_model(shape, file_type)
            try:
                if "speed" in options.only:
                    results["speed"].append(bench.measure_speed(shape, file_type, model))
                for lane in options.lanes:
                    for part, work in (("first-token", bench.measure_first_token), ("memory", bench.measure_memory),
                                       ("busy", bench.measure_busy)):
                        if part in options.only:
                            say(f"{shape} {file_type} {lane}: {part}")
                            try:
                                results[part].append(work(shape, file_type, model, lane))
                            except Failure as failure:
                                say(f"{shape} {file_type} {lane}: {failure}")
            finally:
                if not options.keep:
                    os.remove(model)
            if options.json:
                with open(options.json, "w", encoding="utf-8") as file:
                    json.dump(results, file, indent=1)


def main(arguments):
    options = parse(arguments)
    results = {part: [] for part in PARTS}
    try:
        if not os.access(options.vernier, os.X_OK):
            raise Failure(f"{options.vernier}: no such program; build it first, or say where it is with --vernier")
        measure(options, Bench(options, install(options)), results)
    except Failure as failure:
        print(report(results))
        sys.exit(f"bench/peers/llama.cpp: {failure}")
    except KeyboardInterrupt:
        print(report(results))
        sys.exit(130)
    print(report(results))


if __name__ == "__main__":
    main(sys.argv[1:])
