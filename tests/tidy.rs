//! Holds what a lint cannot.
