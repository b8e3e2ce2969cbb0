//! Tests of the logs against a plain model.
