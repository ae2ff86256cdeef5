//! Tests of `learning_blocker`.
