include $(sort $(wildcard $(BR2_EXTERNAL_AUTHENTEON_PATH)/package/*/*.mk))

# A symbol of a fragment that the kernel or busybox does not know, or that depends on something that is
# off, is dropped without a word. Here it ends the build.
AUTHENTEON_CHECK_FRAGMENT = $(BR2_EXTERNAL_AUTHENTEON_PATH)/board/authenteon/common/check-fragment

define AUTHENTEON_CHECK_LINUX_FRAGMENTS
	$(AUTHENTEON_CHECK_FRAGMENT) $(@D)/.config \
		$(call qstrip,$(BR2_LINUX_KERNEL_CONFIG_FRAGMENT_FILES))
endef
LINUX_POST_CONFIGURE_HOOKS += AUTHENTEON_CHECK_LINUX_FRAGMENTS

define AUTHENTEON_CHECK_BUSYBOX_FRAGMENTS
	$(AUTHENTEON_CHECK_FRAGMENT) $(@D)/.config \
		$(call qstrip,$(BR2_PACKAGE_BUSYBOX_CONFIG_FRAGMENT_FILES))
endef
BUSYBOX_POST_CONFIGURE_HOOKS += AUTHENTEON_CHECK_BUSYBOX_FRAGMENTS
