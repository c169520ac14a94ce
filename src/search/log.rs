//! A study's log: a file of JSON lines that survives a kill and can be shared by several processes.
//!
//! The first line says which study the log belongs to. A later line is either a claim (a process has started a trial)
//! or a finished trial. A process reads and writes only while it holds the lock of the file, and it first reads what
//! other processes have appended. A last line without an end was therefore left by a process that was killed, and is
//! cut off.
//!
//! A claim is valid as long as its owner runs. Every process that claims trials holds a lock on a small file of its own
//! beside the log until it ends; the operating system releases that lock however the process ends. A process that
//! finds a claim whose owner's lock is free, or whose owner's file is gone, may take the trial. This needs no clock and
//! no timeout, so a trial that takes a day does not lose its claim.

use std::collections::HashMap;
use std::fs::{File, Metadata, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::lines::{self, Header, Line, Lines, MAX_LINE, ReadLine, format_error, too_long};
use super::space::Dimension;
use super::trial::{Key, TrialRecord};
use crate::error::Error;
use crate::save;

/// How many of the first and the last bytes are remembered, to see that they are still there.
const TAIL: usize = 256;

#[derive(Debug)]
pub(super) struct Log {
    /// Absolute: the working directory may change.
    path: PathBuf,
    file: File,
    header: Header,
    /// How many bytes of the file have been read or written.
    read: u64,
    /// The first of these bytes, and the last.
    head: Vec<u8>,
    tail: Vec<u8>,
    finished: HashMap<Key, TrialRecord>,
    /// Owners by trial.
    claims: HashMap<Key, String>,
    owner: Option<Owner>,
    /// Finished trials of this process that are not in the file yet, since it could not be written.
    unwritten: Vec<TrialRecord>,
    notes: Vec<String>,
}

/// The lock that shows other processes that this one runs.
#[derive(Debug)]
struct Owner {
    name: String,
    path: PathBuf,
    /// Locked as long as it is open.
    _file: File,
}

impl Drop for Owner {
    fn drop(&mut self) {
        // Other processes treat a missing file like a free lock, so a file that cannot be removed does no harm.
        let _ = std::fs::remove_file(&self.path);
    }
}

impl Log {
    /// Opens the log of this study, or creates it.
    pub(super) fn open(path: &Path, header: Header) -> Result<Self, Error> {
        if path.exists() {
            save::require_regular(path, "open")?;
        }
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
        let mut log = Self::new(path, file.map_err(Error::io("open", path))?, header)?;
        log.locked(|_| Ok(()))?;
        Ok(log)
    }

    fn new(path: &Path, file: File, header: Header) -> Result<Self, Error> {
        let path = std::path::absolute(path).map_err(Error::io("open", path))?;
        let (head, tail, finished, claims, owner, unwritten, notes) = Default::default();
        Ok(Self { path, file, header, read: 0, head, tail, finished, claims, owner, unwritten, notes })
    }

    /// Reads the log of any study: its header, its finished trials and its notes. The file is not changed.
    pub(super) fn read(path: &Path) -> Result<(Header, Vec<TrialRecord>, Vec<String>), Error> {
        let (file, _) = save::open(path)?;
        file.lock_shared().map_err(Error::io("lock", path))?;
        let mut lines = Lines::new(&file, path, 0);
        let line = lines.next()?.unwrap_or_default();
        let header = lines::parse_first(line.contents()).map_err(|problem| format_error(path, 0, problem))?;
        let mut log = Self::new(path, file.try_clone().map_err(Error::io("open", path))?, header)?;
        log.pass(&line.bytes);
        log.read_lines(&mut lines)?;
        Ok((log.header, log.finished.into_values().collect(), log.notes))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Repairs of the file that the user may want to know about.
    pub(super) fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Finished trials that are in memory only.
    pub(super) fn unwritten(&self) -> &[TrialRecord] {
        &self.unwritten
    }

    /// Writes what could not be written before.
    pub(super) fn write_rest(&mut self) -> Result<(), Error> {
        self.locked(|_| Ok(()))
    }

    /// Runs `work` while no other process uses the log, after reading what others have appended and writing what could
    /// not be written before.
    fn locked<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T, Error>) -> Result<T, Error> {
        self.file.lock().map_err(Error::io("lock", &self.path))?;
        let result = self.read_appended().and_then(|()| self.write_unwritten()).and_then(|()| work(self));
        let unlocked = self.file.unlock().map_err(Error::io("unlock", &self.path));
        result.and_then(|value| unlocked.map(|()| value))
    }

    fn read_appended(&mut self) -> Result<(), Error> {
        self.check_unchanged()?;
        let file = self.file.try_clone().map_err(Error::io("read", &self.path))?;
        let path = self.path.clone();
        let mut lines = Lines::new(&file, &path, self.read);
        if self.read == 0 {
            let line = lines.next()?.unwrap_or_default();
            if self.check_header(&line)? {
                return Ok(());
            }
        }
        if self.read_lines(&mut lines)? {
            self.file.set_len(self.read).map_err(Error::io("cut the torn end off", &self.path))?;
        }
        Ok(())
    }

    /// Checks that the file is still the one that was opened, and still has what was read or written. The position is
    /// then behind that.
    fn check_unchanged(&mut self) -> Result<(), Error> {
        let named = std::fs::metadata(&self.path).map_err(Error::io("find the study's log", &self.path))?;
        let opened = self.file.metadata().map_err(Error::io("read", &self.path))?;
        if !is_same(&named, &opened) {
            let problem = "the study's log was replaced by another file while the study used it";
            return Err(format_error(&self.path, 0, problem.into()));
        }
        for (start, expected) in [(0, &self.head), (self.read - self.tail.len() as u64, &self.tail)] {
            let mut found = Vec::new();
            let mut file = &self.file;
            let read = file.seek(SeekFrom::Start(start));
            let read = read.and_then(|_| file.take(expected.len() as u64).read_to_end(&mut found));
            read.map_err(Error::io("read", &self.path))?;
            if found != *expected {
                let problem = "the study's log was cut or written over while the study used it";
                return Err(format_error(&self.path, start, problem.into()));
            }
        }
        Ok(())
    }

    /// These bytes have been read or written.
    fn pass(&mut self, bytes: &[u8]) {
        self.read += bytes.len() as u64;
        self.head.extend(bytes.iter().take(TAIL - self.head.len()));
        self.tail.extend(&bytes[bytes.len().saturating_sub(TAIL)..]);
        self.tail.drain(..self.tail.len().saturating_sub(TAIL));
    }

    /// Checks that the first line belongs to this study, or writes the header of a new log. Returns whether it is new.
    fn check_header(&mut self, line: &ReadLine) -> Result<bool, Error> {
        let own = lines::first_line(&self.header);
        if own.as_bytes().starts_with(&line.bytes) && line.bytes.len() < own.len() {
            // New, or the process that created it was killed in the first line.
            self.file.set_len(0).map_err(Error::io("begin", &self.path))?;
            self.append(&own, true)?;
            save::sync_directory_of(&self.path).map_err(Error::io("sync the directory of", &self.path))?;
            return Ok(true);
        }
        let found = lines::parse_first(line.contents()).map_err(|problem| format_error(&self.path, 0, problem))?;
        if let Some((what, expected, found)) = difference(&self.header, &found) {
            return Err(other_study(&self.path, &what, &expected, &found));
        }
        self.pass(&line.bytes);
        Ok(false)
    }

    /// Reads the lines that follow the part already read. Returns whether the last one is torn.
    fn read_lines(&mut self, lines: &mut Lines<'_>) -> Result<bool, Error> {
        while let Some(line) = lines.next()? {
            match lines::parse(line.contents(), &self.header.space) {
                Ok(Line::Claim { number, rung, owner }) if line.is_ended() => {
                    self.claims.insert((number, rung), owner);
                }
                Ok(Line::Finished(record)) if line.is_ended() => {
                    self.finished.entry(record.key()).or_insert(*record);
                }
                // A power failure may leave a last line that is ended but has no contents.
                Err(problem) if !lines.is_at_end()? || line.is_ended() && lines::is_json(line.contents()) => {
                    return Err(format_error(&self.path, self.read, problem));
                }
                Ok(_) | Err(_) => {
                    let size = line.bytes.len();
                    self.notes.push(format!("{}: dropped a torn last line of {size} bytes", self.path.display()));
                    return Ok(true);
                }
            }
            self.pass(&line.bytes);
        }
        Ok(false)
    }

    /// Appends a line. If `synced`, it is on the disk when this returns.
    fn append(&mut self, line: &str, synced: bool) -> Result<(), Error> {
        if line.len() as u64 > MAX_LINE {
            return Err(format_error(&self.path, self.read, too_long()));
        }
        let written = self.file.seek(SeekFrom::Start(self.read)).and_then(|_| self.file.write_all(line.as_bytes()));
        let written = if synced { written.and_then(|()| self.file.sync_data()) } else { written };
        written.map_err(Error::io("write to", &self.path))?;
        self.pass(line.as_bytes());
        Ok(())
    }

    fn write_unwritten(&mut self) -> Result<(), Error> {
        while let Some(record) = self.unwritten.first().cloned() {
            if !self.finished.contains_key(&record.key()) {
                self.append(&lines::line(&record), true)?;
                self.finished.insert(record.key(), record);
            }
            self.unwritten.remove(0);
        }
        Ok(())
    }

    /// Claims the first of these trials that is neither finished nor running in another process.
    pub(super) fn claim(&mut self, keys: &[Key]) -> Result<Claim, Error> {
        let owner = self.owner_name()?;
        self.locked(|log| {
            let mut claim = Claim::default();
            let mut running = HashMap::new();
            for &key in keys {
                if let Some(record) = log.finished.get(&key) {
                    claim.finished.push(record.clone());
                    continue;
                }
                // A claim of this process itself is one of an earlier run that ended in an error.
                if let Some(other) = log.claims.get(&key).filter(|other| **other != owner)
                    && *running.entry(other.clone()).or_insert_with(|| log.is_running(other))
                {
                    claim.others_running = true;
                    continue;
                }
                let line = Line::Claim { number: key.0, rung: key.1, owner: owner.clone() };
                log.append(&lines::line(&line), false)?;
                log.claims.insert(key, owner);
                claim.claimed = Some(key);
                break;
            }
            Ok(claim)
        })
    }

    /// Appends a finished trial, which is on the disk when this returns. If another process has already finished the
    /// trial (it found this one's lock free), that record is kept and returned. After an error the trial is among the
    /// [`unwritten`](Self::unwritten).
    pub(super) fn finish(&mut self, record: TrialRecord) -> Result<TrialRecord, Error> {
        let key = record.key();
        self.unwritten.push(record);
        self.locked(|log| Ok(log.finished[&key].clone()))
    }

    fn owner_path(&self, name: &str) -> PathBuf {
        let mut path = self.path.clone().into_os_string();
        path.push(format!(".{name}.lock"));
        path.into()
    }

    /// This process's name in claims. The first call creates and locks its file.
    fn owner_name(&mut self) -> Result<String, Error> {
        if let Some(owner) = &self.owner {
            return Ok(owner.name.clone());
        }
        self.remove_leftovers();
        for attempt in 0.. {
            let time = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
            let name = lines::owner(std::process::id(), time.as_nanos(), attempt);
            let path = self.owner_path(&name);
            match OpenOptions::new().write(true).create_new(true).open(&path) {
                Ok(file) => {
                    file.lock().map_err(Error::io("lock", &path))?;
                    // Before the lock, it may have been taken for one of a dead process.
                    if path.exists() {
                        self.owner = Some(Owner { name: name.clone(), path, _file: file });
                        return Ok(name);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(Error::io("create", &path)(error)),
            }
        }
        unreachable!("the attempts have no end")
    }

    /// Removes the lock files of dead processes. What cannot be removed stays.
    fn remove_leftovers(&self) {
        let (Some(directory), Some(own)) = (self.path.parent(), self.path.file_name()) else { return };
        for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let rest = name.as_encoded_bytes().strip_prefix(own.as_encoded_bytes());
            let owner = rest.and_then(|rest| rest.strip_prefix(b".")?.strip_suffix(b".lock"));
            if let Some(owner) = owner.and_then(|owner| std::str::from_utf8(owner).ok()).filter(|o| lines::is_owner(o))
            {
                self.is_running(owner);
            }
        }
    }

    /// Whether the process of this name still holds its lock. If not, its lock file is removed.
    fn is_running(&self, name: &str) -> bool {
        let path = self.owner_path(name);
        if !std::fs::symlink_metadata(&path).is_ok_and(|metadata| metadata.is_file()) {
            return false;
        }
        let Ok(file) = File::open(&path) else { return false };
        match file.try_lock() {
            Ok(()) => {
                let _ = std::fs::remove_file(&path);
                false
            }
            // Also where the lock cannot be tested: waiting is better than running a trial twice.
            Err(TryLockError::WouldBlock | TryLockError::Error(_)) => true,
        }
    }
}

/// Whether two files are one.
#[cfg(unix)]
fn is_same(a: &Metadata, b: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    (a.dev(), a.ino()) == (b.dev(), b.ino())
}

/// Files have no stable number there, and one that is open cannot be replaced.
#[cfg(not(unix))]
fn is_same(_a: &Metadata, b: &Metadata) -> bool {
    b.is_file()
}

/// The result of [`Log::claim`].
#[derive(Debug, Default)]
pub(super) struct Claim {
    /// Trials that are finished, among those before the claimed one.
    pub(super) finished: Vec<TrialRecord>,
    /// The trial to run, if one was free.
    pub(super) claimed: Option<Key>,
    /// Whether other processes run some of the trials.
    pub(super) others_running: bool,
}

/// The log does not belong to this study: they differ in `what`.
pub(super) fn other_study(path: &Path, what: &str, expected: &str, found: &str) -> Error {
    let problem = format!("this is the log of another study: expected {expected}, found {found}");
    Error::format(path.display().to_string(), what, problem)
}

/// The first difference between two studies: what differs, the value of `own`, the value of `other`.
fn difference(own: &Header, other: &Header) -> Option<(String, String, String)> {
    if own.direction != other.direction {
        return Some(("the direction".into(), own.direction.to_string(), other.direction.to_string()));
    }
    if own.seed != other.seed {
        return Some(("the seed".into(), own.seed.to_string(), other.seed.to_string()));
    }
    if own.about != other.about {
        return Some(("what they are about".into(), format!("{:?}", own.about), format!("{:?}", other.about)));
    }
    let text = |dimension: Option<&Dimension>| dimension.map_or("no such dimension".into(), ToString::to_string);
    let names = own.space.dimensions().chain(other.space.dimensions()).map(|(name, _)| name);
    let mut pairs = names.map(|name| (name, own.space.get(name), other.space.get(name)));
    let (name, own, other) = pairs.find(|(_, own, other)| own != other)?;
    Some((format!("the dimension {name}"), text(own), text(other)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::search::{Direction, Space};

    /// One process found the other's lock free.
    #[test]
    fn a_trial_that_two_finish_is_written_once() {
        let path = std::env::temp_dir().join(format!("gradus-log-{}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let space = Space::new().uniform("x", 0.0..1.0);
        let header = Header { direction: Direction::Maximize, seed: 1, about: String::new(), space: space.clone() };
        let mut logs = [(); 2].map(|()| Log::open(&path, header.clone()).unwrap());
        let record = |score| TrialRecord {
            number: 0,
            round: 1,
            rung: 0,
            budget: None,
            point: space.sample(1, 0),
            score: Ok(score),
            stopped: false,
            reports: Vec::new(),
            tracks: Default::default(),
            seconds: 0.0,
        };
        assert_eq!(logs[0].finish(record(0.25)).unwrap(), record(0.25));
        assert_eq!(logs[1].finish(record(0.75)).unwrap(), record(0.25));
        assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 2, "the header and one trial");
        std::fs::remove_file(&path).unwrap();
    }
}
