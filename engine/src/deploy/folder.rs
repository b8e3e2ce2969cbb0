//! What stands in the plug-ins folder, once it stands still.
//!
//! A file may be written in place, renamed over, swapped by a symlink or copied
//! over seconds. So a change counts only when the file has looked the same for
//! a while, and a file counts as removed only when it has been gone for longer.

#[cfg(unix)]
use std::os::unix::fs::MetadataExt as _;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    time::{Duration, Instant, SystemTime},
};

/// How long a file must look the same before it is read.
const QUIET: Duration = Duration::from_millis(250);
/// How long a file that ends in the middle of a section must look the same: it
/// is likely to be a copy under way that has paused.
const QUIET_IF_CUT_OFF: Duration = Duration::from_secs(3);
/// How long a file must be missing before it counts as removed: editors and
/// build tools delete a file just before they write it anew.
const GONE: Duration = Duration::from_millis(1_000);

/// The folder as it was when last looked at.
pub(super) struct Folder {
    path: PathBuf,
    known: BTreeMap<String, Known>,
    refused: BTreeSet<String>,
}

/// Something happened to a plug-in's files.
#[derive(Debug, PartialEq)]
pub(super) enum Change {
    /// They are there, with this content.
    Found(Sighting),
    /// They are there, but the machine does not let us read them.
    Unreadable { name: String, reason: String },
    /// The component is gone.
    Gone { name: String },
}

/// A plug-in's files.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Sighting {
    /// The component's file stem.
    pub(super) name: String,
    pub(super) path: PathBuf,
    pub(super) wasm: Vec<u8>,
    /// The text of the settings file; empty where there is none.
    pub(super) settings: String,
}

struct Known {
    stamp: Option<Stamp>,
    since: Instant,
    reported: bool,
}

/// What tells a changed file without reading it.
#[derive(Clone, PartialEq)]
struct Stamp {
    component: FileStamp,
    settings: Option<FileStamp>,
}

#[derive(Clone, PartialEq)]
struct FileStamp {
    length: u64,
    modified: Option<SystemTime>,
    /// Which file it is, and when that or its permissions last changed.
    #[cfg(unix)]
    inode: (u64, i64, i64),
}

impl Folder {
    /// Nothing is known yet: all that stands in the folder is news.
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, known: BTreeMap::new(), refused: BTreeSet::new() }
    }

    /// Takes names for known that were there when the process last ran, so
    /// that their absence is news too.
    pub(super) fn expect(&mut self, names: impl IntoIterator<Item = String>, now: Instant) {
        for name in names {
            self.known.insert(name, Known { stamp: None, since: now, reported: false });
        }
    }

    /// Looks at the folder: what has changed and stands still, and whether
    /// something is still moving, so that another look is due soon.
    pub(super) fn look(&mut self, now: Instant) -> io::Result<(Vec<Change>, bool)> {
        let mut stamps = self.stamps()?;
        for (name, known) in &mut self.known {
            let stamp = stamps.remove(name);
            if stamp != known.stamp {
                *known = Known { stamp, since: now, reported: false };
            }
        }
        for (name, stamp) in stamps {
            self.known.insert(name, Known { stamp: Some(stamp), since: now, reported: false });
        }
        let mut changes = Vec::new();
        let mut moving = false;
        for (name, known) in &mut self.known {
            let quiet = if known.stamp.is_some() { QUIET } else { GONE };
            if known.reported {
                continue;
            }
            if now.duration_since(known.since) < quiet {
                moving = true;
                continue;
            }
            match read(&self.path, name, known.stamp.as_ref()) {
                Some(Change::Found(sighting))
                    if is_cut_off(&sighting.wasm) && now.duration_since(known.since) < QUIET_IF_CUT_OFF =>
                {
                    moving = true;
                }
                Some(change) => {
                    known.reported = true;
                    changes.push(change);
                }
                // It changed while it was read.
                None => {
                    known.since = now;
                    moving = true;
                }
            }
        }
        self.known.retain(|_, known| known.stamp.is_some() || !known.reported);
        Ok((changes, moving))
    }

    /// The plug-ins' names and how their files look.
    fn stamps(&mut self) -> io::Result<BTreeMap<String, Stamp>> {
        let mut stamps = BTreeMap::new();
        for entry in fs::read_dir(&self.path)? {
            let path = entry?.path();
            let Some(name) = plugin_name(&path) else {
                self.warn_once(&path);
                continue;
            };
            // Gone between listing and looking, or a symlink to nowhere.
            let Ok(component) = stamp(&path) else { continue };
            let settings = stamp(&path.with_extension("toml")).ok();
            stamps.insert(name.to_owned(), Stamp { component, settings });
        }
        Ok(stamps)
    }

    fn warn_once(&mut self, path: &Path) {
        let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let is_component = path.extension().is_some_and(|extension| extension == "wasm");
        if is_component && !file.starts_with('.') && self.refused.insert(file.clone()) {
            tracing::warn!(
                file,
                "not a plug-in's name: use letters, digits, '-', '_' and '.', at most 100 of them; the file is ignored"
            );
        }
    }
}

