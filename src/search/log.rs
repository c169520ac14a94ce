//! A study's log: JSON lines that survive a kill and may be shared by several processes.
//!
//! The first line says whose log it is. Then a `claim` line says that somebody has begun a trial, and a line with a
//! `score` or an `error` that it is finished. Whoever reads or writes holds the file's lock and first reads what others
//! have added, so no line is ever half written while the lock is held: a line without its end was left by a process
//! that was killed, and is cut off.
//!
//! A claim holds as long as its owner lives. Every process that claims holds a lock of its own on a small file beside
//! the log until it ends; the operating system lets go of that lock whatever the end is. Who finds a claim whose
//! owner's lock is free (or whose file is gone) may take the trial. So no clock and no lease are needed, and a trial
//! that takes a day is not taken for dead.

use std::collections::HashMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::json::{self, Header, Line};
use super::trial::{Key, TrialRecord};
use crate::error::Error;

#[derive(Debug)]
pub(super) struct Log {
    path: PathBuf,
    file: File,
    header: Header,
    /// How much of the file is in the fields below.
    read: u64,
    finished: HashMap<Key, TrialRecord>,
    claims: HashMap<Key, String>,
    owner: Option<Owner>,
    notes: Vec<String>,
}

/// This process's own lock, by which others see that it lives.
#[derive(Debug)]
struct Owner {
    name: String,
    path: PathBuf,
    /// Locked as long as it is open.
    _file: File,
}

impl Drop for Owner {
    fn drop(&mut self) {
        // Whoever finds the claim treats a missing file and a free lock alike; if this fails, nothing is lost.
        let _ = std::fs::remove_file(&self.path);
    }
}

