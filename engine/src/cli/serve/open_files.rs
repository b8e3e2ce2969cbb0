//! How many files the server may hold open: each version of a plug-in has one,
//! each connection another. Many systems grant a program 1,024 at first, for
//! the sake of programs of old, and more to those that ask.

/// Asks for as many as the system grants.
pub(super) fn allow_all() {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, getrlimit, setrlimit};
        let mut limit = getrlimit(Resource::Nofile);
        if limit.current != limit.maximum {
            limit.current = limit.maximum;
            if let Err(error) = setrlimit(Resource::Nofile, limit) {
                tracing::debug!(%error, "the limit of open files stays as it is");
            }
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use rustix::process::{Resource, getrlimit, setrlimit};

    use super::*;

    #[test]
    fn the_limit_is_what_the_system_grants() {
        let mut limit = getrlimit(Resource::Nofile);
        // One less: others may need theirs meanwhile.
        limit.current = limit.maximum.map(|maximum| maximum - 1);
        setrlimit(Resource::Nofile, limit).unwrap();
        allow_all();
        assert_eq!(getrlimit(Resource::Nofile).current, limit.maximum);
    }
}
