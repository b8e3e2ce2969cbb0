//! Mistakes are compile errors that say what to do. Each file in `ui/` is one,
//! with the compiler's answer beside it; `TRYBUILD=overwrite` writes it anew.

#[test]
fn mistakes_are_explained() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
