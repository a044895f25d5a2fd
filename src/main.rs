//! Turns arguments into an exit code; everything else is in the library.
fn main() {}
