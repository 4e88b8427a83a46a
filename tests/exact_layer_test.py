#!/usr/bin/env python3
"""One layer of a model in posit32 and in float64, against rational arithmetic.

    exact_layer_test.py BINARY SOURCE_FOLDER

Nothing here is Vernier's: the weights are read from the model's file, posits are rounded as the Standard for Posit Arithmetic
(2022), section 4.1, says, on integers; exponentials come from Python's decimal module. The nodes' operations are those of
docs/arithmetic.md. Checked: that nodes of layer 0 under `*.math=step:posit32` have, bit for bit, what rationals give from the
node's own operands; and whether float32 or posit32 is nearer to the layer's exact result, which is what `compare` says with float64
as the truth.
"""
import decimal
import json
import math
import os
import struct
import subprocess
import sys
import tempfile
from fractions import Fraction

decimal.getcontext().prec = 60
BITS, ES = 32, 2
failed = 0


def expect(good, what):
    global failed
    print(("ok      " if good else "FAILED  ") + what)
    failed += not good


# ---- numbers

def posit(x):
    """The posit32 nearest to a Fraction, as the bit strings round: see docs/arithmetic.md."""
    if x == 0:
        return Fraction(0)
    sign, x = (-1 if x < 0 else 1), abs(x)
    largest = Fraction(2) ** ((BITS - 2) << ES)
    if x >= largest:
        return sign * largest
    if x <= 1 / largest:
        return sign / largest
    n, d = x.numerator, x.denominator
    e = n.bit_length() - d.bit_length()
    if (n << max(0, -e)) < (d << max(0, e)):
        e -= 1
    k, rest = e >> ES, e & ((1 << ES) - 1)
    regime, width = (((1 << (k + 1)) - 1) << 1, k + 2) if k >= 0 else (1, 1 - k)
    # 64 bits of the fraction, and whether there are more.
    scaled, over = divmod((n << max(0, 64 - e)), (d << max(0, e - 64)))
    string = ((regime << ES | rest) << 64) | (scaled - (1 << 64))
    length = width + ES + 64
    string, length = string << 1 | (over != 0), length + 1
    cut = length - (BITS - 1)
    code, low = string >> cut, string & ((1 << cut) - 1)
    half = 1 << (cut - 1)
    code += low > half or (low == half and code & 1)
    return sign * value(code)


def value(code):
    """Of a code from 1 to 2^31 - 1."""
    bits = format(code, f"0{BITS - 1}b")
    run = len(bits) - len(bits.lstrip(bits[0]))
    k = run - 1 if bits[0] == "1" else -run
    tail = bits[run + 1:]
    e = int((tail[:ES] + "0" * ES)[:ES], 2)
    f = tail[ES:]
    return (1 + Fraction(int(f or "0", 2), 1 << len(f))) * Fraction(2) ** ((k << ES) + e)


def to_decimal(x):
    return decimal.Decimal(x.numerator) / decimal.Decimal(x.denominator)


def exponential(x):
    return Fraction(to_decimal(x).exp())


def inverse_root(x, bits=400):
    """1 / sqrt(x) cut after many bits; a half more where it goes on, so that no tie is made."""
    n, d = x.denominator, x.numerator
    root = math.isqrt((n << (2 * bits)) // d)
    exact = root * root * d == n << (2 * bits)
    return Fraction(2 * root + (not exact), 1 << (bits + 1))


def sine_cosine(angle):
    """Of a Fraction of any size, by their series."""
    x = to_decimal(angle)
    pi = decimal.Decimal("3.14159265358979323846264338327950288419716939937510582097494459230781640628620899862803482534")
    x -= (x / (2 * pi)).to_integral_value() * 2 * pi
    sums = [decimal.Decimal(0), decimal.Decimal(0)]
    term = decimal.Decimal(1)
    for i in range(80):
        sums[i % 2] += term if i % 4 < 2 else -term
        term = term * x / (i + 1)
    return Fraction(sums[1]), Fraction(sums[0])


# ---- files

def tensors(path):
    """Of a safetensors file: name -> (dtype, shape, bytes); and its metadata."""
    with open(path, "rb") as file:
        data = file.read()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8:8 + length])
    metadata = header.pop("__metadata__", {})
    body = data[8 + length:]
    return {name: (t["dtype"], t["shape"], body[t["data_offsets"][0]:t["data_offsets"][1]])
            for name, t in header.items()}, metadata


