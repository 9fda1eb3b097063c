//! Every tuned constant: its unit, where it comes from, and the test that pins it.
