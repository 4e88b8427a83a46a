// Names people type: nearest right name for an error line, and shell-style globs.
#ifndef VERNIER_BASE_NAMES_H_
#define VERNIER_BASE_NAMES_H_

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace vernier {

// The candidate with the least edit distance (insert, delete, replace, swap of neighbours; case
// counts half), ties to the earlier one; empty when there is no candidate within half the length of
// the name.
std::string NearestName(std::string_view name, const std::vector<std::string>& candidates);

// "; did you mean 'X'?" or "" when nothing is near.
std::string DidYouMean(std::string_view name, const std::vector<std::string>& candidates);

// Whether the whole of `text` matches `glob`: * any run (also of dots), ? any character, [abc] and
// [a-z] a set, all else itself. Linear time in |text| * |glob|.
bool GlobMatches(std::string_view glob, std::string_view text);

// Pieces between separators; "" gives one empty piece.
std::vector<std::string> Split(std::string_view text, char separator);
std::string_view Trim(std::string_view text);  // without spaces and tabs at both ends

}  // namespace vernier

#endif  // VERNIER_BASE_NAMES_H_