/// The names of the plug-ins that stand in a folder now, in order; none if it
/// cannot be read.
pub fn plugins_in(folder: &Path) -> Vec<String> {
    let files = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut names: Vec<String> = files
        .filter(|path| stamp(path).is_ok())
        .filter_map(|path| plugin_name(&path).map(str::to_owned))
        .collect();
    names.sort();
    names
}

/// The name of the plug-in in a file, if it is one.
fn plugin_name(path: &Path) -> Option<&str> {
    let name = path.file_stem()?.to_str()?;
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let is_component = path.extension().is_some_and(|extension| extension == "wasm");
    (is_component && name.len() <= 100 && !name.starts_with('.') && name.bytes().all(legal)).then_some(name)
}

fn stamp(path: &Path) -> io::Result<FileStamp> {
    // Follows symlinks, so that a swap of the target shows.
    let metadata = fs::metadata(path)?;
    if !metadata.is_file() {
        return Err(ErrorKind::InvalidInput.into());
    }
    Ok(FileStamp {
        length: metadata.len(),
        modified: metadata.modified().ok(),
        #[cfg(unix)]
        inode: (metadata.ino(), metadata.ctime(), metadata.ctime_nsec()),
    })
}

/// Reads a plug-in's files; `None` if they do not look like `expected` any more.
fn read(folder: &Path, name: &str, expected: Option<&Stamp>) -> Option<Change> {
    let path = folder.join(format!("{name}.wasm"));
    let Some(expected) = expected else {
        return Some(Change::Gone { name: name.to_owned() });
    };
    let settings_path = path.with_extension("toml");
    let wasm = match fs::read(&path) {
        Ok(wasm) => wasm,
        Err(error) => return unreadable(name, &path, &error),
    };
    let settings = match expected.settings.as_ref().map(|_| fs::read(&settings_path)) {
        Some(Ok(settings)) => String::from_utf8_lossy(&settings).into_owned(),
        Some(Err(error)) => return unreadable(name, &settings_path, &error),
        None => String::new(),
    };
    let still = Stamp { component: stamp(&path).ok()?, settings: stamp(&settings_path).ok() };
    (still == *expected).then(|| Change::Found(Sighting { name: name.to_owned(), path, wasm, settings }))
}

/// Whether a WebAssembly binary ends in the middle of one of its sections (an
/// id, a length in LEB128, so many bytes).
fn is_cut_off(wasm: &[u8]) -> bool {
    const HEADER: usize = 8;
    let Some(mut sections) = wasm.starts_with(b"\0asm").then(|| wasm.get(HEADER..)).flatten() else {
        return wasm.len() < HEADER;
    };
    while let Some((_id, rest)) = sections.split_first() {
        let Some(last) = rest.iter().take(5).position(|byte| byte & 0x80 == 0) else { return rest.len() < 5 };
        let length =
            rest[..=last].iter().rev().fold(0_usize, |length, byte| length << 7 | usize::from(byte & 0x7f));
        let Some(next) = rest.get(last + 1..).and_then(|body| body.get(length..)) else { return true };
        sections = next;
    }
    false
}

