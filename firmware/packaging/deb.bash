# shellcheck shell=bash
# What makes Debian packages, sourced by each `build-deb`. It takes dpkg-deb and nothing else: no root, no network. The same
# programs and the same SOURCE_DATE_EPOCH give the same bytes.
#
# Invariant: whatever fails, no half a package is left, and nothing of $root.

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# What options may set.
bin='' out='' arch='' version='' compression=xz

fail() { # STATUS WHY
  echo "build-deb: $2" >&2
  exit "$1"
}

# options "NEEDED..." ARGUMENT...: reads them, and makes the folder $root of what is to be in the package.
options() {
  local needed=$1 name
  shift
  while (($#)); do
    name=${1#--}
    [[ $1 == --* && " $needed arch version compression " == *" $name "* ]] || fail 64 "$1 is not known"
    printf -v "$name" %s "${2:?}"
    shift 2
  done
  for name in $needed; do
    [[ -n ${!name} ]] || fail 64 "all of these are needed: --${needed// / --}"
  done
  : "${arch:=$(dpkg --print-architecture)}"
  : "${version:=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' "$top/Cargo.toml")}"
  export SOURCE_DATE_EPOCH="${SOURCE_DATE_EPOCH:-$(git -C "$top" log -1 --format=%ct 2>/dev/null || echo 1793491200)}"
  root=$(mktemp -d)
  trap 'rm -rf "$root"' EXIT
  chmod 755 "$root"
}

# program NAME CRATES: puts a program of $bin into the package.
program() {
  [[ -x $bin/$1 ]] || fail 66 "$bin/$1 is not there: cargo build --release $2"
  put 755 "$bin/$1" "/usr/bin/$1"
}

put() { # MODE SOURCE DESTINATION
  install -D -m "$1" "$2" "$root$3"
}

# completions PROGRAM...: of those that run here; programs of another machine cannot be asked.
completions() {
  local program share=$root/usr/share
  for program in "$@"; do
    "$bin/$program" --version >/dev/null 2>&1 || return 0
    mkdir -p "$share/bash-completion/completions" "$share/zsh/vendor-completions" "$share/fish/vendor_completions.d"
    "$bin/$program" completions bash >"$share/bash-completion/completions/$program"
    "$bin/$program" completions zsh >"$share/zsh/vendor-completions/_$program"
    "$bin/$program" completions fish >"$share/fish/vendor_completions.d/$program.fish"
  done
  chmod -R u=rwX,go=rX "$share"
}

# pack NAME SCRIPTS CONFFILE: makes the package with the maintainer scripts of a folder, a configuration that is kept, and the
# control fields of standard input; prints where it is.
pack() {
  local name=$1 scripts=$2 script package
  mkdir "$root/DEBIAN"
  for script in postinst prerm postrm; do
    install -m 755 "$scripts/$script" "$root/DEBIAN/$script"
  done
  echo "$3" >"$root/DEBIAN/conffiles"
  {
    printf '%s\n' "Package: $name" "Version: $version" "Architecture: $arch" \
      'Maintainer: The Authenteon developers <authenteon@example.org>' \
      "Installed-Size: $(du -sk --apparent-size "$root" | cut -f1)"
    cat
  } >"$root/DEBIAN/control"
  (cd "$root" && find . -path ./DEBIAN -prune -o -type f -printf '%P\0' | LC_ALL=C sort -z | xargs -0 md5sum) \
    >"$root/DEBIAN/md5sums"
  find "$root" -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +
  mkdir -p "$out"
  package=$out/${name}_${version}_$arch.deb
  dpkg-deb --root-owner-group "-Z$compression" --build "$root" "$package" >/dev/null
  echo "$package"
}
