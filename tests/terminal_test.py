#!/usr/bin/env python3
"""The program on a terminal: widths, colours, progress, interrupts; its manual page and completion in real shells.

    terminal_test.py BINARY SOURCE_FOLDER [BUILD_FOLDER]

Terminals are pseudo-terminals. With BUILD_FOLDER `cmake --install` is tried as well. groff and zsh are used where they are
installed.
"""
import codecs
import fcntl
import os
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time
import unicodedata
import unittest

BINARY, SOURCE = map(os.path.abspath, sys.argv[1:3])
BUILD = os.path.abspath(sys.argv[3]) if len(sys.argv) > 3 else None
QWEN, MAMBA = (os.path.join(SOURCE, "models", name) for name in ("tiny-qwen2", "tiny-mamba"))
TEXT = os.path.join(SOURCE, "data", "shakespeare.txt")
COLOUR = re.compile("\033\\[[0-9;]*m")


def environment(**changes):
    env = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "COLUMNS", "TERM")}
    return {**env, "TERM": "xterm", **changes}


class Terminal:
    """A program on a pseudo-terminal of its own."""

    def __init__(self, command, columns=80, **changes):
        env = environment(**changes)
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            try:
                os.chdir(SOURCE)
                os.execvpe(command[0], command, env)
            finally:
                os._exit(127)
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
        self.seen = ""
        self.decoder = codecs.getincrementaldecoder("utf-8")("replace")  # a read may end within a character

    def read(self, seconds, until=None):
        """What it writes until it is silent for good, or `until` was seen."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and not (until and re.search(until, self.seen)):
            if not select.select([self.fd], [], [], 0.1)[0]:
                continue
            try:
                data = os.read(self.fd, 65536)
            except OSError:
                break
            if not data:
                break
            self.seen += self.decoder.decode(data)
        return self.seen

    def close(self):
        """Its exit status, as a shell gives it."""
        _, status = os.waitpid(self.pid, 0)
        os.close(self.fd)
        return 128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


def on_terminal(arguments, columns=80, **changes):
    # The size is set before the program starts.
    command = ["sh", "-c", f'stty cols {columns}; exec "$0" "$@"', BINARY, *arguments]
    terminal = Terminal(command, columns, **changes)
    text = terminal.read(120)
    return terminal.close(), text.replace("\r\n", "\n")


def piped(arguments, **changes):
    return subprocess.run([BINARY, *arguments], cwd=SOURCE, env=environment(**changes), capture_output=True, text=True,
                          timeout=120)


def columns_of(line):
    line = COLOUR.sub("", line)
    width = 0
    for c in line:
        if unicodedata.combining(c) or unicodedata.category(c) in ("Mn", "Me", "Cf"):
            continue
        width += 2 if unicodedata.east_asian_width(c) in "WF" else 1
    return width


# Every verb that prints tables, quickly.
TABLES = [
    ["inspect", QWEN],
    ["inspect", MAMBA, "--exact", "bf16,e4m3"],
    ["formats"],
    ["formats", "posit16"],
    ["formats", "bf16", "--at", "0.1"],
    ["formats", "--compare", "posit32,f32"],
    ["sites", MAMBA],
    ["tokenize", QWEN, "-p", "hear me speak \u6f22 e\u0301"],
    ["probe", QWEN, "-p", "First", "--rule", "ffn_norm[0:3].weight=bf16"],
    ["compare", QWEN, "-p", "First", "--rule", "*_norm.weight=bf16"],
    ["compare", QWEN, "-p", "First", "--rule", "l_out=e4m3", "-n", "2", "--truth"],
    ["help"],
    ["help", "compare"],
    ["help", "quantize"],
    ["run", "--help"],
]

STUDY = """name = "tables"
model = "models/tiny-qwen2"
texts = ["data/shakespeare.txt"]
context = 32
chunks = 2
truth = true
observe = ["l_out"]
[[variant]]
name = "a name that is rather long, as they tend to be when people write them"
rules = ["ffn_norm[0:3]=e4m3"]
[[variant]]
name = "nothing"
rules = ["*_norm.weight=bf16"]
[[claim]]
says = "e4m3 changes what the model says, and that is said here at some length so that it does not fit on a line"
expect = "kld('a name that is rather long, as they tend to be when people write them') > 0"
[[claim]]
says = "nothing changes something"
expect = "kld('nothing') > 1"
"""


class Tables(unittest.TestCase):
    def lines_fit(self, text, columns, what):
        example = False
        for line in text.split("\n"):
            line = line.replace("\r\033[K", "")  # a remark, over a line of progress
            example = line.startswith("    vernier ")  # whole, to be copied
            if not example:
                self.assertLessEqual(columns_of(line), columns, f"{what} at {columns}: {line!r}")

    def test_no_line_is_longer_than_the_terminal(self):
        for arguments in TABLES:
            for columns in (40, 80, 133):
                status, text = on_terminal(arguments, columns)
                self.assertEqual(status, 0, text)
                self.assertGreater(len(text), 40)
                self.lines_fit(text, columns, arguments)

    def test_files_do_not_depend_on_the_terminal(self):
        whole = piped(["sites", MAMBA]).stdout
        self.assertEqual(whole, piped(["sites", MAMBA], COLUMNS="40").stdout)
        self.assertIn("Hugging Face module", whole)
        self.assertNotIn("\u2026", whole)

    def test_columns_variable(self):
        _, text = on_terminal(["sites", MAMBA], 133, COLUMNS="50")
        self.lines_fit(text, 50, "COLUMNS")
        self.assertIn("not shown in 50 columns", text)

    def test_a_study(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "s.toml")
            with open(path, "w", encoding="utf-8") as file:
                file.write(STUDY)
            arguments = ["study", path, "-o", os.path.join(folder, "out")]
            written = None
            for columns in (40, 80):
                status, text = on_terminal(arguments, columns)
                self.assertEqual(status, 0, text)
                plain = COLOUR.sub("", text)
                self.lines_fit(text.split("results.json, ")[0], columns, "study")
                self.assertRegex(text, "\033\\[32msupported\033\\[0m")
                self.assertRegex(text, "\033\\[1;31mrefuted\033\\[0m")
                self.assertRegex(text, "\033\\[1;35mVACUOUS\033\\[0m")
                self.assertIn("Claims", plain)
                with open(os.path.join(folder, "out", "results.txt"), encoding="utf-8") as file:
                    results = file.read()
                self.assertNotIn("\033", results)
                steady = re.sub(r", [0-9.]+ s\n$", "", results)
                self.assertEqual(written or steady, steady)
                written = steady


class Colours(unittest.TestCase):
    COMPARE = ["compare", QWEN, "-p", "First", "--rule", "*_norm.weight=bf16"]

    def test_only_on_a_terminal(self):
        self.assertIn("\033[1;35mVACUOUS\033[0m", on_terminal(self.COMPARE)[1])
        self.assertNotIn("\033", piped(self.COMPARE).stdout)
        self.assertIn("VACUOUS", piped(self.COMPARE).stdout)

    def test_what_turns_them_off_and_on(self):
        for changes in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
            text = on_terminal(self.COMPARE, **changes)[1]
            self.assertIn("VACUOUS", text)
            self.assertNotIn("\033[1", text)
        self.assertIn("\033[1", on_terminal(self.COMPARE, NO_COLOR="")[1])
        self.assertNotIn("\033[1", on_terminal([*self.COMPARE, "--color", "never"])[1])
        self.assertNotIn("\033[1", on_terminal(["--color=never", *self.COMPARE])[1])
        self.assertIn("\033[1", on_terminal([*self.COMPARE, "--color=always"], NO_COLOR="1")[1])
        self.assertIn("\033[1", piped([*self.COMPARE, "--color", "always"]).stdout)

    def test_without_colours_the_text_is_the_same(self):
        coloured = piped([*self.COMPARE, "--color", "always"]).stdout
        self.assertEqual(COLOUR.sub("", coloured), piped(self.COMPARE).stdout)

    def test_json_and_files_have_none(self):
        self.assertNotIn("\033", piped([*self.COMPARE, "--json", "--color", "always"]).stdout)
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "text")
            piped([*self.COMPARE, "--color", "always", "-o", path])
            with open(path, encoding="utf-8") as file:
                self.assertNotIn("\033", file.read())

    def test_errors(self):
        status, text = on_terminal(["sites", "none"])
        self.assertEqual(status, 2)
        self.assertIn("\033[1;31mvernier:\033[0m ", text)
        self.assertNotIn("\033", piped(["sites", "none"]).stderr)
        self.assertTrue(piped(["sites", "none", "--color=always"]).stderr.startswith("\033[1;31m"))

    def test_headings_of_help(self):
        self.assertIn("\033[1mExamples\033[0m", on_terminal(["help", "run"])[1])
        self.assertNotIn("\033", piped(["help", "run"]).stdout)


class Progress(unittest.TestCase):
    LONG = ["eval", QWEN, "-f", TEXT, "-c", "64", "--chunks", "400", "-t", "1", "--rule", "*.math=step:posit32"]

    def test_is_drawn_and_gone_and_says_what_an_interrupt_leaves(self):
        command = ["sh", "-c", 'stty cols 100; exec "$0" "$@"', BINARY, *self.LONG]
        terminal = Terminal(command, 100)
        text = terminal.read(60, r"\[[#-]+\] +\d+ %  [\d ]+/[\d ]+ chunks, [\d.]+/s, [\d.]+ (s|min|h) left")
        self.assertRegex(text, r"\r\033\[Kscoring")
        os.kill(terminal.pid, signal.SIGINT)
        text = terminal.read(20)
        self.assertEqual(terminal.close(), 130)
        self.assertTrue(text.endswith("\r\033[Kvernier: interrupted; nothing was written\r\n"), text[-200:])
        for line in text.split("\r"):
            self.assertLess(columns_of(line.replace("\033[K", "")), 100)

    def test_is_gone_in_the_end(self):
        status, text = on_terminal(["bench", "matmul", "--type", "f32,f16", "--rows", "512", "--outputs", "4096", "--inputs",
                                    "4096", "-t", "1"])
        self.assertEqual(status, 0, text)
        if "\033[K" in text:  # it took more than a second
            shown = text[text.rindex("\033[K") + 3:]
            self.assertTrue(shown.startswith("1 thread; matrices"), shown[:100])

    def test_elsewhere_there_is_none(self):
        quiet = on_terminal(["eval", QWEN, "-f", TEXT, "-c", "64", "--chunks", "60", "-t", "1", "--quiet"])[1]
        self.assertNotIn("scoring", quiet)
        done = piped(["eval", QWEN, "-f", TEXT, "-c", "64", "--chunks", "60", "-t", "1"])
        self.assertEqual(done.stderr, "")

    def test_an_interrupted_quantize_leaves_nothing(self):
        with tempfile.TemporaryDirectory() as folder:
            model = os.path.join(folder, "m.gguf")
            self.assertEqual(piped(["bench", "--shape", "mamba-130m", "--type", "q8_0", "--write", model]).returncode, 0)
            out = os.path.join(folder, "out.gguf")
            terminal = Terminal([BINARY, "quantize", model, out, "--type", "q2_k", "--allow-requantize", "-t", "1"])
            terminal.read(60, r"\d+ %")
            os.kill(terminal.pid, signal.SIGINT)
            text = terminal.read(30)
            self.assertEqual(terminal.close(), 130)
            self.assertIn(f"interrupted; {out} is as it was", text)
            self.assertEqual(os.listdir(folder), ["m.gguf"])


class ManPage(unittest.TestCase):
    def test_groff_has_nothing_to_say(self):
        page = piped(["help", "--man"]).stdout
        self.assertTrue(page.startswith('.\\" '))
        if not shutil.which("groff"):
            self.skipTest("groff is not installed")
        done = subprocess.run(["groff", "-man", "-Tutf8", "-ww", "-P-c", "-rLL=90n"], input=page, capture_output=True, text=True,
                              env={**os.environ, "LC_ALL": "C.UTF-8"}, timeout=60)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        shown = re.sub(".\b", "", done.stdout)
        for verb in re.findall(r"^   (\w+)", piped(["help"]).stdout, re.M):
            self.assertRegex(shown, rf"\n   {verb}\n")
        self.assertIn('vernier run models/tiny-qwen2 -p "First Citizen:" -n 24', shown)
        self.assertIn("--top-p P", shown)
        self.assertIn("0.1,2^-24", shown)


class Completion(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        os.chdir(cls.folder.name)
        for name in ("a.gguf", "b.txt", "c.toml", "d.json", "e.npz", "with space.gguf"):
            open(name, "w", encoding="utf-8").close()
        os.mkdir("folder")
        with open("bash", "w", encoding="utf-8") as file:
            file.write(piped(["help", "--completion", "bash"]).stdout)
        with open("_vernier", "w", encoding="utf-8") as file:
            file.write(piped(["help", "--completion", "zsh"]).stdout)

    @classmethod
    def tearDownClass(cls):
        os.chdir(SOURCE)
        cls.folder.cleanup()

    # The replies of bash for a line, as readline would call for them.
    def bash(self, line):
        script = r"""source ./bash
