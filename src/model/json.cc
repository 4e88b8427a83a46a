#include "model/json.h"

#include <nlohmann/json.hpp>
#include <unordered_set>
#include <vector>

#include "model/quote.h"

namespace vernier {
namespace {

using Json = nlohmann::json;

// Watches the parser and stops it, by an exception that ParseJson catches.
class Watcher {
 public:
  struct Stop {
    std::string reason;
  };

  explicit Watcher(size_t most) : most_(most) {}

  bool operator()(int depth, Json::parse_event_t event, Json& parsed) {
    if (++values_ > most_) throw Stop{fmt::format("more than {} JSON values", most_)};
    switch (event) {
      case Json::parse_event_t::object_start:
        keys_.emplace_back();
        [[fallthrough]];
      case Json::parse_event_t::array_start:
        if (depth >= kJsonDeepest)
          throw Stop{fmt::format("JSON nested deeper than {}", kJsonDeepest)};
        break;
      case Json::parse_event_t::key:
        if (!keys_.back().insert(parsed.get<std::string>()).second)
          throw Stop{fmt::format("JSON key {} appears twice", Quote(parsed.get<std::string>()))};
        break;
      case Json::parse_event_t::object_end:
        keys_.pop_back();
        break;
      default:
        break;
    }
    return true;
  }

 private:
  size_t most_, values_ = 0;
  std::vector<std::unordered_set<std::string>> keys_;  // of the objects that are open
};

}  // namespace

std::string WithoutInfinity(std::string_view text) {
  std::string out;
  bool inside = false;  // a string
  for (size_t i = 0; i < text.size(); ++i) {
    if (inside && text[i] == '\\' && i + 1 < text.size()) {
      out += text[i++];
    } else if (text[i] == '"') {
      inside = !inside;
    } else if (!inside) {
      for (const std::string_view word : {"-Infinity", "Infinity", "NaN"}) {
        if (!text.substr(i).starts_with(word)) continue;
        out += "null";
        i += word.size();
        break;
      }
      if (i == text.size()) break;
    }
    out += text[i];
  }
  return out;
}

Result<Json> ParseJson(std::string_view text, const std::string& source, size_t most) {
  // The parser takes a zero byte for the end and would not see what follows it.
  if (const size_t zero = text.find('\0'); zero != text.npos)
    return Fail("{}: not valid JSON at byte {}", source, zero + 1);
  Watcher watcher(most);
  try {
    return Json::parse(text, [&watcher](int depth, Json::parse_event_t event, Json& parsed) {
      return watcher(depth, event, parsed);
    });
  } catch (const Watcher::Stop& stop) {
    return Fail("{}: {}", source, stop.reason);
  } catch (const Json::parse_error& error) {
    return Fail("{}: not valid JSON at byte {}", source, error.byte);
  } catch (const Json::exception& error) {  // a number beyond double's range
    return Fail("{}: not valid JSON: {}", source, Quote(error.what()));
  }
}

Result<Json> ParseJsonObject(std::string_view text, const std::string& source) {
  ASSIGN_OR_RETURN(Json json, ParseJson(text, source));
  if (!json.is_object())
    return Fail("{}: expected a JSON object, found {}", source, json.type_name());
  return json;
}

}  // namespace vernier
