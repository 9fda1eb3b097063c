//! What an image is made for.

use clap::ValueEnum;

/// A machine to boot on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Board {
    /// QEMU's `virt`.
    Qemu,
    /// The Pi's layout, for QEMU's `raspi3b` only: the Pi's own firmware comes with `buildroot/`.
    Pi,
}

impl Board {
    /// What an update must be made for.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Qemu => "qemu-virt",
            Self::Pi => "qemu-raspi3b",
        }
    }

    /// Name of the disk's file.
    pub(crate) const fn disk_name(self) -> &'static str {
        match self {
            Self::Qemu => "authenteon-qemu.img",
            Self::Pi => "authenteon-pi-NOT-FLASHABLE.img",
        }
    }

    /// The kernel's console.
    pub(crate) const fn console(self) -> &'static str {
        match self {
            Self::Qemu => "ttyAMA0",
            Self::Pi => "ttyAMA0,115200",
        }
    }

    /// More for the kernel.
    pub(crate) const fn kernel_arguments(self) -> &'static str {
        match self {
            // Its core is not affected by what this is against (Meltdown), and the emulator empties its TLB at
            // every switch that it makes.
            Self::Qemu => "kpti=off",
            // The emulated USB controller loses interrupts in its fast mode.
            Self::Pi => "dwc_otg.fiq_fsm_enable=0",
        }
    }

    /// Modules of the initramfs, in the order in which they need each other. A name that is built into
    /// the kernel or not in it is passed over.
    pub(crate) const fn modules(self) -> &'static [&'static str] {
        match self {
            Self::Qemu => &[
                "virtio_ring",
                "virtio",
                "virtio_mmio",
                "virtio_blk",
                "failover",
                "net_failover",
                "virtio_net",
                "virtio-rng",
                "i6300esb",
                "squashfs",
                "crc32c_generic",
                "crc16",
                "mbcache",
                "jbd2",
                "ext4",
                "fat",
                "vfat",
                "nls_cp437",
                "nls_ascii",
                "nls_iso8859-1",
                // Verity takes the quickest that is there when it starts.
                "sha256-arm64",
                "sha2-ce",
                "dax",
                "dm-mod",
                "dm-bufio",
                "reed_solomon",
                "dm-verity",
            ],
            // Without bcm2835_wdt: the emulated watchdog resets the machine when it is armed.
            Self::Pi => &[
                "crc32c_generic",
                "sdhci",
                "sdhci-pltfm",
                "sdhci-iproc",
                "bcm2835",
                "squashfs",
                "crc16",
                "mbcache",
                "jbd2",
                "ext4",
                "fat",
                "vfat",
                "nls_cp437",
                "nls_ascii",
                "nls_iso8859-1",
                // The Pi's cores up to 4 have no instructions for hashes; their vector units help.
                "sha256-arm64",
                "usb-common",
                "usbcore",
                "roles",
                "udc-core",
                "phy-generic",
                "dwc2",
                "mii",
                "usbnet",
                "cdc_ether",
                "rndis_host",
                "dax",
                "dm-mod",
                "dm-bufio",
                "reed_solomon",
                "dm-verity",
            ],
        }
    }
}
