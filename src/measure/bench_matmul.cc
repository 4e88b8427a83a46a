#include "measure/bench_matmul.h"

#include <algorithm>
#include <chrono>
#include <memory>

#include "arch/synthetic.h"
#include "engine/model.h"
#include "ops/evaluate_rows.h"

namespace vernier {
namespace {

using Clock = std::chrono::steady_clock;

double SecondsSince(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

constexpr size_t kMostLayers = 64;  // of small matrices; they stay in the caches then

// A llama whose ffn_gate and ffn_up are the matrices, as many layers of it as are asked for.
ModelShape ShapeOf(const std::string& config) {
  ModelShape shape{"matmul", "matrices for a benchmark", config.c_str(), false, {}};
  shape.vocabulary.bos = "<s>";
  shape.vocabulary.eos = "</s>";
  return shape;
}

std::string ConfigOf(const MatmulBenchOptions& o, size_t layers) {
  return fmt::format(
      R"({{"model_type": "llama", "num_hidden_layers": {}, "hidden_size": {},
          "intermediate_size": {}, "num_attention_heads": {}, "num_key_value_heads": 1,
          "vocab_size": 1024, "rms_norm_eps": 1e-5}})",
      layers, o.inputs, o.outputs, o.inputs / 64);
}

struct Matrix {
  std::shared_ptr<const LoadedWeight> weight;
  uint64_t bytes = 0;
};

// Passes over all matrices with `n` rows; seconds of the fastest product, on average over a pass.
class Product {
 public:
  Product(const MatmulBenchOptions& o, Model& model, const std::vector<Matrix>& matrices, size_t n)
      : options_(o), model_(model), matrices_(matrices) {
    x_.resize(n * o.inputs);
    y_.resize(n * o.outputs);
    for (size_t i = 0; i < x_.size(); ++i) x_[i] = static_cast<float>(i % 17) - 8;
    for (size_t r = 0; r < n; ++r) {
      rows_.push_back(&x_[r * o.inputs]);
      out_.push_back(&y_[r * o.outputs]);
    }
  }

  double Best() {
    double best = 1e30;
    Pass();
    const auto start = Clock::now();
    do {
      best = std::min(best, Pass());
    } while (SecondsSince(start) < options_.seconds);
    return best / static_cast<double>(matrices_.size());
  }

 private:
  double Pass() {
    const auto start = Clock::now();
    for (const Matrix& matrix : matrices_) {
      RowsArgs<float> args{};
      args.op = OpKind::kMatMul;
      args.shape.width = options_.outputs;
      args.shape.in_width = options_.inputs;
      args.weight.matrix = &matrix.weight->matrix;
      args.a = rows_;
      args.out = out_;
      EvaluateRows(args, model_.machine());
    }
    return SecondsSince(start);
  }

  const MatmulBenchOptions& options_;
  Model& model_;
  const std::vector<Matrix>& matrices_;
  std::vector<float> x_, y_;
  std::vector<const float*> rows_;
  std::vector<float*> out_;
};

std::vector<Matrix> MatricesOf(Model& model) {
  std::vector<Matrix> matrices;
  for (size_t i = 0; i < model.graph().weights.size(); ++i) {
    const WeightSlot& slot = model.graph().weights[i];
    if (!slot.name.ends_with("ffn_gate.weight") && !slot.name.ends_with("ffn_up.weight")) continue;
    matrices.push_back(
        {model.weights().Get(static_cast<int>(i), nullptr, 0), slot.tensor.data.size()});
  }
  return matrices;
}

}  // namespace

Result<MatmulBench> BenchMatmul(const MatmulBenchOptions& o, const ProgressSink& progress) {
  CHECK(o.outputs % 64 == 0 && o.inputs % 256 == 0 && o.outputs > 0 && o.inputs > 0);
  MatmulBench bench;
  double done = 0;
  const double total = static_cast<double>(o.types.size() * o.rows.size());
  for (const FileType* type : o.types) {
    const uint64_t bytes =
        TensorByteSize(type->type, std::vector<int64_t>{static_cast<int64_t>(o.outputs),
                                                        static_cast<int64_t>(o.inputs)})
            .value();
    const size_t layers = std::clamp<size_t>(o.matrix_bytes / (2 * bytes), 1, kMostLayers);
    const std::string config = ConfigOf(o, layers);
    Workers workers(o.threads);
    RETURN_IF_ERROR(
        WriteSynthetic(ShapeOf(config), o.path, {.type = type, .pure = true}, workers, {}));
    ModelOptions options;
    options.threads = o.threads;
    ASSIGN_OR_RETURN(const std::unique_ptr<Model> model, Model::Open(o.path, options));
    bench.threads = model->workers().threads();
    const std::vector<Matrix> matrices = MatricesOf(*model);
    for (const size_t n : o.rows) {
      const double seconds = Product(o, *model, matrices, n).Best();
      const double weights = static_cast<double>(o.outputs) * static_cast<double>(o.inputs);
      bench.lines.push_back({Info(type->type).name, n,
                             2 * weights * static_cast<double>(n) / seconds,
                             static_cast<double>(bytes) / seconds});
      if (progress && !progress({"measuring", ++done, total, "products"})) return bench;
    }
  }
  return bench;
}

}  // namespace vernier
