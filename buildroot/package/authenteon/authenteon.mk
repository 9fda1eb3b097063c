################################################################################
#
# authenteon
#
################################################################################

# The package is this repository: the folder above the external tree.
AUTHENTEON_VERSION = 0.1.0
AUTHENTEON_SITE = $(BR2_EXTERNAL_AUTHENTEON_PATH)/..
AUTHENTEON_SITE_METHOD = local
AUTHENTEON_LICENSE = MIT or Apache-2.0
AUTHENTEON_LICENSE_FILES = LICENSE-MIT LICENSE-APACHE
AUTHENTEON_DEPENDENCIES = host-authenteon
# The daemon is one package of the workspace; cargo finds Cargo.lock above it.
AUTHENTEON_SUBDIR = firmware
HOST_AUTHENTEON_SUBDIR = image

# What earlier builds left in the repository is not carried along.
AUTHENTEON_OVERRIDE_SRCDIR_RSYNC_EXCLUSIONS = --exclude=/target --exclude=/buildroot/output
HOST_AUTHENTEON_OVERRIDE_SRCDIR_RSYNC_EXCLUSIONS = $(AUTHENTEON_OVERRIDE_SRCDIR_RSYNC_EXCLUSIONS)

# Buildroot has profiles of its own for everything. The matcher was measured with those of Cargo.toml.
AUTHENTEON_CARGO_ENV = \
	CARGO_PROFILE_RELEASE_OPT_LEVEL="3" \
	CARGO_PROFILE_RELEASE_LTO="thin" \
	CARGO_PROFILE_RELEASE_CODEGEN_UNITS="4" \
	CARGO_TARGET_$(call UPPERCASE,$(RUSTC_TARGET_NAME))_RUSTFLAGS="--remap-path-prefix=$(@D)=authenteon"

AUTHENTEON_CARGO_BUILD_OPTS = --bin authenteond
AUTHENTEON_CARGO_INSTALL_OPTS = --bin authenteond
HOST_AUTHENTEON_CARGO_BUILD_OPTS = --bin authenteon-image
HOST_AUTHENTEON_CARGO_INSTALL_OPTS = --bin authenteon-image

# A local package is not vendored at download: what Cargo.lock names is fetched here, into Buildroot's own
# cargo home in its download folder. A second build, or one whose folder was filled before, needs no network.
define AUTHENTEON_FETCH
	cd $(@D) && $(HOST_MAKE_ENV) $(PKG_COMMON_CARGO_ENV) \
		cargo fetch --locked --manifest-path Cargo.toml
endef
AUTHENTEON_PRE_CONFIGURE_HOOKS += AUTHENTEON_FETCH
HOST_AUTHENTEON_PRE_CONFIGURE_HOOKS += AUTHENTEON_FETCH

# What the image ships of Rust: every crate with its version, checksum and licence.
define AUTHENTEON_SBOM
	mkdir -p $(BINARIES_DIR)
	cd $(@D) && $(HOST_MAKE_ENV) $(PKG_COMMON_CARGO_ENV) CARGO_NET_OFFLINE=true \
		$(HOST_DIR)/bin/authenteon-image sbom --workspace $(@D) \
		--package authenteon --package authenteon-init \
		--target $(RUSTC_TARGET_NAME) --out $(BINARIES_DIR)/authenteon.cdx.json
endef
AUTHENTEON_POST_BUILD_HOOKS += AUTHENTEON_SBOM

$(eval $(cargo-package))
$(eval $(host-cargo-package))
