#!/usr/bin/env python3
"""Integer products and convolutions against plain Python integers, and what the recipes of Quamba's modes promise.

    integer_layer_test.py BINARY SOURCE_FOLDER

Nothing here is Vernier's: weights are read from the model's file, codes, sums and scales are computed as docs/formats.md and
docs/arithmetic.md state, on Python's integers and floats (doubles, rounded to float32 where the pages say so). Checked, bit for
bit: in_proj with its norm folded in, the convolution with its treated bias, x_proj, dt_proj and the rotated out_proj of
tiny-mamba and of a model of random numbers in which every second code is a tie, with both roundings to nearest. Then: every
recipe runs, pairs that must be equal are, and a pair that is broken on purpose is found.
"""
import json
import math
import os
import random
import struct
import subprocess
import sys
import tempfile

failed = 0


def expect(good, what):
    global failed
    print(("ok      " if good else "FAILED  ") + what)
    failed += not good


# ---- files

def tensors(path):
    """Of a safetensors file: name -> (dtype, shape, bytes)."""
    with open(path, "rb") as file:
        data = file.read()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8:8 + length])
    header.pop("__metadata__", None)
    body = data[8 + length:]
    return {name: (t["dtype"], t["shape"], body[t["data_offsets"][0]:t["data_offsets"][1]])
            for name, t in header.items()}


