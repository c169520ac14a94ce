//! Files that are whole at every moment.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use crate::error::Error;

/// More links than any chain has that ends.
const MOST_LINKS: usize = 40;

/// Opens a regular file and gives its length: a directory has none, a device or a pipe may never end.
pub(crate) fn open(path: &Path) -> Result<(File, u64), Error> {
    require_regular(path, "open")?;
    let file = File::open(path).map_err(Error::io("open", path))?;
    let length = file.metadata().map_err(Error::io("open", path))?.len();
    Ok((file, length))
}

/// Writes a file that is, at every moment and after any crash, either the old one or the new one, never a part:
/// it is written under another name in the same directory, synced and renamed, and the directory is synced. Several
/// threads and processes may write one path at once; the last to finish stays. The permissions are those of the old
/// file, if there is one.
///
/// A process killed on the way leaves `.NAME.*.tmp` behind; the next write to the same path removes it.
pub(super) fn replace(path: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), Error> {
    if path.exists() {
        require_regular(path, "write")?;
    }
    // A link stays a link: what it points to is replaced.
    let target = follow(path).map_err(Error::io("write", path))?;
    let target = Target::new(&target).ok_or_else(|| not_a_file(path, "write"))?;
    target.remove_leftovers();
    let old = fs::metadata(&target.path).ok().map(|metadata| metadata.permissions());
    let (temporary, file) = target.create(old.is_some()).map_err(Error::io("write", path))?;
    let written = write_synced(&file, old, write).and_then(|()| fs::rename(&temporary, &target.path));
    if let Err(error) = written {
        // The error to report is the first one; a file that cannot be removed is a leftover.
        let _ = fs::remove_file(&temporary);
        return Err(Error::io("write", path)(error));
    }
    sync_directory(&target.directory).map_err(Error::io("sync the directory of", path))
}

/// The file that a chain of links leads to, which need not be there.
fn follow(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_path_buf();
    for _ in 0..MOST_LINKS {
        let link = match (fs::canonicalize(&path), fs::read_link(&path)) {
            (Ok(path), _) => return Ok(path),
            (Err(_), Err(_)) => return Ok(path),
            (Err(_), Ok(link)) => link,
        };
        path = path.parent().unwrap_or(Path::new("")).join(link);
    }
    Err(io::Error::other("too many links, one to another"))
}

pub(crate) fn require_regular(path: &Path, action: &'static str) -> Result<(), Error> {
    let metadata = fs::metadata(path).map_err(Error::io(action, path))?;
    if metadata.is_file() { Ok(()) } else { Err(not_a_file(path, action)) }
}

fn not_a_file(path: &Path, action: &'static str) -> Error {
    Error::io(action, path)(io::Error::other("it is not a regular file"))
}

fn write_synced(
    file: &File,
    permissions: Option<Permissions>,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    let mut buffer = BufWriter::with_capacity(1 << 16, file);
    write(&mut buffer)?;
    buffer.flush()?;
    if let Some(permissions) = permissions
        && permissions != file.metadata()?.permissions()
    {
        file.set_permissions(permissions)?;
    }
    file.sync_all()
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

    /// Creates and locks a temporary file. The lock only says "someone is still writing this", and lasts until the file
    /// is closed, after it was renamed; a file system without locks loses nothing but that.
    fn create(&self, is_private: bool) -> io::Result<(PathBuf, File)> {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        // Before the permissions are those of the old file, nobody else may read the new one.
        #[cfg(unix)]
        if is_private {
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        }
        #[cfg(not(unix))]
        let _ = is_private;
        loop {
            let path = self.temporary();
            let file = match options.open(&path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                file => file?,
            };
            let _ = file.lock();
            // Before the lock, another writer may have taken it for a leftover and removed it.
            if path.exists() {
                return Ok((path, file));
            }
        }
    }

    /// A name no other writer uses, in this process or another, be it on another machine.
    fn temporary(&self) -> PathBuf {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let time = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().subsec_nanos();
        let mut name = self.prefix.clone();
        name.push(format!("{}-{}-{time}.tmp", process::id(), COUNT.fetch_add(1, Ordering::Relaxed)));
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
            // Opening a pipe would wait for its other end.
            if !is_ours || !entry.file_type().is_ok_and(|kind| kind.is_file()) {
                continue;
            }
            // The lock is held until the file is gone, so that its writer, if it has just created it, sees that.
            if let Ok(file) = File::open(entry.path())
                && file.try_lock().is_ok()
            {
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}
