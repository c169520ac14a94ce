//! Files that are whole at every moment.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::Error;

/// Opens a regular file and gives its length: a directory has none, a device or a pipe may never end.
pub(crate) fn open(path: &Path) -> Result<(File, u64), Error> {
    require_regular(path, "open")?;
    let file = File::open(path).map_err(Error::io("open", path))?;
    let length = file.metadata().map_err(Error::io("open", path))?.len();
    Ok((file, length))
}

/// Writes a file that is, at every moment and after any crash, either the old one or the new one, never a part:
/// it is written under another name in the same directory, synced and renamed, and the directory is synced.
///
/// A process killed on the way leaves `.NAME.*.tmp` behind; the next write to the same path removes it.
pub(super) fn replace(path: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), Error> {
    if path.exists() {
        require_regular(path, "write")?;
    }
    // A link stays a link: what it points to is replaced.
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    let target = Target::new(&target).ok_or_else(|| not_a_file(path, "write"))?;
    target.remove_leftovers();
    let temporary = target.temporary();
    let written = write_synced(&temporary, write).and_then(|_lock| fs::rename(&temporary, &target.path));
    if let Err(error) = written {
        // The error to report is the first one; a file that cannot be removed is a leftover.
        let _ = fs::remove_file(&temporary);
        return Err(Error::io("write", path)(error));
    }
    sync_directory(&target.directory).map_err(Error::io("sync the directory of", path))
}

pub(crate) fn require_regular(path: &Path, action: &'static str) -> Result<(), Error> {
    let metadata = fs::metadata(path).map_err(Error::io(action, path))?;
    if metadata.is_file() { Ok(()) } else { Err(not_a_file(path, action)) }
}

fn not_a_file(path: &Path, action: &'static str) -> Error {
    Error::io(action, path)(io::Error::other("it is not a regular file"))
}

/// The file stays open, and with it locked, until the caller has renamed it.
fn write_synced(path: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<File> {
    let file = OpenOptions::new().write(true).create_new(true).open(path)?;
    // The lock only says "someone is still writing this"; a file system without locks loses nothing but that.
    let _ = file.try_lock();
    let mut buffer = BufWriter::with_capacity(1 << 16, &file);
    write(&mut buffer)?;
    buffer.flush()?;
    drop(buffer);
    file.sync_all()?;
    Ok(file)
}

/// Makes a new file's name in its directory last.
pub(crate) fn sync_directory_of(path: &Path) -> io::Result<()> {
    let path = fs::canonicalize(path)?;
    path.parent().map_or(Ok(()), sync_directory)
}

#[cfg(unix)]
fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// A directory cannot be opened as a file there; a rename is recorded by the file system's own journal.
#[cfg(not(unix))]
fn sync_directory(_path: &Path) -> io::Result<()> {
    Ok(())
}

struct Target {
    path: PathBuf,
    directory: PathBuf,
    /// What the names of its temporary files begin with.
    prefix: OsString,
}

impl Target {
    fn new(path: &Path) -> Option<Self> {
        let directory = match path.parent()? {
            parent if parent.as_os_str().is_empty() => PathBuf::from("."),
            parent => parent.to_path_buf(),
        };
        let mut prefix = OsString::from(".");
        prefix.push(path.file_name()?);
        prefix.push(".");
        Some(Self { path: path.to_path_buf(), directory, prefix })
    }

    /// A name no other writer uses, in this process or another.
    fn temporary(&self) -> PathBuf {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let mut name = self.prefix.clone();
        name.push(format!("{}-{}.tmp", process::id(), COUNT.fetch_add(1, Ordering::Relaxed)));
        self.directory.join(name)
    }

    /// Removes what killed processes have left: files that nobody has locked. What cannot be removed stays.
    fn remove_leftovers(&self) {
        let Ok(entries) = fs::read_dir(&self.directory) else { return };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let (name, prefix) = (name.as_encoded_bytes(), self.prefix.as_encoded_bytes());
            let between = name.strip_prefix(prefix).and_then(|rest| rest.strip_suffix(b".tmp"));
            let is_ours = between.is_some_and(|b| b.iter().all(|c| c.is_ascii_digit() || *c == b'-'));
            if is_ours && File::open(entry.path()).is_ok_and(|file| file.try_lock().is_ok()) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}
