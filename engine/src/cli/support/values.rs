//! Numbers and sizes on the command line, read so that a mistake is told in
//! words.

/// Reads how many of something; none at all would do nothing.
pub fn at_least_one(text: &str) -> Result<usize, String> {
    match text.trim().parse() {
        Ok(0) => Err("it must be 1 or more".to_owned()),
        Ok(number) => Ok(number),
        Err(_) => Err("it must be a whole number, 1 or more".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts() {
        assert_eq!(at_least_one("5"), Ok(5));
        for text in ["0", "-1", "10,000", "", "many", "1.5", "99999999999999999999999"] {
            assert!(at_least_one(text).is_err(), "{text}");
        }
    }
}