fn unreadable(name: &str, path: &Path, error: &io::Error) -> Option<Change> {
    let reason = format!("{} cannot be read: {error}", path.display());
    (error.kind() != ErrorKind::NotFound).then(|| Change::Unreadable { name: name.to_owned(), reason })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    struct Fixture {
        dir: tempfile::TempDir,
        folder: Folder,
        now: Instant,
    }

    impl Fixture {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let folder = Folder::new(dir.path().to_owned());
            Self { dir, folder, now: clock::instant() }
        }

        fn write(&self, file: &str, content: &str) {
            fs::write(self.dir.path().join(file), content).unwrap();
        }

        /// Looks after `millis` more; changes as `name=content+settings` or `-name`.
        fn look(&mut self, millis: u64) -> (Vec<String>, bool) {
            self.now += Duration::from_millis(millis);
            let (changes, moving) = self.folder.look(self.now).unwrap();
            let shown = changes.into_iter().map(|change| match change {
                Change::Found(seen) => {
                    format!("{}={}+{}", seen.name, String::from_utf8_lossy(&seen.wasm), seen.settings)
                }
                Change::Unreadable { name, .. } => format!("!{name}"),
                Change::Gone { name } => format!("-{name}"),
            });
            (shown.collect(), moving)
        }
    }

    fn nothing(moving: bool) -> (Vec<String>, bool) {
        (Vec::new(), moving)
    }

    #[test]
    fn a_file_is_read_once_when_it_stands_still() {
        let mut fixture = Fixture::new();
        assert_eq!(fixture.look(0), nothing(false));
        fixture.write("a.wasm", "some text");
        assert_eq!(fixture.look(10), nothing(true));
        fixture.write("a.wasm", "some text, longer");
        assert_eq!(fixture.look(200), nothing(true));
        fixture.write("a.wasm", "some text, longer still");
        assert_eq!(fixture.look(200), nothing(true));
        assert_eq!(fixture.look(250), (vec!["a=some text, longer still+".into()], false));
        assert_eq!(fixture.look(250), nothing(false));
    }

    #[test]
    fn settings_belong_to_the_component() {
        let mut fixture = Fixture::new();
        fixture.write("a.toml", "x");
        assert_eq!(fixture.look(300), nothing(false));
        fixture.write("a.wasm", "version 1");
        fixture.look(10);
        assert_eq!(fixture.look(300), (vec!["a=version 1+x".into()], false));
        fixture.write("a.toml", "xy");
        fixture.look(10);
        assert_eq!(fixture.look(300), (vec!["a=version 1+xy".into()], false));
    }

    #[test]
    fn a_removed_file_is_gone_after_a_while_and_may_come_back_before() {
        let mut fixture = Fixture::new();
        fixture.write("a.wasm", "version 1");
        fixture.look(0);
        fixture.look(300);
        fs::remove_file(fixture.dir.path().join("a.wasm")).unwrap();
        assert_eq!(fixture.look(300), nothing(true));
        assert_eq!(fixture.look(300), nothing(true));
        fixture.write("a.wasm", "version 12");
        fixture.look(10);
        assert_eq!(fixture.look(300), (vec!["a=version 12+".into()], false));
        fs::remove_file(fixture.dir.path().join("a.wasm")).unwrap();
        fixture.look(10);
        assert_eq!(fixture.look(1_000), (vec!["-a".into()], false));
        assert_eq!(fixture.look(1_000), nothing(false));
    }

    #[test]
    fn a_file_removed_while_nobody_looked_is_gone() {
        let mut fixture = Fixture::new();
        fixture.folder.expect(["a".to_owned(), "b".to_owned()], fixture.now);
        fixture.write("b.wasm", "version 1");
        assert_eq!(fixture.look(10), nothing(true));
        assert_eq!(fixture.look(300), (vec!["b=version 1+".into()], true));
        assert_eq!(fixture.look(1_000), (vec!["-a".into()], false));
    }

    #[test]
    #[cfg(unix)]
    fn a_swapped_symlink_is_a_change() {
        let mut fixture = Fixture::new();
        let elsewhere = tempfile::tempdir().unwrap();
        let link = fixture.dir.path().join("a.wasm");
        for (target, content) in [("one", "version 1"), ("two", "version 2")] {
            let target = elsewhere.path().join(target);
            fs::write(&target, content).unwrap();
            let temporary = elsewhere.path().join("link");
            std::os::unix::fs::symlink(&target, &temporary).unwrap();
            fs::rename(&temporary, &link).unwrap();
            fixture.look(10);
            assert_eq!(fixture.look(300), (vec![format!("a={content}+")], false));
        }
    }

    #[test]
    fn a_copy_that_pauses_is_waited_for() {
        let mut fixture = Fixture::new();
        let whole = "\0asm\x0d\0\x01\0\x00\x03abc\x01\x01d";
        let path = fixture.dir.path().join("a.wasm");
        for cut in [4, 9, 12, whole.len() - 1] {
            fs::write(&path, &whole[..cut]).unwrap();
            fixture.look(10);
            assert_eq!(fixture.look(1_000), nothing(true), "cut after {cut} bytes");
        }
        fs::write(&path, whole).unwrap();
        fixture.look(10);
        assert_eq!(fixture.look(250), (vec![format!("a={whole}+")], false));
        fs::write(&path, &whole[..9]).unwrap();
        fixture.look(10);
        assert_eq!(fixture.look(3_000).0.len(), 1, "one that stays cut off is reported in the end");
    }

    #[test]
    fn other_files_are_ignored() {
        let mut fixture = Fixture::new();
        for file in [".a.wasm", "a.wasm.tmp", "a b.wasm", "README.md", "wasm"] {
            fixture.write(file, "1");
        }
        fs::create_dir(fixture.dir.path().join("folder.wasm")).unwrap();
        fixture.look(10);
        assert_eq!(fixture.look(300), nothing(false));
    }
}
