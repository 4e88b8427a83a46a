#!/usr/bin/env python3
"""Mamba 2 and Falcon Mamba against float64 loops written here.

    mamba2_test.py BINARY SOURCE_FOLDER

Nothing here is Vernier's: the equations are those of Dao and Gu (arXiv 2405.21060) and of state-spaces/mamba, one token after
another in Python's floats. The trained model of models/ is also held to the logits that PyTorch computed; models with other shapes
(one group and several, heads that are no multiple of a register, no convolution bias, limits of the step, the norms of Falcon
Mamba) are drawn here, with the spreads that such models begin training with.
"""
import json
import math
import os
import random
import shutil
import struct
import subprocess
import sys
import tempfile
from itertools import islice
from operator import mul

failed = 0


def expect(good, what):
    global failed
    print(("ok      " if good else "FAILED  ") + what)
    failed += not good


# ---- files

def read_tensors(path):
    """Of a safetensors file: name -> (shape, flat list of floats)."""
    with open(path, "rb") as file:
        data = file.read()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8:8 + length])
    header.pop("__metadata__", None)
    out = {}
    for name, t in header.items():
        part = data[8 + length + t["data_offsets"][0]:8 + length + t["data_offsets"][1]]
        if t["dtype"] == "BF16":
            flat = [struct.unpack("<f", b"\0\0" + part[i:i + 2])[0] for i in range(0, len(part), 2)]
        else:
            size, code = {"F32": (4, "f"), "F64": (8, "d")}[t["dtype"]]
            flat = list(struct.unpack("<%d%s" % (len(part) // size, code), part))
        out[name] = (t["shape"], flat)
    return out


def write_tensors(path, tensors):
    """As float32; the numbers are rounded in place, so that the oracle reads what the file holds."""
    header, at, body = {}, 0, b""
    for name, (shape, flat) in tensors.items():
        part = struct.pack("<%df" % len(flat), *flat)
        flat[:] = struct.unpack("<%df" % len(flat), part)
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [at, at + len(part)]}
        at += len(part)
        body += part
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + body)


# ---- the models in float64

def dot(a, b):
    return sum(map(mul, a, b))


def silu(x):
    return x / (1 + math.exp(-x))


def softplus(x):
    return x if x > 20 else math.log1p(math.exp(x))


def normed(x, eps):
    scale = 1 / math.sqrt(dot(x, x) / len(x) + eps)
    return [v * scale for v in x]


class Model:
    """Keeps the state of every layer: step(token) gives the next token's logits."""

    def __init__(self, config, tensors):
        self.config, self.tensors = config, tensors
        self.kind = config["model_type"]
        self.eps = config["layer_norm_epsilon"]
        self.inner = config.get("intermediate_size") or config["expand"] * config["hidden_size"]
        self.states = config["state_size"]
        self.matrices = {}
        self.past = [None] * config["num_hidden_layers"]   # the convolution's last rows, oldest first
        self.state = [{} for _ in self.past]                # (channel) -> list of its numbers

    def get(self, name):
        return self.tensors[name][1]

    def matrix(self, name):
        if name not in self.matrices:
            (_, columns), flat = self.tensors[name]
            walk = iter(flat)
            self.matrices[name] = [list(islice(walk, columns)) for _ in range(len(flat) // columns)]
        return self.matrices[name]

    def product(self, name, x):
        return [dot(row, x) for row in self.matrix(name)]

    def convolve(self, layer, prefix, x):
        taps = self.config["conv_kernel"]
        past = (self.past[layer] or [[0.0] * len(x)] * (taps - 1)) + [x]
        self.past[layer] = past[1:]
        w = self.get(prefix + "conv1d.weight")
        y = [dot(w[c * taps:(c + 1) * taps], [row[c] for row in past]) for c in range(len(x))]
        if self.config["use_conv_bias"]:
            y = [a + b for a, b in zip(y, self.get(prefix + "conv1d.bias"))]
        return [silu(v) for v in y]

    def scan(self, layer, channel, decays, step, x, b, c):
        h = self.state[layer].get(channel, [0.0] * self.states)
        h = [d * v + step * x * w for d, v, w in zip(decays, h, b)]
        self.state[layer][channel] = h
        return dot(h, c)

    def mamba2(self, layer, p, x):
        heads, groups, n, e = self.config["num_heads"], self.config["n_groups"], self.states, self.inner
        z, rest = (lambda both: (both[:e], both[e:]))(self.product(p + "in_proj.weight", x))
        width = e + 2 * groups * n
        raw, dt = rest[:width], rest[width:]
        low, high = (math.inf if v in (None, math.inf) else v for v in self.config.get("time_step_limit", (0, None)))
        dt = [min(max(softplus(a + b), low), high) for a, b in zip(dt, self.get(p + "dt_bias"))]
        u = self.convolve(layer, p, raw)
        y, size = [], e // heads
        for channel in range(e):
            head = channel // size
            group = head // (heads // groups)
            b = u[e + group * n:e + (group + 1) * n]
            c = u[e + (groups + group) * n:e + (groups + group + 1) * n]
            decay = math.exp(dt[head] * -math.exp(self.get(p + "A_log")[head]))
            y.append(self.scan(layer, channel, [decay] * n, dt[head], u[channel], b, c)
                     + self.get(p + "D")[head] * u[channel])
        y = [a * silu(b) for a, b in zip(y, z)]
        run = e // groups
        y = [v for g in range(groups) for v in normed(y[g * run:(g + 1) * run], self.eps)]
        return self.product(p + "out_proj.weight", list(map(mul, y, self.get(p + "norm.weight"))))

    def mamba(self, layer, p, x):
        n, e, rank = self.states, self.inner, self.config["time_step_rank"]
        both = self.product(p + "in_proj.weight", x)
        u = self.convolve(layer, p, both[:e])
        parts = self.product(p + "x_proj.weight", u)
        parts = [parts[:rank], parts[rank:rank + n], parts[rank + n:]]
        if self.kind == "falcon_mamba":
            parts = [normed(part, self.config["mixer_rms_eps"]) for part in parts]
        dt = [softplus(a + b) for a, b in zip(self.product(p + "dt_proj.weight", parts[0]), self.get(p + "dt_proj.bias"))]
        rates, y = self.matrix(p + "A_log"), []
        for channel in range(e):
            decays = [math.exp(dt[channel] * -math.exp(a)) for a in rates[channel]]
            y.append(self.scan(layer, channel, decays, dt[channel], u[channel], parts[1], parts[2])
                     + self.get(p + "D")[channel] * u[channel])
        return self.product(p + "out_proj.weight", [a * silu(b) for a, b in zip(y, both[e:])])

    def step(self, token):
        x = self.matrix("backbone.embeddings.weight")[token]
        mixer = self.mamba2 if self.kind == "mamba2" else self.mamba
        for layer in range(len(self.past)):
            prefix = f"backbone.layers.{layer}."
            inside = list(map(mul, normed(x, self.eps), self.get(prefix + "norm.weight")))
            x = [a + b for a, b in zip(mixer(layer, prefix + "mixer.", inside), x)]
        x = list(map(mul, normed(x, self.eps), self.get("backbone.norm_f.weight")))
        return self.product("backbone.embeddings.weight", x)


# ---- models drawn here

def draw(config, seed):
    at = random.Random(seed)

    def normal(count, spread, mean=0.0):
        return [at.gauss(mean, spread) for _ in range(count)]

    d, n, taps = config["hidden_size"], config["state_size"], config["conv_kernel"]
    e = config.get("intermediate_size") or config["expand"] * d
    out = {"backbone.embeddings.weight": ([config["vocab_size"], d], normal(config["vocab_size"] * d, 0.3)),
           "backbone.norm_f.weight": ([d], normal(d, 0.2, 1))}
    for layer in range(config["num_hidden_layers"]):
        p = f"backbone.layers.{layer}."
        out[p + "norm.weight"] = ([d], normal(d, 0.2, 1))
        p += "mixer."
        if config["model_type"] == "mamba2":
            heads, shared = config["num_heads"], 2 * config["n_groups"] * n
            steps, width, rows = heads, e + shared, 2 * e + shared + heads
            out[p + "A_log"] = ([heads], [math.log(at.uniform(1, 16)) for _ in range(heads)])
            out[p + "D"] = ([heads], normal(heads, 0.1, 1))
            out[p + "norm.weight"] = ([e], normal(e, 0.2, 1))
            bias = p + "dt_bias"
        else:
            rank = config["time_step_rank"]
            steps, width, rows = e, e, 2 * e
            out[p + "x_proj.weight"] = ([rank + 2 * n, e], normal((rank + 2 * n) * e, e ** -0.5))
            out[p + "dt_proj.weight"] = ([e, rank], normal(e * rank, rank ** -0.5))
            out[p + "A_log"] = ([e, n], [math.log(i + 1) for _ in range(e) for i in range(n)])
            out[p + "D"] = ([e], normal(e, 0.1, 1))
            bias = p + "dt_proj.bias"
        # Steps between 0.001 and 0.1 before the token's own part.
        first = [math.exp(at.uniform(math.log(0.001), math.log(0.1))) for _ in range(steps)]
        out[bias] = ([steps], [s + math.log(-math.expm1(-s)) for s in first])
        out[p + "in_proj.weight"] = ([rows, d], normal(rows * d, d ** -0.5))
        out[p + "conv1d.weight"] = ([width, 1, taps], normal(width * taps, 0.4))
        if config["use_conv_bias"]:
            out[p + "conv1d.bias"] = ([width], normal(width, 0.1))
        out[p + "out_proj.weight"] = ([d, e], normal(d * e, e ** -0.5))
    return out


SHARED = {"hidden_size": 24, "expand": 2, "num_hidden_layers": 2, "vocab_size": 512, "conv_kernel": 4,
          "layer_norm_epsilon": 1e-5, "hidden_act": "silu", "use_bias": False, "use_conv_bias": True}
MAMBA2 = dict(SHARED, model_type="mamba2", architectures=["Mamba2ForCausalLM"], rms_norm=True)
DRAWN = {
    "one group, six heads of 8": dict(MAMBA2, num_heads=6, head_dim=8, n_groups=1, state_size=10,
                                      time_step_limit=[0.0, math.inf]),
    "three groups of two heads, no bias": dict(MAMBA2, num_heads=6, head_dim=8, n_groups=3, state_size=16,
                                               use_conv_bias=False, conv_kernel=3),
    "one head, a long state": dict(MAMBA2, num_heads=1, head_dim=48, n_groups=1, state_size=130),
    "steps between 0.01 and 0.05": dict(MAMBA2, num_heads=4, head_dim=12, n_groups=2, state_size=8,
                                        time_step_limit=[0.01, 0.05]),
    "Falcon Mamba": dict(SHARED, model_type="falcon_mamba", architectures=["FalconMambaForCausalLM"], state_size=8,
                         time_step_rank=4, mixer_rms_eps=1e-6),
}


def main():
    binary, source = map(os.path.abspath, sys.argv[1:3])

    def vernier(*arguments):
        done = subprocess.run([binary, *arguments], capture_output=True, text=True, timeout=120)
        if done.returncode != 0:
            sys.exit(f"{' '.join(arguments)}: {done.stderr}")
        return done.stdout

    with tempfile.TemporaryDirectory() as folder:
        ids_path, saved = os.path.join(folder, "ids.json"), os.path.join(folder, "logits.safetensors")

        def logits(model, ids, *rules):
            """Of every token, as one flat list."""
            with open(ids_path, "w", encoding="utf-8") as file:
                json.dump(ids, file)
            options = [o for rule in rules for o in ("--rule", rule)]
            vernier("probe", model, "--tokens", ids_path, "--site", "result_output", "--save", saved, "--quiet", *options)
            return read_tensors(saved)["result_output"][1]

        def compare(name, model, config, tensors, ids, rows):
            oracle = Model(config, tensors)
            right = [oracle.step(token) for token in ids]
            flat = [v for row in right for v in row]
            expect(max(abs(v) for v in flat) > 0.5, f"{name}: the logits say something")
            for math_name, limit in (("f64", 1e-9), ("f32", 2e-5)):
                got = logits(model, ids, f"*.math={math_name}")
                far = max(map(abs, (a - b for a, b in zip(got, flat))))
                expect(len(got) == len(flat) and far < limit, f"{name}: {math_name} is {far:.2g} from the loops")
            for want in rows:
                far = max(abs(a - b) for a, b in zip(right[-1], want))
                expect(far < 1e-9, f"{name}: PyTorch is {far:.2g} from the loops")
            tokens, last = [], right[-1]
            for _ in range(8):
                tokens.append(max(range(len(last)), key=last.__getitem__))
                last = oracle.step(tokens[-1])
            return tokens

        print("tiny-mamba2")
        trained = os.path.join(source, "models", "tiny-mamba2")
        with open(os.path.join(trained, "config.json"), encoding="utf-8") as file:
            config = json.load(file)
        tensors = read_tensors(os.path.join(trained, "model.safetensors"))
        with open(os.path.join(source, "tests", "data", "reference", "tiny-mamba2.json"), encoding="utf-8") as file:
            reference = json.load(file)
        for prompt in reference[:2]:
            tokens = compare(repr(prompt["prompt"]), trained, config, tensors, prompt["ids"], [prompt["logits_f64"]])
            run = json.loads(vernier("run", trained, "-p", prompt["prompt"], "-n", "8", "--ignore-eos", "--json", "--quiet"))
            expect(run["ids"] == prompt["ids"] and run["generated"] == tokens == prompt["greedy"][:8],
                   f"{prompt['prompt']!r}: the same tokens: {tokens}")

        print("sites")
        sites = {s["label"]: s for s in json.loads(vernier("sites", trained, "--json", "--quiet"))["sites"]}
        for label, width, llama_name, module in (("ssm_in[1]", 518, "", "backbone.layers.1.mixer.in_proj"),
                                                 ("ssm_in_dt[1]", 6, "", ""), ("ssm_conv_b[1]", 64, "", ""),
                                                 ("ssm_state[1]", 192 * 32, "", ""), ("ssm_y[1]", 192, "mamba2_y_add_d-1", ""),
                                                 ("ssm_norm[1]", 192, "", "backbone.layers.1.mixer.norm"),
                                                 ("ssm_out[1]", 96, "mamba_out-1", "backbone.layers.1.mixer.out_proj")):
            site = sites[label]
            expect((site["width"], site["llama_name"] or "", site["module"] or "") == (width, llama_name, module), label)

        # GGUF keeps A itself, by NumPy's exponential, and eps in float32: in float32 nothing else differs.
        print("files")
        file = os.path.join(folder, "model.gguf")
        vernier("quantize", trained, file, "--quiet")
        ids = reference[1]["ids"]
        rounded = "ssm_scan.weight=bf16"
        expect(logits(file, ids, rounded) == logits(trained, ids, rounded), "file and folder give the same bits, A rounded")
        far = max(abs(a - b) for a, b in zip(logits(file, ids), logits(trained, ids)))
        expect(far < 2e-5, f"file and folder are {far:.2g} apart")

        for seed, (name, config) in enumerate(DRAWN.items()):
            model = os.path.join(folder, f"drawn{seed}")
            os.mkdir(model)
            shutil.copy(os.path.join(trained, "tokenizer.json"), model)
            with open(os.path.join(model, "config.json"), "w", encoding="utf-8") as f:
                json.dump(config, f)  # writes Infinity, as transformers does
            tensors = draw(config, seed)
            write_tensors(os.path.join(model, "model.safetensors"), tensors)
            ids = [random.Random(100 + seed).randrange(512) for _ in range(14)]
            compare(name, model, config, tensors, ids, [])
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