line=$1
COMP_LINE=$line COMP_POINT=${#line} COMP_WORDBREAKS=$' \t\n"\'><=;|&(:@'
word=${line##*[$COMP_WORDBREAKS]}
_vernier vernier "$word" ""
printf '%s\n' "${COMPREPLY[@]}"
"""
        done = subprocess.run(["bash", "--norc", "-c", script, "bash", line], capture_output=True, text=True, timeout=60)
        self.assertEqual(done.stderr, "", line)
        return sorted(set(done.stdout.split("\n")) - {""})

    def test_bash_replies(self):
        registered = subprocess.run(["bash", "--norc", "-c", "source ./bash; complete -p vernier"], capture_output=True,
                                    text=True, timeout=60)
        self.assertEqual(registered.stdout, "complete -F _vernier vernier\n")
        verbs = set(re.findall(r"^   (\w+)", piped(["help"]).stdout, re.M))
        self.assertEqual(set(self.bash("vernier ")), verbs)
        self.assertEqual(self.bash("vernier qu"), [v for v in sorted(verbs) if v.startswith("qu")])
        self.assertEqual(self.bash("vernier --color never ru"), ["run"])
        self.assertEqual(self.bash("vernier help in"), ["inspect"])
        self.assertEqual(self.bash("vernier help bench ar"), ["arithmetic"])
        self.assertEqual(self.bash("vernier run a.gguf --temp"), ["--temperature"])
        self.assertEqual(self.bash("vernier run "), ["a.gguf", "folder", "with space.gguf"])
        self.assertEqual(self.bash("vernier run --seed 3 -n 4 "), ["a.gguf", "folder", "with space.gguf"])
        self.assertEqual(self.bash("vernier run a.gguf x"), [])
        self.assertEqual(self.bash("vernier compare a.gguf e"), ["e.npz"])
        self.assertEqual(self.bash("vernier study c"), ["c.toml"])
        self.assertEqual(self.bash("vernier run a.gguf --tokens "), ["d.json", "folder"])
        self.assertIn("b.txt", self.bash("vernier run a.gguf -f "))
        self.assertEqual(self.bash("vernier run a.gguf -p "), [])
        self.assertEqual(self.bash("vernier quantize a.gguf b.gguf --type Q4_K_"), ["Q4_K_M", "Q4_K_S"])
        self.assertEqual(self.bash("vernier sites a.gguf --color al"), ["always"])
        self.assertEqual(self.bash("vernier sites a.gguf --color=al"), ["always"])
        self.assertEqual(self.bash("vernier run a.gguf --rule ffn_norm=bf"), ["bf16"])
        self.assertEqual(self.bash("vernier run a.gguf --rule ffn_norm[0:5]=posit16"), ["posit16"])
        self.assertEqual(self.bash("vernier run a.gguf --rule 'ffn_norm=bf"), ["ffn_norm=bf16"])
        self.assertEqual(self.bash("vernier run a.gguf --rule=ffn_norm=bf"), ["bf16"])
        self.assertEqual(self.bash("vernier inspect a.gguf --exact bf16,e4m3b"), ["bf16,e4m3b11fnuz"])
        self.assertEqual(self.bash("vernier bench fo"), ["formats"])
        self.assertEqual(self.bash("vernier bench formats --mode nearest-e"), ["nearest-even"])
        self.assertEqual(self.bash("vernier bench inference --type q8"), ["q8_0"])
        self.assertEqual(self.bash("vernier bench inference --shape mamba-"), ["mamba-130m"])
        self.assertEqual(self.bash("vernier help --completion z"), ["zsh"])

    # A shell on a terminal: each line typed, and a tab, then what the line becomes.
    def typed(self, command, start, cases):
        terminal = Terminal(command, 200, PS1="> ", HOME=self.folder.name, INPUTRC="/dev/null")
        try:
            os.write(terminal.fd, start.encode())
            self.assertRegex(terminal.read(30, "ready-[0-9]"), "ready-1")
            for line, expected in cases:
                terminal.read(0.5)
                terminal.seen = ""
                os.write(terminal.fd, line.encode() + b"\t")
                self.assertIn(expected, COLOUR.sub("", terminal.read(15, re.escape(expected))), line)
                os.write(terminal.fd, b"\x05\x15")  # to its end, and away with it
        finally:
            os.kill(terminal.pid, signal.SIGKILL)
            terminal.close()

    def test_bash_on_a_terminal(self):
        start = f"cd {self.folder.name}; source ./bash; echo ready-$((1))\n"
        self.typed(["bash", "--norc", "-i"], start,
                   [("vernier quan", "quantize "), ("vernier run a.gguf --rule ffn_norm=bf", "ffn_norm=bf16 "),
                    ("vernier run a.gguf --rule 'ffn_norm=bf", "'ffn_norm=bf16' "),
                    ("vernier sites --color=al", "--color=always "), ("vernier run w", "with\\ space.gguf "),
                    ("vernier run fo", "folder/")])

    def test_zsh_on_a_terminal(self):
        if not shutil.which("zsh"):
            self.skipTest("zsh is not installed")
        subprocess.run(["zsh", "-n", "_vernier"], check=True, timeout=60)
        start = (f"cd {self.folder.name}; PS1='> '; fpath=($PWD $fpath); autoload -Uz compinit; compinit -u -D; "
                 "echo ready-$((1))\n")
        self.typed(["zsh", "-f", "-i"], start,
                   [("vernier quan", "quantize "), ("vernier run a.gguf --rule ffn_norm=bf", "ffn_norm=bf16"),
                    ("vernier sites --color=al", "--color=always"), ("vernier run w", "with\\ space.gguf"),
                    ("vernier study c", "c.toml"), ("vernier bench fo", "formats"),
                    ("vernier bench formats --mode nearest-e", "nearest-even"),
                    ("vernier quantize a.gguf b --type Q6", "Q6_K"), ("vernier run a.gguf --temp", "--temperature")])


class Install(unittest.TestCase):
    def test_everything_is_installed(self):
        if BUILD is None:
            self.skipTest("no build folder is given")
        with tempfile.TemporaryDirectory() as folder:
            done = subprocess.run(["cmake", "--install", BUILD, "--prefix", "/usr"], env={**os.environ, "DESTDIR": folder},
                                  capture_output=True, text=True, timeout=120)
            self.assertEqual(done.returncode, 0, done.stderr)
            usr = os.path.join(folder, "usr")
            for path in ("share/man/man1/vernier.1", "share/bash-completion/completions/vernier",
                         "share/zsh/site-functions/_vernier", "share/doc/vernier/docs/commands.md", "share/doc/vernier/README.md",
                         "share/vernier/studies/ffn-norm-bf16.toml", "share/vernier/models/tiny-qwen2/config.json"):
                self.assertGreater(os.path.getsize(os.path.join(usr, path)), 100, path)
            version = subprocess.run([os.path.join(usr, "bin", "vernier"), "--version"], capture_output=True, text=True, timeout=60)
            self.assertTrue(version.stdout.startswith("vernier "))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