def numbers(tensor):
    dtype, _, data = tensor
    return list(struct.unpack("<%d%s" % (len(data) // {"F32": 4, "F64": 8}[dtype], {"F32": "f", "F64": "d"}[dtype]), data))


def write_tensors(path, named):
    header, body = {}, b""
    for name, (shape, values) in named.items():
        data = struct.pack("<%df" % len(values), *values)
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [len(body), len(body) + len(data)]}
        body += data
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + body)


def rows(tensor):
    flat = numbers(tensor)
    width = len(flat) // tensor[1][0]
    return [flat[i:i + width] for i in range(0, len(flat), width)]


# ---- numbers

def f32(x):
    return struct.unpack("<f", struct.pack("<f", x))[0]


def nearest(t, away):
    if not away:
        return round(t)
    whole = math.floor(abs(t))
    whole += abs(t) - whole >= 0.5
    return whole if t >= 0 else -whole


class Grid:
    """int8 with a range A (absmax) or a scale; full: down to -128."""

    def __init__(self, absmax=None, scale=None, full=False, away=False):
        self.a, self.b = (absmax, 127.0) if scale is None else (scale, 1.0)
        self.low, self.away = -128 if full else -127, away

    def codes(self, values):
        if self.a == 0:
            return [0] * len(values)
        return [min(127, max(self.low, nearest(x * self.b / self.a, self.away))) for x in values]

    def scale(self):
        return f32(self.a / self.b)

    def value(self, code):
        return f32(code * self.a / self.b)

    def values(self, values):
        return [self.value(q) for q in self.codes(values)]


def hadamard(row):
    row, n = list(row), len(row)
    block = n & -n
    h = 1
    while h < block:
        for i in range(0, n, 2 * h):
            for j in range(i, i + h):
                row[j], row[j + h] = row[j] + row[j + h], row[j] - row[j + h]
        h *= 2
    norm = 1 / math.sqrt(block)
    return [x * norm for x in row]


def product(x_codes, w_codes, scale):
    """float32(sum) * scale for each row of codes."""
    return [f32(f32(float(sum(a * b for a, b in zip(x_codes, row)))) * scale) for row in w_codes]


def absmax(matrix):
    return max(abs(x) for row in matrix for x in row)


def same(got, want):
    return struct.pack("<%df" % len(got), *got) == struct.pack("<%df" % len(want), *want)


def silu(x):
    return f32(x / (1 + math.exp(-x)))


# ---- a layer

class Weights:
    def __init__(self, folder, layer):
        self.tensors = tensors(os.path.join(folder, "model.safetensors"))
        self.prefix = f"backbone.layers.{layer}."

    def matrix(self, name):
        return rows(self.tensors[self.prefix + name])

    def vector(self, name):
        return numbers(self.tensors[self.prefix + name])


def codes_of_matrix(matrix, rotate, options):
    if rotate:
        matrix = [hadamard(row) for row in matrix]
    grid = Grid(**options) if "scale" in options else Grid(absmax=absmax(matrix), **options)
    return [grid.codes(row) for row in matrix], grid.scale()


def check_layer(weights, layer, captured, grids, weight_grid, tokens, what):
    """`grids`: of in_in, in_out, u, x_out, dt_out, out_in; each node's operands are those that were captured."""
    def row(site, token):
        return captured[f"{site}[{layer}]"][token]

    def check(site, token, want):
        expect(same(row(site, token), want), f"{what}: {site}[{layer}] of token {token}")

    norm = weights.vector("norm.weight")
    folded = [[f32(w * n) for w, n in zip(r, norm)] for r in weights.matrix("mixer.in_proj.weight")]
    in_codes, in_scale = codes_of_matrix(folded, False, weight_grid)
    x_codes, x_scale = codes_of_matrix(weights.matrix("mixer.x_proj.weight"), False, weight_grid)
    dt_codes, dt_scale = codes_of_matrix(weights.matrix("mixer.dt_proj.weight"), False, weight_grid)
    out_codes, out_scale = codes_of_matrix(weights.matrix("mixer.out_proj.weight"), True, weight_grid)
    conv_codes, conv_scale = codes_of_matrix(weights.matrix("mixer.conv1d.weight"), False, weight_grid)
    bias = weights.vector("mixer.conv1d.bias")
    bias = Grid(absmax=absmax([bias])).values(bias)
    inner, taps = len(conv_codes), len(conv_codes[0])
    for t in tokens:
        check("attn_norm", t, row("attn_normed", t))  # weightless
        x = grids["in_in"].codes(row("attn_norm", t))
        both = grids["in_out"].values(product(x, in_codes, f32(grids["in_in"].scale() * in_scale)))
        check("ssm_in", t, both)
        window = [grids["in_out"].codes(row("ssm_in_x", i)) if i >= 0 else [0] * inner for i in range(t - taps + 1, t + 1)]
        scale = f32(grids["in_out"].scale() * conv_scale)
        conv = [f32(f32(float(sum(window[i][c] * conv_codes[c][i] for i in range(taps)))) * scale) for c in range(inner)]
        check("ssm_conv_nobias", t, conv)
        conv = [f32(y + b) for y, b in zip(conv, bias)]
        check("ssm_conv", t, conv)
        u = grids["u"].values([silu(y) for y in conv])
        check("ssm_conv_silu", t, u)
        check("ssm_x", t, grids["x_out"].values(product(grids["u"].codes(u), x_codes, f32(grids["u"].scale() * x_scale))))
        dt = grids["x_out"].codes(row("ssm_x_dt", t))
        check("ssm_dt_nobias", t, grids["dt_out"].values(product(dt, dt_codes, f32(grids["x_out"].scale() * dt_scale))))
        gated = grids["out_in"].codes(hadamard(row("ssm_gated", t)))
        check("ssm_out", t, product(gated, out_codes, f32(grids["out_in"].scale() * out_scale)))


def random_model(folder):
    """Two layers of dyadic numbers: with a power of two as scale every second code of a weight is a tie, and so are sums."""
    draw = random.Random(7)
    hidden, inner, states, rank, vocabulary = 24, 48, 4, 2, 32

    def values(n, low, high, steps):
        return [draw.randint(round(low * steps), round(high * steps)) / steps for _ in range(n)]

    named = {"backbone.embeddings.weight": ([vocabulary, hidden], values(vocabulary * hidden, -2, 2, 64)),
             "backbone.norm_f.weight": ([hidden], values(hidden, 0.5, 2, 16))}
    for layer in range(2):
        p = f"backbone.layers.{layer}."
        named[p + "norm.weight"] = ([hidden], values(hidden, 0.5, 2, 4))
        named[p + "mixer.A_log"] = ([inner, states], values(inner * states, 0, 2, 1024))
        named[p + "mixer.D"] = ([inner], values(inner, 0.5, 1.5, 1024))
        named[p + "mixer.in_proj.weight"] = ([2 * inner, hidden], values(2 * inner * hidden, -0.5, 0.5, 512))
        named[p + "mixer.conv1d.weight"] = ([inner, 1, 4], values(inner * 4, -0.5, 0.5, 512))
        named[p + "mixer.conv1d.bias"] = ([inner], values(inner, -0.5, 0.5, 1024))
        named[p + "mixer.x_proj.weight"] = ([rank + 2 * states, inner], values((rank + 2 * states) * inner, -0.5, 0.5, 512))
        named[p + "mixer.dt_proj.weight"] = ([inner, rank], values(inner * rank, -0.5, 0.5, 512))
        named[p + "mixer.dt_proj.bias"] = ([inner], values(inner, -2, 0, 1024))
        named[p + "mixer.out_proj.weight"] = ([hidden, inner], values(hidden * inner, -0.5, 0.5, 512))
    os.makedirs(folder)
    write_tensors(os.path.join(folder, "model.safetensors"), named)
    with open(os.path.join(folder, "config.json"), "w", encoding="utf-8") as file:
        json.dump({"model_type": "mamba", "hidden_size": hidden, "intermediate_size": inner, "num_hidden_layers": 2,
                   "state_size": states, "conv_kernel": 4, "time_step_rank": rank, "layer_norm_epsilon": 1e-5,
                   "tie_word_embeddings": True, "hidden_act": "silu", "use_bias": False, "use_conv_bias": True,
                   "vocab_size": vocabulary, "max_position_embeddings": 64}, file)


def random_rules(rounding):
    """Scales that are powers of two, so that sums are on halves of the next grid; some codes beyond the range."""
    weight = "int8,scale=0.00390625" + rounding
    return ["attn_norm.weight=fold", "ssm_in.in=int8,scale=0.03125,full=true" + rounding, "ssm_in.weight=" + weight, "ssm_in.math=int",
            "ssm_in=int8,scale=0.0078125,full=true" + rounding,
            "ssm_conv_nobias.weight=" + weight, "ssm_conv_nobias.math=int", "ssm_conv.weight=int8,per=tensor",
            "ssm_conv_silu=int8,scale=0.0078125" + rounding, "ssm_x.weight=" + weight, "ssm_x.math=int",
            "ssm_x=int8,scale=0.015625,full=true" + rounding, "ssm_dt_nobias.weight=" + weight, "ssm_dt_nobias.math=int",
            "ssm_dt_nobias=int8,scale=0.0009765625,full=true" + rounding,
            "ssm_out.in=int8,scale=0.015625,full=true,rotate=hadamard" + rounding, "ssm_out.weight=" + weight + ",rotate=hadamard",
            "ssm_out.math=int"]


def random_grids(away):
    def grid(scale, full=True):
        return Grid(scale=scale, full=full, away=away)
    return {"in_in": grid(0.03125), "in_out": grid(0.0078125), "u": grid(0.0078125, False), "x_out": grid(0.015625),
            "dt_out": grid(0.0009765625), "out_in": grid(0.015625)}


# ---- recipes

MODES = ["0", "2-0", "2-1", "2-2", "2-3", "2-4", "3", "4", "5-0", "5-1", "5-2", "5-3", "5-4", "5-6", "5-7", "6-0", "6-1", "6-2",
         "6-3", "6-4"]
EQUAL = [("0", "2-0"), ("2-1", "2-2"), ("0", "5-0")]


def main():
    binary, source = map(os.path.abspath, sys.argv[1:3])
    model = os.path.join(source, "models", "tiny-mamba")
    recipes = os.path.join(source, "recipes", "quamba")
    scales_file = os.path.join(recipes, "tiny-mamba.scales.json")

    with tempfile.TemporaryDirectory() as folder:
        def vernier(*arguments):
            done = subprocess.run([binary, *arguments], capture_output=True, text=True, timeout=120, cwd=source)
            if done.returncode != 0:
                sys.exit(f"{' '.join(arguments)}: {done.stderr}")
            return done.stdout

        def capture(of, *arguments):
            path = os.path.join(folder, "capture.safetensors")
            vernier("probe", of, *arguments, "--save", path, "--quiet")
            return tensors(path)

        def layer_of(all_sites):
            return {name: rows(tensor) for name, tensor in all_sites.items()}

        # Random numbers, both roundings.
        with open(os.path.join(folder, "ids.json"), "w", encoding="utf-8") as file:
            json.dump([3, 1, 31, 8, 8, 20, 5], file)
        random_model(os.path.join(folder, "random"))
        ids = ["--tokens", os.path.join(folder, "ids.json")]
        outcomes = []
        for away in (False, True):
            rounding = ",round=nearest-away" if away else ""
            rules = [o for r in random_rules(rounding) for o in ("--rule", r)]
            captured = layer_of(capture(os.path.join(folder, "random"), *ids, *rules))
            outcomes.append(captured["ssm_in[0]"])
            for layer in range(2):
                check_layer(Weights(os.path.join(folder, "random"), layer), layer, captured, random_grids(away),
                            {"scale": 0.00390625, "away": away}, range(7), "random" + rounding)
        expect(outcomes[0] != outcomes[1], "halves to even and away differ")

        # The scales are those that the command beside them gives; mode 6-4 needs no others.
        again = os.path.join(folder, "scales.json")
        for recipe in ("0", "6-4"):
            vernier("calibrate", model, "-f", "data/shakespeare.txt", "-f", "data/gsm8k.txt", "-c", "512", "--chunks", "8", "--for",
                    f"{recipes}/{recipe}.recipe", "-o", again, "--quiet")
            with open(scales_file, encoding="utf-8") as ours, open(again, encoding="utf-8") as theirs:
                ours, theirs = json.load(ours)["sites"], json.load(theirs)["sites"]
                expect(theirs and all(ours.get(label) == entry for label, entry in theirs.items()) and
                       (recipe != "0" or len(ours) == len(theirs)), f"the scales that {recipe} reads")

        # tiny-mamba in mode 2-1.
        with open(scales_file, encoding="utf-8") as file:
            scales = json.load(file)["sites"]
        text = ["-p", "First Citizen: Before we proceed any further, hear me speak. Speak, speak. You are all resolved.", "--scales",
                scales_file]
        captured = layer_of(capture(f"{model}@{recipes}/2-1.recipe", *text))
        for layer in (0, 5):
            grids = {"in_in": Grid(absmax=scales[f"attn_normed[{layer}]"]["absmax"], full=True),
                     "in_out": Grid(absmax=scales[f"ssm_in[{layer}]"]["absmax"], full=True),
                     "u": Grid(absmax=scales[f"ssm_conv_silu[{layer}]"]["ema"]["99.95"], full=True, away=True),
                     "x_out": Grid(absmax=scales[f"ssm_x[{layer}]"]["absmax"], full=True),
                     "dt_out": Grid(absmax=scales[f"ssm_dt_nobias[{layer}]"]["absmax"], full=True),
                     "out_in": Grid(absmax=scales[f"ssm_out[{layer}].in,rotate=hadamard"]["absmax"], full=True)}
            check_layer(Weights(model, layer), layer, captured, grids, {}, (0, 2, 7), "tiny-mamba")

        # Every mode runs; those that must be equal are, in every bit of every site.
        modes = {m: capture(f"{model}@{recipes}/{m}.recipe", *text) for m in MODES}
        for name, sites in modes.items():
            logits = rows(sites["result_output"])
            expect(all(math.isfinite(x) for r in logits for x in r), f"mode {name} gives finite logits")
        for a, b in EQUAL:
            logits = modes[a]["result_output"] == modes[b]["result_output"]
            differ = [s for s in modes[a] if modes[a][s] != modes[b][s] and not s.startswith("ssm_conv_silu")]
            expect(logits and not differ, f"modes {a} and {b} are equal" + (f": not {differ[:3]}" if differ else ""))
        # The others are not. (Their logits may be: out_proj's INT8 swallows differences of the scan's order and of ties.)
        distinct = {}
        for name, sites in modes.items():
            inside = [sites[f"{s}[{layer}]"][2] for s in ("ssm_conv", "ssm_conv_x", "ssm_x", "ssm_scan") for layer in range(6)]
            distinct.setdefault(tuple(inside), []).append(name)
        groups = sorted(sorted(g) for g in distinct.values() if len(g) > 1)
        expect(groups == [["0", "2-0", "5-0"], ["2-1", "2-2"]], f"no other modes are equal: {groups}")
        ties, elements = 0, 0
        for layer in range(6):
            step = scales[f"ssm_conv_silu[{layer}]"]["ema"]["99.95"] / 127
            a, b = (numbers(modes[m][f"ssm_conv_x[{layer}]"]) for m in ("2-1", "2-3"))
            elements += len(a)
            if layer == 0:  # fed the same
                expect(all(x == y or abs(abs(x - y) / step - 1) < 1e-4 for x, y in zip(a, b)), "2-3 is a step from 2-1 at most")
            ties += sum(x != y for x, y in zip(a, b))
        expect(ties < elements / 1000, f"2-3 is 2-1 but for ties: {ties} of {elements} elements of u")
        broken = capture(f"{model}@{recipes}/2-0.recipe", *text, "--rule",
                         "ssm_conv_x[3]=int8,scale=static:ssm_in")
        expect(broken["result_output"] != modes["0"]["result_output"], "a broken 2-0 is not 0")

        # From a GGUF file the same bits, but for A, which its converter computed in float32.
        gguf = os.path.join(folder, "model.gguf")
        vernier("quantize", model, gguf, "--type", "f32", "--quiet")
        of_file = capture(f"{gguf}@{recipes}/2-1.recipe", *text)
        for site in ("ssm_conv_silu", "ssm_x", "ssm_dt", "ssm_skip"):
            expect(of_file[site + "[0]"] == modes["2-1"][site + "[0]"], f"{site}[0] is the same from a GGUF file")
        a, b = (numbers(sites["ssm_scan[0]"]) for sites in (modes["2-1"], of_file))
        far = math.sqrt(sum((x - y) ** 2 for x, y in zip(a, b)) / sum(x * x for x in a))
        expect(far < 1e-6, f"ssm_scan[0] from a GGUF file is {far:.1g} away")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
