#!/usr/bin/env bash
# post-build.sh TARGET BOARD
#
# Makes Buildroot's root the appliance's, before it is packed: says which release it is, whose updates it
# takes, and drops what nobody may use. What the two images share comes from rootfs-overlay/.
set -euo pipefail

target=$1
board=$2
repository=$(cd "$(dirname "$0")/../../../.." && pwd)

fail() {
  echo "post-build.sh: $*" >&2
  exit 1
}

[[ -x $target/usr/bin/authenteond ]] || fail "the daemon is not in the root"
[[ -x $target/etc/init.d/rcS && -f $target/etc/authenteon/authenteond.toml ]] ||
  fail "rootfs-overlay is not in the root"

version=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"$/\1/p' "$repository/Cargo.toml")
[[ $version =~ ^[0-9]+(\.[0-9]+){1,3}$ ]] || fail "no version in Cargo.toml"
# The floor of the clock, and what updates are compared by.
[[ ${SOURCE_DATE_EPOCH:-} =~ ^[0-9]+$ ]] || fail "SOURCE_DATE_EPOCH is not set"

mkdir -p "$target/data" "$target/etc/authenteon"
cat > "$target/etc/authenteon/release.json" <<END
{
  "version": "$version",
  "build": $SOURCE_DATE_EPOCH,
  "test": false
}
END
rm -f "$target/etc/os-release"
cat > "$target/etc/os-release" <<END
NAME=Authenteon
ID=authenteon
VERSION_ID=$version
VARIANT_ID=$board
END

keyring=$(sed -n 's/^BR2_PACKAGE_AUTHENTEON_KEYRING="\(.*\)"$/\1/p' "$BR2_CONFIG")
rm -f "$target/etc/authenteon/keyring.pem"
if [[ -z $keyring ]]; then
  echo "post-build.sh: NO KEYRING: this box takes no updates; set BR2_PACKAGE_AUTHENTEON_KEYRING" >&2
else
  grep -q -e '-----BEGIN CERTIFICATE-----' "$keyring" || fail "$keyring holds no certificate"
  ! grep -q 'PRIVATE KEY' "$keyring" || fail "$keyring holds a private key"
  install -m 0644 "$keyring" "$target/etc/authenteon/keyring.pem"
fi

# rcS starts what there is to start. Scripts that packages bring would never run.
rm -f "$target"/etc/init.d/S[0-9]*

# Nobody logs in. The group "users" has the number that the daemon's group has on the other image.
sed -i '/^users:/d' "$target/etc/group"
for file in passwd shadow; do
  [[ ! -e $target/etc/$file ]] || sed -i '/^\(sync\|mail\|www-data\|operator\):/d' "$target/etc/$file"
done
sed -i 's,^root:.*,root:x:0:0:root:/:/bin/false,' "$target/etc/passwd"
