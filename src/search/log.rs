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
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::lines::{self, Header, Line};
use super::space::Dimension;
use super::trial::{Key, TrialRecord};
use crate::error::Error;

#[derive(Debug)]
pub(super) struct Log {
    path: PathBuf,
    file: File,
    header: Header,
    /// How many bytes of the file have been read or written.
    read: u64,
    finished: HashMap<Key, TrialRecord>,
    /// Owners by trial.
    claims: HashMap<Key, String>,
    owner: Option<Owner>,
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
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
        let mut log = Self::new(path, file.map_err(Error::io("open", path))?, header);
        log.locked(|_| Ok(()))?;
        Ok(log)
    }

    fn new(path: &Path, file: File, header: Header) -> Self {
        let (finished, claims, owner, notes) = Default::default();
        Self { path: path.into(), file, header, read: 0, finished, claims, owner, notes }
    }

    /// Reads the log of any study: its header, its finished trials and its notes. The file is not changed.
    pub(super) fn read(path: &Path) -> Result<(Header, Vec<TrialRecord>, Vec<String>), Error> {
        let mut file = File::open(path).map_err(Error::io("open", path))?;
        file.lock_shared().map_err(Error::io("lock", path))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(Error::io("read", path))?;
        let first = first_line(&bytes);
        let header = lines::parse_first(first).map_err(|problem| format_error(path, 0, problem))?;
        let mut log = Self::new(path, file, header);
        log.read = first.len() as u64 + 1;
        log.read_lines(bytes.get(first.len() + 1..).unwrap_or_default())?;
        Ok((log.header, log.finished.into_values().collect(), log.notes))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Repairs of the file that the user may want to know about.
    pub(super) fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Runs `work` while no other process uses the log, after reading what others have appended.
    fn locked<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T, Error>) -> Result<T, Error> {
        self.file.lock().map_err(Error::io("lock", &self.path))?;
        let result = self.read_appended().and_then(|()| work(self));
        let unlocked = self.file.unlock().map_err(Error::io("unlock", &self.path));
        result.and_then(|value| unlocked.map(|()| value))
    }

    fn read_appended(&mut self) -> Result<(), Error> {
        self.file.seek(SeekFrom::Start(self.read)).map_err(Error::io("read", &self.path))?;
        let mut bytes = Vec::new();
        self.file.read_to_end(&mut bytes).map_err(Error::io("read", &self.path))?;
        let header = if self.read == 0 { self.check_header(&bytes)? } else { 0 };
        let torn = self.read_lines(&bytes[header..])?;
        if torn > 0 {
            self.file.set_len(self.read).map_err(Error::io("cut the torn end off", &self.path))?;
        }
        Ok(())
    }

    /// Checks that the log belongs to this study, or writes the header of a new log. Returns how many of the bytes
    /// are the header.
    fn check_header(&mut self, bytes: &[u8]) -> Result<usize, Error> {
        let own = lines::first_line(&self.header);
        if own.as_bytes().starts_with(bytes) && bytes.len() < own.len() {
            // New, or the process that created it was killed in the first line.
            self.file.set_len(0).map_err(Error::io("begin", &self.path))?;
            self.append(&own, true)?;
            return Ok(bytes.len());
        }
        let first = first_line(bytes);
        let found = lines::parse_first(first).map_err(|problem| format_error(&self.path, 0, problem))?;
        if let Some((what, expected, found)) = difference(&self.header, &found) {
            return Err(other_study(&self.path, &what, &expected, &found));
        }
        let length = (first.len() + 1).min(bytes.len());
        self.read = length as u64;
        Ok(length)
    }

    /// Reads the lines that follow the part already read. Returns how many bytes at the end are a torn line.
    fn read_lines(&mut self, bytes: &[u8]) -> Result<usize, Error> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let line = first_line(rest);
            let ended = line.len() < rest.len();
            match lines::parse(line, &self.header.space).filter(|_| ended) {
                Some(Line::Claim { number, rung, owner }) => drop(self.claims.insert((number, rung), owner)),
                Some(Line::Finished(record)) => drop(self.finished.entry(record.key()).or_insert(*record)),
                // A power failure may leave a last line that is ended but has no contents.
                None if line.len() + 1 >= rest.len() => {
                    let note = format!("{}: dropped a torn last line of {} bytes", self.path.display(), rest.len());
                    self.notes.push(note);
                    return Ok(rest.len());
                }
                None => return Err(format_error(&self.path, self.read, "expected a claim or a trial".into())),
            }
            self.read += line.len() as u64 + 1;
            rest = &rest[line.len() + 1..];
        }
        Ok(0)
    }

    /// Appends a line. If `synced`, it is on the disk when this returns.
    fn append(&mut self, line: &str, synced: bool) -> Result<(), Error> {
        let written = self.file.seek(SeekFrom::Start(self.read)).and_then(|_| self.file.write_all(line.as_bytes()));
        let written = if synced { written.and_then(|()| self.file.sync_data()) } else { written };
        written.map_err(Error::io("write to", &self.path))?;
        self.read += line.len() as u64;
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
    /// trial (it found this one's lock free), that record is kept and returned.
    pub(super) fn finish(&mut self, record: TrialRecord) -> Result<TrialRecord, Error> {
        self.locked(|log| {
            if let Some(earlier) = log.finished.get(&record.key()) {
                return Ok(earlier.clone());
            }
            log.append(&lines::line(&record), true)?;
            log.finished.insert(record.key(), record.clone());
            Ok(record)
        })
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
        for attempt in 0.. {
            let time = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
            let name = format!("{}-{:x}-{attempt}", std::process::id(), time.as_nanos());
            let path = self.owner_path(&name);
            match OpenOptions::new().write(true).create_new(true).open(&path) {
                Ok(file) => {
                    file.lock().map_err(Error::io("lock", &path))?;
                    self.owner = Some(Owner { name: name.clone(), path, _file: file });
                    return Ok(name);
                }
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(Error::io("create", &path)(error)),
            }
        }
        unreachable!("the attempts have no end")
    }

    /// Whether the process of this name still holds its lock. If not, its lock file is removed.
    fn is_running(&self, name: &str) -> bool {
        let path = self.owner_path(name);
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

/// The bytes before the first end of line, or all if there is none.
fn first_line(bytes: &[u8]) -> &[u8] {
    bytes.split(|&byte| byte == b'\n').next().unwrap_or_default()
}

/// The log does not belong to this study: they differ in `what`.
pub(super) fn other_study(path: &Path, what: &str, expected: &str, found: &str) -> Error {
    let problem = format!("this is the log of another study: expected {expected}, found {found}");
    Error::format(path.display().to_string(), what, problem)
}

fn format_error(path: &Path, offset: u64, problem: String) -> Error {
    Error::format(path.display().to_string(), format!("byte {offset}"), problem)
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
