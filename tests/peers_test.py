#!/usr/bin/env python3
"""The parts of bench/peers/llama.cpp that need neither network nor a peer.

    peers_test.py BINARY SOURCE_FOLDER
"""
import json
import os
import subprocess
import sys
import tempfile

failed = 0


def expect(good, what):
    global failed
    print(("ok      " if good else "FAILED  ") + what)
    failed += not good


def main():
    binary, source = map(os.path.abspath, sys.argv[1:3])
    folder = os.path.join(source, "bench", "peers")
    sys.dont_write_bytecode = True
    sys.path.insert(0, folder)
    import libllama
    import llama_cpp
    script = os.path.join(folder, "llama.cpp")

    def call(*arguments, **more):
        return subprocess.run([script, *arguments], capture_output=True, text=True, timeout=60, **more)

    done = call("--help")
    expect(done.returncode == 0 and "--shapes" in done.stdout, "--help")
    done = call("--only", "spede")
    expect(done.returncode == 2 and "unknown part 'spede'" in done.stderr, "an unknown part")
    done = call("--vernier", "/nowhere/vernier")
    expect(done.returncode == 1 and "/nowhere/vernier: no such program" in done.stderr, "no program")
    with tempfile.TemporaryDirectory() as empty:
        # Without npm on the path nothing is fetched, and the line says what to do.
        os.symlink(sys.executable, os.path.join(empty, "python3"))
        os.symlink("/usr/bin/dirname", os.path.join(empty, "dirname"))
        done = call("--vernier", binary, "--cache", empty, env={**os.environ, "PATH": empty})
        expect(done.returncode == 1 and "there is no npm here" in done.stderr and "--library" in done.stderr, "no npm")
        done = call("--vernier", binary, "--cache", empty, "--library", empty, "--shapes", "tiny", "--types", "q8_0", "--rounds", "1")
        expect(done.returncode == 1 and "no libggml-base.so*" in done.stderr, "a library folder without the library")
        # Vernier's half of a measurement, for real.
        options = llama_cpp.parse(["--vernier", binary, "--cache", empty, "--prompt", "32", "--tokens", "4"])
        bench = llama_cpp.Bench(options, "")
        model = bench.write_model("tiny", "q8_0")
        found = bench.speed_of_vernier(model, "own", 32, 4)
        expect(all(found[key] > 0 for key in ("prefill", "decode", "flops", "bytes", "fma", "read")), "a measurement of Vernier")
        try:
            bench.speed_of_vernier(model, "no-such-profile", 32, 4)
            expect(False, "a rule that is refused")
        except llama_cpp.Failure as failure:
            expect("no-such-profile" in str(failure), "a rule that is refused")

    expect(libllama.prompt_ids(3, 32000) == [313, 8232, 16151] and libllama.prompt_ids(2, 500) == [13, 432], "the prompt's ids")
    expect(llama_cpp.table(["a", "bb"], [["long", 1], ["x", 22]]) == "a     bb\nlong   1\nx     22", "a table")
    expect(llama_cpp.ratio_text([2, 1, 4]) == "2.00 (1.00-4.00)", "a ratio")

    ours = [{"prefill": p, "decode": d, "flops": 50, "bytes": 30, "fma": f, "read": 60} for p, d, f in ((100, 20, 90), (120, 30, 100))]
    case = {"shape": "s", "type": "t", "llama.cpp": [{"prefill": 50, "decode": 40}, {"prefill": 80, "decode": 40}],
            "lanes": {"own": ours, "other": "rule refused"}}
    rows = llama_cpp.speed_rows([case])
    expect(rows[0] == ["s t", "own", "110.0", "65.0", "1.75 (1.50-2.00)", "50 %", "25.0", "40.0", "0.62 (0.50-0.75)", "50 %"],
           f"rows of speed: {json.dumps(rows[0])}")
    expect(rows[1][:3] == ["s t", "other", "rule refused"] and len(rows[1]) == len(llama_cpp.SPEED_HEADER), "a lane that was refused")
    rows = llama_cpp.busy_rows([{"shape": "s", "type": "t", "lane": "own", "ours": {"alone": [10, 10], "beside": [5, 6]},
                                 "llama.cpp": {"alone": [10, 20], "beside": [1, 2]}}])
    expect(rows == [["s t", "own", "0.55 (0.50-0.60)", "0.10 (0.10-0.10)"]], "rows of the busy neighbour")
    rows = llama_cpp.first_token_rows([{"shape": "s", "type": "t", "lane": "own", "ours": [0.5], "llama.cpp": [1.0]}])
    expect(rows == [["s t", "own", "0.500", "1.000", "2.00 (2.00-2.00)"]], "rows of the first token")
    rows = llama_cpp.memory_rows([{"shape": "s", "type": "t", "lane": "own", "file": 1e6, "ours": 2e6, "llama.cpp": 3e6}])
    expect(rows == [["s t", "own", "1", "2", "3"]], "rows of memory")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
