#!/usr/bin/env bash
# post-image.sh BINARIES BOARD
#
# From Buildroot's images to the flashable disk: a tree of hashes behind the squashfs, an initramfs around
# authenteon-init, the boot folder of a slot, and genimage.cfg's partitions. `image/src/build/` does the
# same without Buildroot; what must be equal is the command line, autoboot.txt and the verity format.
#
# Invariant: nothing of this host and no time of day is in what comes out.
set -euo pipefail
export LC_ALL=C TZ=UTC
umask 022

binaries=$1
board=$2
folder=$(cd "$(dirname "$0")/../$board" && pwd)
moment=${SOURCE_DATE_EPOCH:?}
export SOURCE_DATE_EPOCH E2FSPROGS_FAKE_TIME=$moment E2FSCK_TIME=$moment

work=${BUILD_DIR:?}/authenteon-image
rm -rf "$work"
mkdir -p "$work/root/autoboot" "$work/root/boot" "$work/initramfs/modules"

# The root, verified. Salted by what it holds: two roots share no block of hashes. Without a superblock:
# nothing but the command line says what is right.
root=$binaries/rootfs.verity
cp "$binaries/rootfs.squashfs" "$root"
size=$(stat -c %s "$root")
size=$(((size + 4095) / 4096 * 4096))
truncate -s "$size" "$root"
blocks=$((size / 4096))
salt=$(sha256sum "$root" | cut -d' ' -f1)
hash=$(veritysetup format --no-superblock --hash-offset="$size" --data-blocks="$blocks" \
  --salt="$salt" "$root" "$root" | sed -n 's/^Root hash:[[:space:]]*//p')
[[ $hash =~ ^[0-9a-f]{64}$ ]] || {
  echo "post-image.sh: veritysetup names no root hash" >&2
  exit 1
}

# The initramfs. Every driver that a start needs is in the kernel: no modules.
mkdir -p "$work/initramfs"/{dev,proc,root,sys}
install -m 0755 "$binaries/authenteon-init" "$work/initramfs/init"
: > "$work/initramfs/modules/order"
find "$work/initramfs" -exec touch -h -d "@$moment" {} +
(
  cd "$work/initramfs"
  find . -mindepth 1 | sort |
    cpio --quiet --create --format=newc --reproducible --owner=0:0
) | gzip -n -9 > "$work/root/boot/initramfs.img"

# The boot folder of a slot. It says nothing of the slot it will lie in.
boot=$work/root/boot
cp "$binaries/Image" "$boot/"
firmware=$binaries/rpi-firmware
if [[ -d $firmware ]]; then
  cp "$binaries"/*.dtb "$folder/config.txt" "$boot/"
  for file in "$firmware"/*.elf "$firmware"/*.dat; do
    [[ ! -e $file ]] || cp "$file" "$boot/"
  done
  # Pi 4 reads overlays through the map, from a folder of this name.
  [[ ! -d $firmware/overlays ]] || cp -R "$firmware/overlays" "$boot/"
  # What the ROM of a Pi 3 loads, from the first partition.
  [[ ! -e $firmware/bootcode.bin ]] || cp "$firmware/bootcode.bin" "$work/root/autoboot/"
fi
read -r line < "$folder/cmdline.txt"
echo "$line authenteon.board=$board authenteon.roothash=$hash authenteon.salt=$salt authenteon.blocks=$blocks" \
  > "$boot/cmdline.txt"

# Which slot is booted, and which is tried once. A commit overwrites this one sector.
printf '[all]\ntryboot_a_b=1\nboot_partition=2\n[tryboot]\nboot_partition=3\n' \
  > "$work/root/autoboot/autoboot.txt"

find "$work/root" -exec touch -h -d "@$moment" {} +
rm -rf "$work/tmp"
genimage --config "$folder/genimage.cfg" --rootpath "$work/root" --tmppath "$work/tmp" \
  --inputpath "$binaries" --outputpath "$binaries"

# For bmaptool: what of the disk is not empty.
if command -v bmaptool > /dev/null; then
  bmaptool create -o "$binaries/authenteon-$board.bmap" "$binaries/authenteon-$board.img"
fi
echo "post-image.sh: $binaries/authenteon-$board.img, root hash $hash"