impl Log {
    /// Opens the log of this study, or begins it.
    pub(super) fn open(path: &Path, header: Header) -> Result<Self, Error> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
        let file = file.map_err(Error::io("open", path))?;
        let mut log = Self {
            path: path.into(),
            file,
            header,
            read: 0,
            finished: HashMap::new(),
            claims: HashMap::new(),
            owner: None,
            notes: Vec::new(),
        };
        log.locked(|_| Ok(()))?;
        Ok(log)
    }

    /// What a log holds, and whose it is, without touching it.
    pub(super) fn read(path: &Path) -> Result<(Header, Vec<TrialRecord>, Vec<String>), Error> {
        let file = File::open(path).map_err(Error::io("open", path))?;
        file.lock_shared().map_err(Error::io("lock", path))?;
        let mut bytes = Vec::new();
        (&file).read_to_end(&mut bytes).map_err(Error::io("read", path))?;
        let first = first_line(&bytes);
        let header = json::parse_header(first).map_err(|problem| format_error(path, 0, problem))?;
        let (finished, claims, notes) = Default::default();
        let mut log = Self { path: path.into(), file, header, read: 0, finished, claims, owner: None, notes };
        log.read = first.len() as u64 + 1;
        log.take_in(bytes.get(first.len() + 1..).unwrap_or_default())?;
        let finished = std::mem::take(&mut log.finished).into_values().collect();
        Ok((log.header.clone(), finished, std::mem::take(&mut log.notes)))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// What happened to the log that its user may want to know.
    pub(super) fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Does something while no other process does, with everything taken in that others have written.
    fn locked<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T, Error>) -> Result<T, Error> {
        self.file.lock().map_err(Error::io("lock", &self.path))?;
        let result = self.catch_up().and_then(|()| work(self));
        let unlocked = self.file.unlock().map_err(Error::io("unlock", &self.path));
        result.and_then(|value| unlocked.map(|()| value))
    }

    fn catch_up(&mut self) -> Result<(), Error> {
        self.file.seek(SeekFrom::Start(self.read)).map_err(Error::io("read", &self.path))?;
        let mut bytes = Vec::new();
        self.file.read_to_end(&mut bytes).map_err(Error::io("read", &self.path))?;
        if self.read == 0 {
            let first = self.check_header(&bytes)?;
            bytes.drain(..first);
        }
        let torn = self.take_in(&bytes)?;
        if torn > 0 {
            self.file.set_len(self.read).map_err(Error::io("cut the torn end off", &self.path))?;
        }
        Ok(())
    }

    /// Makes sure that the log is this study's, writes the header of a new one, and gives the header's length.
    fn check_header(&mut self, bytes: &[u8]) -> Result<usize, Error> {
        let own = json::header(&self.header);
        if own.as_bytes().starts_with(bytes) && bytes.len() < own.len() {
            // New, or its writer was killed in the first line.
            self.file.set_len(0).map_err(Error::io("begin", &self.path))?;
            self.append(&own, true)?;
            return Ok(bytes.len());
        }
        let first = first_line(bytes);
        let found = json::parse_header(first).map_err(|problem| format_error(&self.path, 0, problem))?;
        if let Some((what, expected, found)) = difference(&self.header, &found) {
            return Err(Error::Study { path: self.path.clone(), what, expected, found });
        }
        self.read = (first.len() + 1).min(bytes.len()) as u64;
        Ok(self.read as usize)
    }

    /// Takes in lines that were read from where the log was last left; gives how many bytes at the end are torn.
    fn take_in(&mut self, bytes: &[u8]) -> Result<usize, Error> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let line = first_line(rest);
            let ended = line.len() < rest.len();
            let parsed = if ended { json::parse(line, &self.header.space) } else { None };
            match parsed {
                Some(Line::Claim(key, owner)) => drop(self.claims.insert(key, owner)),
                Some(Line::Finished(record)) => drop(self.finished.entry(record.key()).or_insert(*record)),
                // A power failure may leave an end of line after rubbish.
                None if !ended || line.len() + 1 == rest.len() => {
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

    /// Appends a line; with `synced`, it is on the disk when this returns.
    fn append(&mut self, line: &str, synced: bool) -> Result<(), Error> {
        let written = self.file.seek(SeekFrom::Start(self.read)).and_then(|_| self.file.write_all(line.as_bytes()));
        let written = if synced { written.and_then(|()| self.file.sync_data()) } else { written };
        written.map_err(Error::io("write to", &self.path))?;
        self.read += line.len() as u64;
        Ok(())
    }

    /// Claims one of these trials for this process.
    pub(super) fn claim(&mut self, keys: &[Key]) -> Result<Claim, Error> {
        let owner = self.own_name()?;
        self.locked(|log| {
            let mut claimed_by_others = false;
            let mut alive = HashMap::new();
            let mut finished = Vec::new();
            for &key in keys {
                if let Some(record) = log.finished.get(&key) {
                    finished.push(record.clone());
                    continue;
                }
                // What this process had claimed and yet asks for again, it has given up.
                if let Some(other) = log.claims.get(&key).filter(|other| **other != owner)
                    && *alive.entry(other.clone()).or_insert_with(|| log.is_alive(other))
                {
                    claimed_by_others = true;
                    continue;
                }
                log.append(&json::claim(key, &owner), false)?;
                log.claims.insert(key, owner);
                return Ok(Claim { finished, key: Some(key), wait: false });
            }
            Ok(Claim { finished, key: None, wait: claimed_by_others })
        })
    }

    /// Writes a finished trial down, on the disk when this returns. If another process has finished it already (it
    /// took this one for dead), its record stands and is given back.
    pub(super) fn finish(&mut self, record: TrialRecord) -> Result<TrialRecord, Error> {
        self.locked(|log| {
            if let Some(earlier) = log.finished.get(&record.key()) {
                return Ok(earlier.clone());
            }
            log.append(&json::record(&record), true)?;
            log.finished.insert(record.key(), record.clone());
            Ok(record)
        })
    }

    fn owner_path(&self, name: &str) -> PathBuf {
        let mut path = self.path.clone().into_os_string();
        path.push(format!(".{name}.lock"));
        path.into()
    }

    /// This process's name in claims, which others see alive from now on.
    fn own_name(&mut self) -> Result<String, Error> {
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
        unreachable!("no end of attempts")
    }

    /// Whether the process of this name still holds its lock. If not, its lock file is cleared away.
    fn is_alive(&self, name: &str) -> bool {
        let path = self.owner_path(name);
        let Ok(file) = File::open(&path) else { return false };
        match file.try_lock() {
            Ok(()) => {
                let _ = std::fs::remove_file(&path);
                false
            }
            // Also where locks cannot be asked for: rather wait than run a trial twice.
            Err(TryLockError::WouldBlock | TryLockError::Error(_)) => true,
        }
    }
}

/// What came of asking for a trial.
#[derive(Debug)]
pub(super) struct Claim {
    /// Those of the trials that are finished, as far as they were looked at.
    pub(super) finished: Vec<TrialRecord>,
    /// The trial to run, if one was free.
    pub(super) key: Option<Key>,
    /// Whether others are running what is left.
    pub(super) wait: bool,
}

/// Up to the end of the line, or all there is.
fn first_line(bytes: &[u8]) -> &[u8] {
    bytes.split(|&byte| byte == b'\n').next().unwrap_or_default()
}

fn format_error(path: &Path, offset: u64, problem: String) -> Error {
    Error::Format { source: path.display().to_string(), offset, problem }
}

/// Where two studies part: what, this one's, the other's.
fn difference(own: &Header, other: &Header) -> Option<(String, String, String)> {
    if own.direction != other.direction {
        return Some(("the direction".into(), own.direction.name().into(), other.direction.name().into()));
    }
    if own.seed != other.seed {
        return Some(("the seed".into(), own.seed.to_string(), other.seed.to_string()));
    }
    if own.about != other.about {
        return Some(("what they are about".into(), format!("{:?}", own.about), format!("{:?}", other.about)));
    }
    let none = || "no such dimension".to_string();
    for (name, dimension) in own.space.dimensions() {
        let found = other.space.dimensions().find(|(other, _)| *other == name).map(|(_, dimension)| dimension);
        if found != Some(dimension) {
            let found = found.map_or_else(none, ToString::to_string);
            return Some((format!("the dimension {name}"), dimension.to_string(), found));
        }
    }
    let extra = other.space.dimensions().find(|(name, _)| own.space.dimensions().all(|(own, _)| own != *name));
    extra.map(|(name, dimension)| (format!("the dimension {name}"), none(), dimension.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::search::{Direction, Space};

    /// One of them took the other for dead.
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