def numbers(tensor):
    """As Python floats, which hold all of these types."""
    dtype, _, data = tensor
    if dtype == "BF16":
        return [struct.unpack("<f", b"\0\0" + data[i:i + 2])[0] for i in range(0, len(data), 2)]
    return list(struct.unpack("<%d%s" % (len(data) // {"F32": 4, "F64": 8}[dtype], {"F32": "f", "F64": "d"}[dtype]), data))


class Capture:
    def __init__(self, path):
        self.tensors, self.metadata = tensors(path)
        self.types = {t[0] for t in self.tensors.values()}

    def row(self, site, token):
        flat = numbers(self.tensors[site])
        width = len(flat) // self.tensors[site][1][0]
        return [Fraction(x) for x in flat[token * width:(token + 1) * width]]


class Layer:
    """The weights of a model's first layer, and its constants."""

    def __init__(self, folder):
        with open(os.path.join(folder, "config.json"), encoding="utf-8") as file:
            self.config = json.load(file)
        self.tensors, _ = tensors(os.path.join(folder, "model.safetensors"))
        self.cache = {}

    def flat(self, name):
        if name not in self.cache:
            self.cache[name] = numbers(self.tensors[name])
        return self.cache[name]

    def matrix(self, name):
        full = f"model.layers.0.{name}.weight"
        width = self.tensors[full][1][1]
        flat = self.flat(full)
        return [flat[i:i + width] for i in range(0, len(flat), width)]

    def vector(self, name):
        return [Fraction(x) for x in self.flat(f"model.layers.0.{name}.weight")]

    def bias(self, name):
        full = f"model.layers.0.{name}.bias"
        return [Fraction(x) for x in self.flat(full)] if full in self.tensors else None


# ---- step:posit32, operation by operation

def step_dot(x, w):
    s = Fraction(0)
    for a, b in zip(x, w):
        s = posit(s + posit(a * b))
    return s


def step_norm(x, eps):
    mean = posit(step_dot(x, x) / len(x))
    r = posit(inverse_root(posit(mean + posit(Fraction(eps)))))
    return [posit(a * r) for a in x]


def step_attention(q, keys, values, scale):
    scores = [step_dot(k, q) for k in keys]
    scaled = [posit(s * scale) for s in scores]
    e = [posit(exponential(posit(s - max(scaled)))) for s in scaled]
    total = Fraction(0)
    for term in e:
        total = posit(total + term)
    p = [posit(term / total) for term in e]
    out = [step_dot([v[d] for v in values], p) for d in range(len(values[0]))]
    return scores, p, out


def step_swiglu(g, u):
    sigmoid = posit(1 / (1 + exponential(-g)))
    return posit(posit(g * sigmoid) * u)


def step_rope(x, position, theta):
    half = len(x) // 2
    out = list(x)
    for i in range(half):
        power = decimal.Decimal(theta) ** (decimal.Decimal(-2 * i) / decimal.Decimal(len(x)))
        sine, cosine = (posit(t) for t in sine_cosine(position * Fraction(power)))
        a, b = x[i], x[i + half]
        out[i] = posit(posit(a * cosine) - posit(b * sine))
        out[i + half] = posit(posit(b * cosine) + posit(a * sine))
    return out


def check_posits(layer, capture, token):
    config = layer.config
    heads, kv_heads = config["num_attention_heads"], config["num_key_value_heads"]
    size = config["head_dim"]
    eps = config["rms_norm_eps"]

    def row(site, at=token):
        return capture.row(site if site == "embd" else site + "[0]", at)

    def outputs(site, name, operand, chosen):
        weights, bias, x, got = layer.matrix(name), layer.bias(name), row(operand), row(site)
        for o in chosen:
            want = step_dot(x, [posit(Fraction(w)) for w in weights[o]])
            if bias is not None:
                want = posit(want + posit(bias[o]))
            expect(got[o] == want, f"{site}[0] of token {token}, output {o}")

    embedding = layer.flat("model.embed_tokens.weight")
    ids = json.loads(capture.metadata["vernier.tokens"])
    width = config["hidden_size"]
    wanted = [posit(Fraction(x)) for x in embedding[ids[token] * width:(ids[token] + 1) * width]]
    expect(row("embd") == wanted, f"embd of token {token}")
    expect(row("attn_normed") == step_norm(row("embd"), eps), "attn_normed[0]")
    weight = [posit(w) for w in layer.vector("input_layernorm")]
    expect(row("attn_norm") == [posit(a * b) for a, b in zip(row("attn_normed"), weight)], "attn_norm[0]")
    for site, name in (("Qcur", "q_proj"), ("Kcur", "k_proj"), ("Vcur", "v_proj")):
        outputs(site, "self_attn." + name, "attn_norm", (0, 17))
    head = heads - 1
    kv = head // (heads // kv_heads)
    part = slice(head * size, (head + 1) * size)
    kv_part = slice(kv * size, (kv + 1) * size)
    expect(row("Qcur_rope")[part] == step_rope(row("Qcur")[part], token, config["rope_theta"]), f"Qcur_rope[0], head {head}")
    scores, p, out = step_attention(row("Qcur_rope")[part], [row("k_cache", t)[kv_part] for t in range(token + 1)],
                                    [row("v_cache", t)[kv_part] for t in range(token + 1)],
                                    posit(inverse_root(Fraction(size))))
    seen = token + 1
    kq, soft = row("kq")[:heads * seen], row("kq_soft_max")[:heads * seen]
    expect(kq[head * seen:(head + 1) * seen] == scores, f"kq[0], head {head}")
    expect(soft[head * seen:(head + 1) * seen] == p, f"kq_soft_max[0], head {head}")
    expect(row("kqv_out")[part] == out, f"kqv_out[0], head {head}")
    outputs("attn_out", "self_attn.o_proj", "kqv_out", (3, 100))
    expect(row("ffn_inp") == [posit(a + b) for a, b in zip(row("attn_out"), row("embd"))], "ffn_inp[0]")
    expect(row("ffn_normed") == step_norm(row("ffn_inp"), eps), "ffn_normed[0]")
    outputs("ffn_gate", "mlp.gate_proj", "ffn_norm", (5, 500))
    gate, up, act = row("ffn_gate"), row("ffn_up"), row("ffn_swiglu")
    expect(act[:64] == [step_swiglu(g, u) for g, u in zip(gate[:64], up[:64])], "ffn_swiglu[0], 64 elements")
    outputs("ffn_out", "mlp.down_proj", "ffn_swiglu", (9, 200))
    expect(row("l_out") == [posit(a + b) for a, b in zip(row("ffn_out"), row("ffn_inp"))], "l_out[0]")


# ---- the exact layer: fixed point of many bits

FRACTION = 220


def fixed(x):
    return (x.numerator << FRACTION) // x.denominator


def exact_product(matrix, x):
    # BF16 numbers are multiples of 2^-133.
    return [sum(int(math.ldexp(w, 133)) * a for w, a in zip(row, x)) >> 133 for row in matrix]


def exact_norm(x, weight, eps):
    mean = Fraction(sum(a * a for a in x), len(x) << (2 * FRACTION))
    r = fixed(inverse_root(mean + Fraction(eps), bits=FRACTION))
    return [(a * r >> FRACTION) * fixed(w) >> FRACTION for a, w in zip(x, weight)]


def exact_layer(layer, token):
    """l_out[0] of a text of one token: its only key is its own, so attention gives its values; position 0 rotates nothing."""
    config = layer.config
    width, eps = config["hidden_size"], config["rms_norm_eps"]
    share = config["num_attention_heads"] // config["num_key_value_heads"]
    x = [fixed(Fraction(a)) for a in layer.flat("model.embed_tokens.weight")[token * width:(token + 1) * width]]
    normed = exact_norm(x, layer.vector("input_layernorm"), eps)
    v = exact_product(layer.matrix("self_attn.v_proj"), normed)
    bias = layer.bias("self_attn.v_proj")
    if bias is not None:
        v = [a + fixed(b) for a, b in zip(v, bias)]
    size = config["head_dim"]
    mixed = [a for h in range(config["num_attention_heads"]) for a in v[h // share * size:(h // share + 1) * size]]
    x = [a + b for a, b in zip(exact_product(layer.matrix("self_attn.o_proj"), mixed), x)]
    normed = exact_norm(x, layer.vector("post_attention_layernorm"), eps)
    gate = exact_product(layer.matrix("mlp.gate_proj"), normed)
    up = exact_product(layer.matrix("mlp.up_proj"), normed)
    act = []
    for g, u in zip(gate, up):
        g = Fraction(g, 1 << FRACTION)
        act.append(fixed(g / (1 + exponential(-g))) * u >> FRACTION)
    down = exact_product(layer.matrix("mlp.down_proj"), act)
    return [Fraction(a + b, 1 << FRACTION) for a, b in zip(down, x)]


def check_sums(count):
    """The lemma of docs/arithmetic.md: two posits, added as Python's floats and rounded to a posit, on sums next to ties."""
    state, wrong = 12345, 0

    def draw(n):
        nonlocal state
        state = (state * 6364136223846793005 + 1442695040888963407) % (1 << 64)
        return (state >> 33) % n

    for _ in range(count):
        code = (1 << 30) + (draw(1 << 21) << draw(10)) * (1 if draw(2) else -1)
        middle = (value(code) + value(code + 1)) / 2
        a = value((1 << 30) + draw(1 << 30) - (1 << 29)) * (1 if draw(2) else -1)
        b = posit(middle - a)
        if a + b != 0:
            wrong += posit(Fraction(float(a) + float(b))) != posit(a + b)
    expect(wrong == 0, f"{count} sums of posits next to ties, in doubles")


def distance(row, exact):
    """Relative l2 error."""
    errors = sum((a - b) ** 2 for a, b in zip(row, exact))
    return math.sqrt(float(errors / sum(b * b for b in exact)))


def main():
    binary, source = map(os.path.abspath, sys.argv[1:3])

    def vernier(*arguments):
        done = subprocess.run([binary, *arguments], capture_output=True, text=True, timeout=120)
        if done.returncode not in (0, 1):
            sys.exit(f"{' '.join(arguments)}: {done.stderr}")
        return done.stdout

    assert posit(Fraction(1)) == 1 and posit(Fraction(2) ** 500) == Fraction(2) ** 120
    assert posit(1 + Fraction(1, 1 << 28)) == 1 and posit(1 + Fraction(3, 1 << 28)) == 1 + Fraction(1, 1 << 26)
    check_sums(5000)
    with tempfile.TemporaryDirectory() as folder:
        for name in ("tiny-llama", "tiny-qwen2"):
            print(name)
            model = os.path.join(source, "models", name)
            layer = Layer(model)
            path = os.path.join(folder, "posit.safetensors")
            sites = [o for s in ("embd", "*[0]") for o in ("--site", s)]
            vernier("probe", model, "-p", "First Citizen: speak", "--rule", "*.math=step:posit32", *sites, "--save", path,
                    "--quiet")
            capture = Capture(path)
            expect(capture.types == {"F64"}, "posits are held in float64")
            check_posits(layer, capture, token=3)
            for token in (65, 400):
                paths = {}
                for recipe in ("f64", "f32", "step:posit32"):
                    paths[recipe] = os.path.join(folder, recipe.replace(":", "-") + ".safetensors")
                    with open(os.path.join(folder, "ids.json"), "w", encoding="utf-8") as file:
                        json.dump([token], file)
                    vernier("probe", model, "--tokens", os.path.join(folder, "ids.json"), "--rule", f"*.math={recipe}",
                            "--site", "l_out", "--save", paths[recipe], "--quiet")
                exact = exact_layer(layer, token)
                far = {recipe: distance(Capture(p).row("l_out[0]", 0), exact) for recipe, p in paths.items()}
                # A few hundred roundings of 2^-53 each, on values that grow little through the layer.
                expect(far["f64"] < 256 * 2.0 ** -53, f"token {token}: float64 is {far['f64']:.3g} from the exact layer")
                said = {}
                for recipe in ("f32", "step:posit32"):
                    report = json.loads(vernier("compare", paths["f64"], paths[recipe], "--json", "--quiet"))
                    (site,) = [s for s in report["sites"] if s.get("label", s.get("site")) == "l_out[0]"]
                    said[recipe] = site["l2_rel"]
                    expect(abs(said[recipe] / far[recipe] - 1) < 1e-5,
                           f"token {token}: {recipe} is {far[recipe]:.6g} from the exact layer; compare says {said[recipe]:.6g}")
                expect((said["f32"] < said["step:posit32"]) == (far["f32"] < far["step:posit32"]),
                       f"token {token}: nearer is {min(said, key=said.get)}")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
