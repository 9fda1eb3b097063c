//! The wires that readers hang on, and their recorded and scripted twins.

pub mod serial;
