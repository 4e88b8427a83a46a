#include "cli/manual.h"

#include <algorithm>

namespace vernier {
namespace {

// In the order of the verbs. Commands are single lines for a shell.
const std::vector<Manual>& Table() {
  static const std::vector<Manual> kManuals = {
      {"inspect",
       "What is in a model file: constants, metadata, and all tensors with their types and sizes. "
       "It "
       "works on every file that can be read, also where the architecture is unknown.\n\n"
       "With --exact all tensors are decoded: which share of each does a format hold exactly, what "
       "is "
       "the error of rounding to it, how are the scales inside of blocks spread, and does each "
       "matrix lie as the graph reads it?",
       {{"What is in a model:", "vernier inspect models/tiny-qwen2"},
        {"How much of it do BF16 and E4M3 hold?",
         "vernier inspect models/tiny-mamba --exact bf16,e4m3"}},
       "",
       "sites, formats; docs/formats.md, docs/decoding.md"},
      {"formats",
       "What number formats can hold, computed from their codes: largest and smallest numbers, "
       "precision, what they do beyond the largest. Without names all formats that have one; e5m7, "
       "posit24es1 or int6 can be named as well.\n\n"
       "--at rounds numbers to the nearest one of a format, with the error and the neighbours. "
       "--compare says where one of two formats is the finer one.",
       {{"What BF16 can hold:", "vernier formats bf16"},
        {"What two formats make of two numbers:", "vernier formats posit16 f16 --at 0.1,2^-24"},
        {"Where is posit32 finer than float32?", "vernier formats --compare posit32,f32"}},
       "",
       "inspect, bench formats; docs/formats.md"},
      {"sites",
       "Every point of a model that rules and probes can name, in order of computation, with "
       "llama.cpp's name for it, the Hugging Face module whose output it is, and the weight used "
       "there.",
       {{"All sites of a model:", "vernier sites models/tiny-qwen2"},
        {"The same for programs:", "vernier sites models/tiny-mamba --json"}},
       "",
       "probe, compare; docs/rules.md"},
      {"tokenize",
       "The token ids of a text, and the piece that each stands for, as the model's own tokenizer "
       "makes them.",
       {{"Tokens of a line:", "vernier tokenize models/tiny-llama -p \"Before we proceed\""},
        {"Ids alone, without BOS, in a file:",
         "vernier tokenize models/tiny-qwen2 -p \"hear me speak\" --no-bos --json -o "
         "out/ids.json"}},
       "",
       "run"},
      {"run",
       "What the model goes on with after a text, as it comes and without the text: the likeliest "
       "token each time, unless --temperature draws one. It ends after -n tokens, where the "
       "context "
       "is full, or after a token that ends a generation.\n\n"
       "Rules change weights, activations or arithmetic of the run; what each of them did is said "
       "on standard error.",
       {{"Go on with a text:", "vernier run models/tiny-qwen2 -p \"First Citizen:\" -n 24"},
        {"The same with activations rounded in the first five layers:",
         "vernier run models/tiny-qwen2 -p \"First Citizen:\" -n 24 --rule \"ffn_norm[0:5]=bf16\""},
        {"Draw tokens, always the same ones:",
         "vernier run models/tiny-mamba -p \"First Citizen:\" -n 24 --temperature 0.8 --seed 7"}},
       "",
       "compare, eval, sites; docs/rules.md"},
      {"probe",
       "Statistics of the values at every site over every token of a text: mean, RMS, range, "
       "growth "
       "from layer to layer, NaN and infinities, exponents. --save keeps the values themselves as "
       "a "
       "capture, which probe and compare read in place of a model.",
       {{"How the residual stream grows:",
         "vernier probe models/tiny-qwen2 -p \"First Citizen:\" --site l_out"},
        {"Keep the values of two layers, and look at them again:",
         "vernier probe models/tiny-qwen2 -p \"First Citizen:\" --site \"ffn_*[0:2]\" "
         "--save out/ffn.safetensors --quiet && vernier probe out/ffn.safetensors"}},
       "",
       "compare, calibrate, sites; docs/measures.md"},
      {"compare",
       "B against A on one stream of tokens: logits, KL divergence, generated tokens, and the "
       "error "
       "at every site, told apart into what a node inherits and what it contributes. A and B are "
       "models or captures, also those of other programs; without B it is A's model with the "
       "rules.\n\n"
       "--truth adds the same model in float64, and says which of the two is nearer to it.",
       {{"What do rounded activations change, and are they nearer to the truth?",
         "vernier compare models/tiny-qwen2 --rule \"ffn_norm[0:3]=bf16\" -p \"First Citizen:\" -n "
         "16 "
         "--truth"},
        {"A rule that changes nothing is VACUOUS:",
         "vernier compare models/tiny-qwen2 --rule \"*_norm.weight=bf16\" -p \"First Citizen:\""}},
       "with --strict a rule changed nothing, with --tolerance a logit differs by more, or is NaN",
       "probe, eval, study; docs/commands.md, docs/measures.md"},
      {"eval",
       "Perplexity of a text and, with --against, the KL divergence from a base model, both as "
       "llama-perplexity defines them, each with its uncertainty. The text is cut into chunks of "
       "-c "
       "tokens; the second half of each is scored.",
       {{"Perplexity:", "vernier eval models/tiny-qwen2 -f data/shakespeare.txt -c 128 --chunks 4"},
        {"What does an FP8 cache cost?",
         "vernier eval models/tiny-qwen2 --rule kv=e4m3 --against models/tiny-qwen2 "
         "-f data/gsm8k.txt -c 128 --chunks 4"}},
       "",
       "compare, study; docs/measures.md"},
      {"study",
       "A whole experiment from one file: variants and sweeps of rules, run against a baseline on "
       "texts and prompts, beside noise and truth, and claims that are judged. Results are kept "
       "in a folder; the same command goes on where it was interrupted.",
       {{"Run a study, with its results in out/look:",
         "vernier study studies/quick-look.toml -o out/look --quiet"},
        {"The same study again takes what is kept:",
         "vernier study studies/quick-look.toml -o out/look --json"}},
       "a required claim is not supported, or with --strict a variant is vacuous",
       "report, query, compare, eval; docs/studies.md"},
      {"query",
       "The store of a study, asked in SQL: what was measured token by token, by site, what it "
       "cost. "
       "Nothing is written, whatever is asked. Without SQL its tables, views and columns are "
       "listed.",
       {{"What can be asked:", "vernier query out/look"},
        {"The variants, worst first:",
         "vernier query out/look \"SELECT variant, kld FROM variant ORDER BY kld DESC\""},
        {"The same as CSV:",
         "vernier query out/look \"SELECT variant, kld FROM variant\" --csv -o out/look.csv"}},
       "",
       "study, report; docs/store.md"},
      {"report",
       "One page of one study or of several side by side, as an HTML file that opens from disk and "
       "loads nothing: the verdict in words, claims with their intervals, variants to sort and "
       "filter, where errors are and how they grow, the text token by token, formats over the "
       "values they hold. A study leaves its own page in its folder as report.html.",
       {{"The page of a study:", "vernier report out/look -o out/look.html"},
        {"Two studies side by side:",
         "vernier study studies/quick-look.toml -o out/again --quiet && "
         "vernier report out/look out/again -o out/both.html"}},
       "",
       "study, query; docs/report.md"},
      {"calibrate",
       "What texts make of every site, and of what every node reads: magnitudes, percentiles and "
       "their smoothed form, as a file of scales that rules with scale=static read.",
       {{"Scales from a text:",
         "vernier calibrate models/tiny-mamba -f data/shakespeare.txt -c 128 --chunks 2 "
         "-o out/scales.json"},
        {"Only what one rule reads, with another percentile:",
         "vernier calibrate models/tiny-mamba -f data/shakespeare.txt -c 128 --chunks 2 "
         "--site ssm_out.in --percentile 99.95 -o out/ssm_out.json"},
        {"What the model says with the first ones:",
         "vernier eval models/tiny-mamba --rule \"ssm_out.in=int8,scale=static\" "
         "--scales out/scales.json -f data/gsm8k.txt -c 128 --chunks 2"}},
       "",
       "probe, eval; docs/formats.md"},
      {"quantize",
       "Writes a model as a GGUF file of another type, with the bytes that llama-quantize gives "
       "it, "
       "or with weights that rules have treated. The file appears when it is complete; it may be "
       "larger than memory.",
       {{"A Q4_K_M file:",
         "vernier quantize models/tiny-qwen2 out/tiny-qwen2-q4_k_m.gguf --type q4_k_m"},
        {"A line for each tensor, with its error:",
         "vernier quantize models/tiny-llama out/tiny-llama-q8_0.gguf --type q8_0 --report"},
        {"Norm weights rounded, types as they are:",
         "vernier quantize models/tiny-mamba out/tiny-mamba-norms.gguf "
         "--rule \"*norm.weight=bf16,round=toward-zero\""}},
       "with --strict a rule changed nothing",
       "inspect, compare; docs/encoding.md"},
      {"bench",
       "How fast this machine is, by subject. vernier bench --shape NAME is short for vernier "
       "bench "
       "inference --shape NAME.",
       {{"A small model of random weights:",
         "vernier bench --shape tiny --type q4_k_m --prompt 32 -n 4 --repeat 1 --no-bounds"},
        {"Rounding to a format:",
         "vernier bench formats --format bf16 --mode nearest-even --memory 8"}},
       "",
       "docs/performance.md"},
      {"bench inference",
       "A prompt is read, then tokens are written one by one; beside the figures stands what the "
       "machine can do at most. With --shape a file of a known shape with random weights takes the "
       "place of the model; --write keeps that file and measures nothing.",
       {{"A model:",
         "vernier bench inference models/tiny-qwen2 --prompt 64 -n 8 --repeat 2 --no-bounds"},
        {"What does a rule cost?",
         "vernier bench inference models/tiny-qwen2 --prompt 64 -n 8 --repeat 2 --no-bounds "
         "--rule ffn_norm=bf16 --pairs"},
        {"A file of a known shape:",
         "vernier bench inference --shape tiny --type q8_0 --write out/tiny-q8_0.gguf"}},
       "",
       "run, quantize; docs/performance.md"},
      {"bench matmul",
       "Products of rows with stored matrices in Vernier's arithmetic, by type and number of rows. "
       "Matrices take turns, so that weights come from memory; the best pass counts.",
       {{"One type, reading and writing:",
         "vernier bench matmul --type q8_0 --rows 1,64 --outputs 512 --inputs 512 --no-bounds"},
        {"The same for programs:",
         "vernier bench matmul --type f16 --rows 1 --outputs 512 --inputs 512 --no-bounds --json"}},
       "",
       "bench arithmetic; docs/performance.md"},
      {"bench arithmetic",
       "Products of matrices whose every step is rounded to a format, as a model under a rule like "
       "*.math=step:posit32 computes them.",
       {{"Two arithmetics:",
         "vernier bench arithmetic --math \"step:bf16;exact\" --size 64 --no-bounds"},
        {"Fused multiply-adds of F16, summed in float32:",
         "vernier bench arithmetic --math \"fused:f16+acc=f32\" --size 64 --no-bounds"}},
       "",
       "bench matmul; docs/arithmetic.md"},
      {"bench formats",
       "Rounding of rows to element formats on one core, in cache and from memory, beside memcpy.",
       {{"Three formats:",
         "vernier bench formats --format bf16,e4m3,posit16 --mode nearest-even --memory 8"},
        {"Two ways to round:",
         "vernier bench formats --format f16 --mode nearest-even,stochastic --memory 8"}},
       "",
       "formats; docs/performance.md"},
      {"bench overhead",
       "What observing costs: a text is read plainly, and right before or after that with a rule, "
       "and with statistics of every site. Also where the time of the plain runs goes.",
       {{"The cost of rounding the norms:",
         "vernier bench overhead models/tiny-qwen2 --tokens 64 --pairs 2"},
        {"Of another rule:",
         "vernier bench overhead models/tiny-mamba --tokens 64 --pairs 2 --rule l_out=e4m3"}},
       "",
       "bench inference; docs/performance.md"},
      {"help",
       "The verbs, or one verb's page: what it gives, its options, examples. --man writes all of "
       "them as a manual page, --completion a script that completes verbs, options, files and "
       "values in a shell.",
       {{"A verb's page:", "vernier help compare"},
        {"A subject of a verb has a page, too:", "vernier help bench formats"},
        {"The manual page:", "vernier help --man > out/vernier.1"},
        {"Completion in this shell:", "source <(vernier help --completion bash)"}},
       "",
       "docs/commands.md"},
  };
  return kManuals;
}

}  // namespace

std::span<const Manual> Manuals() { return Table(); }

const Manual* FindManual(std::string_view command) {
  const auto found = std::find_if(Table().begin(), Table().end(),
                                  [&](const Manual& manual) { return manual.command == command; });
  return found == Table().end() ? nullptr : &*found;
}

}  // namespace vernier
