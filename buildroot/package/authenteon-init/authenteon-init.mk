################################################################################
#
# authenteon-init
#
################################################################################

# A package of the same workspace as the daemon, built with other flags: there is no C library yet where
# it runs.
AUTHENTEON_INIT_VERSION = $(AUTHENTEON_VERSION)
AUTHENTEON_INIT_SITE = $(BR2_EXTERNAL_AUTHENTEON_PATH)/..
AUTHENTEON_INIT_SITE_METHOD = local
AUTHENTEON_INIT_LICENSE = MIT or Apache-2.0
AUTHENTEON_INIT_LICENSE_FILES = LICENSE-MIT LICENSE-APACHE
AUTHENTEON_INIT_SUBDIR = image/init
AUTHENTEON_INIT_INSTALL_TARGET = NO
AUTHENTEON_INIT_INSTALL_IMAGES = YES
AUTHENTEON_INIT_OVERRIDE_SRCDIR_RSYNC_EXCLUSIONS = $(AUTHENTEON_OVERRIDE_SRCDIR_RSYNC_EXCLUSIONS)
AUTHENTEON_INIT_PRE_CONFIGURE_HOOKS += AUTHENTEON_FETCH

AUTHENTEON_INIT_CARGO_ENV = \
	CARGO_TARGET_$(call UPPERCASE,$(RUSTC_TARGET_NAME))_RUSTFLAGS="-C target-feature=+crt-static -C relocation-model=static --remap-path-prefix=$(@D)=authenteon"

define AUTHENTEON_INIT_INSTALL_IMAGES_CMDS
	$(INSTALL) -D -m 0755 \
		$(@D)/target/$(RUSTC_TARGET_NAME)/release/authenteon-init \
		$(BINARIES_DIR)/authenteon-init
endef

$(eval $(cargo-package))
