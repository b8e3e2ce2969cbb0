//! How a server and the other commands on a data folder find each other.
//!
//! Whoever works on a data folder holds a lock on its `server.lock`, which the
//! system takes back whatever happens to the process. A server also writes
//! `server.json`, which says where it answers. So a `server.json` beside a
//! lock that nobody holds is stale.

use std::{
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use super::folders;
use crate::cli::exit::{Exit, Failure};

const LOCK: &str = "server.lock";
const DOCUMENT: &str = "server.json";

/// Another program that looks for a server takes the lock for a moment.
const ATTEMPTS: u32 = 20;
const PAUSE: Duration = Duration::from_millis(25);

/// A running server, as its data folder names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Server {
    /// Where it answers.
    pub url: String,
    /// Its process.
    pub pid: u32,
}

/// The right to work on a data folder, until dropped.
#[derive(Debug)]
pub struct Claim {
    folder: PathBuf,
    _lock: File,
}

impl Claim {
    /// Takes a data folder for this process alone; creates it if need be.
    pub async fn take(folder: &Path) -> anyhow::Result<Self> {
        let at = || format!("the data folder {}", folder.display());
        folders::make("data folder", folder)?;
        let lock = File::options().create(true).write(true).truncate(false).open(folder.join(LOCK));
        let lock = lock.with_context(|| format!("{} cannot be written", at()))?;
        for _ in 0..ATTEMPTS {
            match lock.try_lock() {
                Ok(()) => {
                    remove_document(folder);
                    return Ok(Self { folder: folder.to_owned(), _lock: lock });
                }
                Err(TryLockError::WouldBlock) => tokio::time::sleep(PAUSE).await,
                Err(TryLockError::Error(error)) => {
                    return Err(error).with_context(|| format!("{} cannot be locked", at()));
                }
            }
        }
        Err(in_use(folder).into())
    }

    /// Tells the other commands where this process answers.
    pub fn announce(&self, url: &str) -> anyhow::Result<()> {
        let server = Server { url: url.to_owned(), pid: std::process::id() };
        let write = || -> io::Result<()> {
            let mut file = tempfile::NamedTempFile::new_in(&self.folder)?;
            serde_json::to_writer(&mut file, &server)?;
            file.persist(self.folder.join(DOCUMENT))?;
            Ok(())
        };
        write().with_context(|| format!("{} cannot be written", self.folder.join(DOCUMENT).display()))
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        remove_document(&self.folder);
    }
}

fn remove_document(folder: &Path) {
    // If it stays, it is recognised as stale.
    let _ = fs::remove_file(folder.join(DOCUMENT));
}

/// The server that works on a data folder, if there is one.
pub fn find(folder: &Path) -> Option<Server> {
    let document = fs::read(folder.join(DOCUMENT)).ok()?;
    let server = serde_json::from_slice(&document).ok()?;
    let lock = File::open(folder.join(LOCK)).ok()?;
    match lock.try_lock_shared() {
        Err(TryLockError::WouldBlock) => Some(server),
        _ => None,
    }
}

fn in_use(folder: &Path) -> Failure {
    let folder_name = folder.display();
    match find(folder) {
        Some(Server { url, pid }) => {
            Failure::new(Exit::Failed, format!("a server already works on the data folder {folder_name}"))
                .hint(format!(
                    "it is process {pid} and answers at {url}; stop it, or choose another folder with --data"
                ))
        }
        None => Failure::new(Exit::Failed, format!("another program works on the data folder {folder_name}"))
            .hint("wait for it to end (an import?), or choose another folder with --data"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_server_is_found_while_it_lives_and_not_afterwards() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        assert_eq!(find(&data), None);
        let claim = Claim::take(&data).await.unwrap();
        assert_eq!(find(&data), None);
        claim.announce("http://127.0.0.1:8080").unwrap();
        let server = find(&data).unwrap();
        assert_eq!(server, Server { url: "http://127.0.0.1:8080".into(), pid: std::process::id() });

        let refused = Claim::take(&data).await.unwrap_err().to_string();
        assert!(refused.contains("answers at http://127.0.0.1:8080"), "{refused}");

        drop(claim);
        assert_eq!(find(&data), None);
        assert!(!data.join(DOCUMENT).exists());
    }

    #[tokio::test]
    async fn what_a_killed_server_left_is_stale() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(LOCK), "").unwrap();
        fs::write(folder.path().join(DOCUMENT), r#"{"url":"http://127.0.0.1:1","pid":1}"#).unwrap();
        assert_eq!(find(folder.path()), None);
        let _claim = Claim::take(folder.path()).await.unwrap();
        assert!(!folder.path().join(DOCUMENT).exists());
    }
}
