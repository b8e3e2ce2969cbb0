//! The history of a git repository as CloudEvents, oldest commit first.
//!
//! A commit is one event (`git.commit.authored`, about its hash), followed by
//! one for each file that it added, modified, deleted or renamed without a
//! change of content. Merge commits have no file events. Ids come from the
//! commit's hash, so that importing the same history again adds nothing.

use std::{
    io::{BufRead, BufReader, Read, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use crate::step;

/// Separates a commit's fields; git puts it where `%x1f` stands.
const FIELD: char = '\x1f';
/// Opens a commit.
const COMMIT: u8 = b'\x01';

/// A repository whose history can be told from its beginning.
pub(crate) struct Repository {
    folder: PathBuf,
    /// Its name: that of its origin, or of its folder.
    pub(crate) name: String,
    /// How many commits led to where it stands.
    pub(crate) commits: u64,
}

impl Repository {
    /// Looks at a folder and says what is wrong with it.
    pub(crate) fn open(folder: &Path) -> Result<Self> {
        let help = "--repo DIR names another, --events FILE takes events instead";
        ensure!(folder.is_dir(), "there is no folder {} ({help})", folder.display());
        step::output(&mut git(folder, &["--version"])).context("git is needed to read a history")?;
        let git_folder = step::output(&mut git(folder, &["rev-parse", "--git-common-dir"]));
        let Ok(git_folder) = git_folder else {
            bail!("{} is no git repository ({help})", folder.display());
        };
        let Ok(commits) = step::output(&mut git(folder, &["rev-list", "--count", "HEAD"])) else {
            bail!("the repository {} has no commit yet ({help})", folder.display());
        };
        let commits = commits.trim().parse()?;
        if step::output(&mut git(folder, &["rev-parse", "--is-shallow-repository"]))?.trim() == "true" {
            bail!(
                "{} is a shallow clone: it holds only the last {commits} commits, and a history is told from \
                 its beginning. `git fetch --unshallow` gets the rest ({help})",
                folder.display()
            );
        }
        let origin = step::output(&mut git(folder, &["config", "--get", "remote.origin.url"])).ok();
        let git_folder = std::path::absolute(folder.join(git_folder.trim()))?;
        let name = origin.as_deref().and_then(last_segment).or_else(|| {
            // A work tree is named by the folder that holds `.git`, a bare one by itself.
            let named = if git_folder.ends_with(".git") { git_folder.parent()? } else { &git_folder };
            last_segment(named.canonicalize().ok()?.to_str()?)
        });
        Ok(Self { folder: folder.to_owned(), name: name.unwrap_or_else(|| "repository".to_owned()), commits })
    }

    /// Writes the whole history as NDJSON; gives the number of events.
    pub(crate) fn write_events(&self, out: &mut impl Write) -> Result<u64> {
        let mut child = self.log().stdout(Stdio::piped()).spawn().context("could not start git")?;
        let stdout = child.stdout.take().expect("standard output is piped");
        let written = translate(&self.name, BufReader::with_capacity(1 << 20, stdout), out);
        finish(child, written)
    }

    fn log(&self) -> Command {
        let format = ["--format=%x01%H", "%aN", "%ad", "%P", "%s"].join("%x1f");
        let mut log = git(
            &self.folder,
            &[
                // Whoever runs this may have configured git otherwise.
                "-c",
                "log.showRoot=true",
                "-c",
                "log.showSignature=false",
                "-c",
                "diff.renameLimit=0",
                "log",
                "--topo-order",
                "--reverse",
                "--raw",
                "-z",
                "-M100%",
                "--abbrev=64",
                "--no-notes",
                "--no-color",
                "--encoding=UTF-8",
                "--date=format-local:%Y-%m-%dT%H:%M:%SZ",
                &format,
            ],
        );
        log.env("TZ", "UTC0");
        log
    }
}

fn git(folder: &Path, arguments: &[&str]) -> Command {
    let mut git = Command::new("git");
    git.arg("-C").arg(folder).args(arguments);
    git
}

fn finish(mut child: Child, written: Result<u64>) -> Result<u64> {
    let written = written.inspect_err(|_| drop(child.kill()))?;
    let status = child.wait()?;
    ensure!(status.success(), "git log: {status}");
    Ok(written)
}

/// `https://host/owner/name.git`, `host:name` or `/home/me/name`: the name.
fn last_segment(location: &str) -> Option<String> {
    let location = location.trim().trim_end_matches('/');
    let segment = location.rsplit(['/', ':', '\\']).next()?;
    let segment = segment.strip_suffix(".git").unwrap_or(segment);
    (!segment.is_empty()).then(|| segment.to_owned())
}

/// A commit and the events of its files so far.
struct Commit {
    hash: String,
    author: String,
    time: String,
    summary: String,
    parents: Vec<String>,
    files: Vec<File>,
}

struct File {
    event_type: &'static str,
    path: String,
    blob: Option<String>,
    from: Option<String>,
}

/// Reads what `git log --raw -z` writes, one NUL-ended piece after another: a
/// commit, followed without a NUL by its first file's line; then for each file
/// its line and one path, or two where it was renamed.
fn translate(repository: &str, input: impl Read, out: &mut impl Write) -> Result<u64> {
    let mut pieces = BufReader::new(input);
    let mut events = 0;
    let mut commit: Option<Commit> = None;
    let mut piece = Vec::new();
    let mut next = |piece: &mut Vec<u8>| -> Result<bool> {
        piece.clear();
        pieces.read_until(0, piece)?;
        Ok(match piece.last() {
            Some(0) => piece.pop().is_some(),
            Some(_) => true,
            None => false,
        })
    };
    while next(&mut piece)? {
        let mut raw = &piece[..];
        if raw.first() == Some(&COMMIT) {
            if let Some(done) = commit.take() {
                events += done.write(repository, out)?;
            }
            let end = raw.iter().position(|byte| *byte == b'\n').unwrap_or(raw.len());
            commit = Some(Commit::parse(&String::from_utf8_lossy(&raw[1..end]))?);
            raw = raw.get(end + 1..).unwrap_or_default();
        }
        if raw.is_empty() {
            continue;
        }
        let line = String::from_utf8_lossy(raw).into_owned();
        let commit = commit.as_mut().context("git log begins with a commit")?;
        let mut path = || -> Result<String> {
            ensure!(next(&mut piece)?, "git log ended before a path");
            Ok(String::from_utf8_lossy(&piece).into_owned())
        };
        commit.files.extend(File::parse(&line, &mut path)?);
    }
    if let Some(done) = commit {
        events += done.write(repository, out)?;
    }
    out.flush()?;
    Ok(events)
}

impl Commit {
    fn parse(text: &str) -> Result<Self> {
        let mut fields = text.splitn(5, FIELD).map(str::to_owned);
        let mut field = || fields.next().with_context(|| format!("git log wrote \"{text}\""));
        Ok(Self {
            hash: field()?,
            author: field()?,
            time: field()?,
            parents: field()?.split_whitespace().map(str::to_owned).collect(),
            summary: field()?,
            files: Vec::new(),
        })
    }

    /// Writes its event and those of its files; gives their number.
    fn write(&self, repository: &str, out: &mut impl Write) -> Result<u64> {
        let data = json!({
            "author": self.author,
            "summary": self.summary,
            "parents": self.parents,
            "files": self.files.len(),
        });
        self.write_event(repository, 0, "git.commit.authored", &self.hash, data, out)?;
        for (index, file) in self.files.iter().enumerate() {
            let mut data = json!({ "commit": self.hash, "author": self.author });
            if let Some(blob) = &file.blob {
                data["blob"] = json!(blob);
            }
            if let Some(from) = &file.from {
                data["from"] = json!(from);
            }
            self.write_event(repository, index + 1, file.event_type, &file.path, data, out)?;
        }
        Ok(1 + self.files.len() as u64)
    }

    fn write_event(
        &self,
        repository: &str,
        index: usize,
        event_type: &str,
        subject: &str,
        data: Value,
        out: &mut impl Write,
    ) -> Result<()> {
        let event = json!({
            "specversion": "1.0",
            "id": format!("{}-{index}", self.hash),
            "source": format!("/git/{}", encoded(repository)),
            "type": event_type,
            "subject": subject,
            "time": self.time,
            "correlationid": self.hash,
            "datacontenttype": "application/json",
            "data": data,
        });
        serde_json::to_writer(&mut *out, &event)?;
        out.write_all(b"\n")?;
        Ok(())
    }
}

/// A source is a URI reference, in which a name's odd bytes are written as %XX.
fn encoded(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    name.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

impl File {
    /// `:100644 100644 <blob> <blob> M`, its path or paths being the next pieces.
    fn parse(line: &str, path: &mut impl FnMut() -> Result<String>) -> Result<Option<Self>> {
        let fields: Vec<&str> = line.trim_start_matches(':').split(' ').collect();
        let [_, _, _, blob, status] = fields[..] else { bail!("git log wrote \"{line}\"") };
        let blob = Some(blob.to_owned());
        let first = path()?;
        Ok(Some(match status.as_bytes().first() {
            Some(b'A') => File { event_type: "git.file.added", path: first, blob, from: None },
            // T: a file has become a link, or the like.
            Some(b'M' | b'T') => File { event_type: "git.file.modified", path: first, blob, from: None },
            Some(b'D') => File { event_type: "git.file.deleted", path: first, blob: None, from: None },
            Some(b'R') => File { event_type: "git.file.renamed", path: path()?, blob, from: Some(first) },
            _ => bail!("git log wrote the status \"{status}\""),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    const B: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

    fn translated(log: &str) -> Vec<Value> {
        let mut out = Vec::new();
        let events = translate("my repo", log.as_bytes(), &mut out).unwrap();
        let lines: Vec<Value> =
            String::from_utf8(out).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(events, lines.len() as u64);
        lines
    }

    #[test]
    fn a_commit_and_its_files() {
        let log = format!(
            "\x01{A}\x1fAda\x1f2020-01-01T00:00:00Z\x1f\x1fFirst: \x1f ü\n:000000 100644 0 {B} A\0odd\nname\0\
             :100644 100644 {A} {B} M\0:x\0:100644 000000 {A} 0 D\0gone\0:100644 100644 {A} {A} R100\0old\0new\0\
             :120000 100644 {A} {B} T\0link\0\
             \x01{B}\x1fBob\x1f2019-01-01T00:00:00Z\x1f{A} {B}\x1fMerge\0"
        );
        let events = translated(&log);
        let types: Vec<&str> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
        assert_eq!(
            types,
            [
                "git.commit.authored",
                "git.file.added",
                "git.file.modified",
                "git.file.deleted",
                "git.file.renamed",
                "git.file.modified",
                "git.commit.authored"
            ]
        );
        assert_eq!(events[0]["id"], format!("{A}-0"));
        assert_eq!(events[0]["source"], "/git/my%20repo");
        assert_eq!(
            events[0]["data"],
            json!({ "author": "Ada", "summary": "First: \x1f ü", "parents": [], "files": 5 })
        );
        assert_eq!(events[1]["subject"], "odd\nname");
        assert_eq!(events[1]["data"], json!({ "commit": A, "author": "Ada", "blob": B }));
        assert_eq!(events[2]["subject"], ":x");
        assert_eq!(events[3]["data"], json!({ "commit": A, "author": "Ada" }));
        assert_eq!(events[4]["subject"], "new");
        assert_eq!(events[4]["data"]["from"], "old");
        assert_eq!(events[4]["id"], format!("{A}-4"));
        assert_eq!(events[6]["data"]["parents"], json!([A, B]));
        assert_eq!(events[6]["correlationid"], B);
    }

    #[test]
    fn names_come_from_any_kind_of_location() {
        for (location, name) in [
            ("https://example.org/owner/name.git\n", "name"),
            ("git@example.org:name", "name"),
            ("/home/me/name/", "name"),
        ] {
            assert_eq!(last_segment(location).as_deref(), Some(name));
        }
        assert_eq!(last_segment("/"), None);
    }
}
