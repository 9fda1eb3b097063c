include $(sort $(wildcard $(BR2_EXTERNAL_AUTHENTEON_PATH)/package/*/*.mk))
