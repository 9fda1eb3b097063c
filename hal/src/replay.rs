//! Recorded frames as a sensor: stands in for a reader on a host without hardware.
