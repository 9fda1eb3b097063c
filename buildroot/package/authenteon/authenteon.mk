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
AUTHENTEON_CARGO_BUILD_OPTS = --package authenteon --bin authenteond
AUTHENTEON_CARGO_INSTALL_OPTS = --path firmware --bin authenteond

$(eval $(cargo-package))
