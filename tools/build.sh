# shellcheck shell=bash disable=SC2154
# Shared by ./vernier and ./test: installing what is missing, and building quietly. Sourced by bash with
# `root` set to the project's folder. Nothing here writes to standard output.

say() { printf '%s\n' "$*" >&2; }

# packages PART: the names of tools/packages.txt, with the tests' too if PART is `test`.
packages() {
  local line part=build
  while IFS= read -r line; do
    case $line in
      '' | '#'*) ;;
      '['*']') part=${line//[\[\]]/} ;;
      *) if [[ $part == build || $part == "$1" ]]; then printf '%s\n' "$line"; fi ;;
    esac
  done <"$root/tools/packages.txt"
}

missing_packages() {
  local wanted have name
  mapfile -t wanted < <(packages "$1")
  have=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' "${wanted[@]}" 2>/dev/null) || true
  for name in "${wanted[@]}"; do
    # A program of that name from elsewhere will do: Node.js often brings its own npm, which Debian's conflicts with.
    if command -v "$name" >/dev/null; then continue; fi
    [[ $'\n'$have$'\n' == *$'\ninstalled '"$name"$'\n'* ]] || printf '%s\n' "$name"
  done
}

# quietly WHAT COMMAND...: its output, and that it failed, only when it fails.
quietly() {
  local what=$1 log status=0
  shift
  log=$(mktemp "${TMPDIR:-/tmp}/vernier-build.XXXXXX")
  "$@" >"$log" 2>&1 </dev/null || status=$?
  if ((status != 0)); then
    cat "$log" >&2
    say "vernier: $what failed"
  fi
  rm -f "$log"
  return "$status"
}

# install_packages PART: those of the list that Debian's package manager does not have yet. Elsewhere they
# are taken to be there, and cmake names what is not.
install_packages() {
  local missing as_root=()
  command -v dpkg-query >/dev/null && command -v apt-get >/dev/null || return 0
  mapfile -t missing < <(missing_packages "$1")
  ((${#missing[@]} > 0)) || return 0
  if ((EUID != 0)); then
    if ! command -v sudo >/dev/null; then
      say "vernier: please install: ${missing[*]}"
      return 1
    fi
    as_root=(sudo)
  fi
  progress "installing ${#missing[@]} packages (${missing[0]} ...)"
  local apt=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300)
  # The lists may be absent, or name versions that the archive no longer has.
  if ! "${apt[@]}" install -y --no-install-recommends "${missing[@]}" >/dev/null 2>&1 </dev/null; then
    quietly "apt-get update" "${apt[@]}" update || return
    quietly "apt-get install ${missing[*]}" "${apt[@]}" install -y --no-install-recommends "${missing[@]}"
  fi
}

# ensure_packages PART: asks the package manager once, and again when the list has changed.
ensure_packages() {
  local stamp=$root/build/packages.$1
  if [[ $stamp -nt $root/tools/packages.txt ]]; then return 0; fi
  mkdir -p "$root/build"
  install_packages "$1" || return
  progress_end
  touch "$stamp"
}

# progress TEXT: one line, rewritten, where a person looks on.
progress() {
  if [[ -t 2 ]]; then printf '\r\033[Kvernier: %s' "$1" >&2; fi
}
progress_end() {
  if [[ -t 2 ]]; then printf '\r\033[K' >&2; fi
}

# lock FILE: waits until no other build in this folder runs; held until the descriptor $locked is closed.
lock() {
  mkdir -p "${1%/*}"
  exec {locked}>"$1"
  flock "$locked"
}
unlock() { exec {locked}>&-; }

# build FOLDER CONFIGURE_ARGS... -- TARGETS...: configures on first use and builds. A build that is up to
# date costs one ninja call.
build() {
  local folder=$1 configure=()
  shift
  while (($# > 0)) && [[ $1 != -- ]]; do
    configure+=("$1")
    shift
  done
  shift
  # A configuration that was interrupted has no build.ninja; one that moved names another source folder.
  if [[ ! -f $folder/build.ninja ]] || ! grep -sqxF "CMAKE_HOME_DIRECTORY:INTERNAL=$root" "$folder/CMakeCache.txt"; then
    progress configuring
    rm -rf "$folder"
    quietly configuring cmake -S "$root" -B "$folder" -G Ninja "${configure[@]}" || return
  fi
  run_ninja "$folder" "$@"
}

# Ninja's output goes to a log; the line on the terminal follows its "[12/80]" counts.
run_ninja() {
  local folder=$1 log status=0 line
  shift
  log=$folder/build.log
  if [[ -t 2 ]]; then
    { NINJA_STATUS='[%f/%t] ' ninja -C "$folder" "$@" 2>&1 </dev/null || echo "ninja failed"; } |
      while IFS= read -r line; do
        printf '%s\n' "$line"
        if [[ $line =~ ^(\[[0-9]+/[0-9]+\])' '[BL] ]]; then progress "building ${BASH_REMATCH[1]}"; fi
      done >"$log"
    if [[ $(tail -n 1 "$log") == "ninja failed" ]]; then status=1; fi
    progress_end
  else
    ninja -C "$folder" "$@" >"$log" 2>&1 </dev/null || status=1
  fi
  if ((status != 0)); then
    grep -v '^\[[0-9]*/[0-9]*\] ' "$log" >&2
    say "vernier: building failed"
  fi
  return "$status"
}
