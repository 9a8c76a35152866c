//! Writes recordings to files, on a thread of its own, so that a slow disk delays nobody's audio.
//!
//! A file is a whole WAV at any moment up to the last half second: audio is appended first, then the header
//! says how much there is. About once a second both are forced to the disk. When the disk takes no more, what it took
//! of the last block is cut off again, so that the file is a whole WAV then, too.
//!
//! What waits for the disk is limited for each recording by its [`Backlog`], which whoever hands in audio asks first.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use plenary_codec::Rate;
use plenary_media::engine::RecordingOf;
use plenary_media::messages::{Event, Id, RecordingEnd};
use plenary_media::wav;

/// Audio of one recording that may wait for the disk: a disk that is slower for longer is broken.
const MAX_BACKLOG: Duration = Duration::from_secs(10);
/// How long audio may wait in memory before it is written together with its header.
const FLUSH: Duration = Duration::from_millis(300);
/// How often a file is forced to the disk.
const SYNC: Duration = Duration::from_secs(1);

/// Counts the samples of one recording that wait for the disk.
#[derive(Clone, Debug)]
pub struct Backlog {
    waiting: Arc<AtomicUsize>,
    max: usize,
}

impl Backlog {
    pub fn new(rate: Rate) -> Backlog {
        Backlog {
            waiting: Arc::default(),
            max: rate.hz() as usize * MAX_BACKLOG.as_secs() as usize,
        }
    }

    /// Takes room for some samples; `false` if too many wait already.
    pub fn enter(&self, samples: usize) -> bool {
        self.waiting.fetch_add(samples, Ordering::Relaxed) + samples <= self.max
    }

    fn exit(&self, samples: usize) {
        self.waiting.fetch_sub(samples, Ordering::Relaxed);
    }
}

/// For the thread that writes.
#[derive(Debug)]
pub enum Task {
    Open {
        recording: Id,
        of: RecordingOf,
        path: String,
        rate: Rate,
        backlog: Backlog,
    },
    Write {
        recording: Id,
        pcm: Vec<i16>,
    },
    /// `detail` says why, where the reason needs it.
    End {
        recording: Id,
        reason: RecordingEnd,
        detail: String,
    },
    /// Ends all recordings, and then the thread.
    Quit,
}

#[derive(Debug)]
struct Recording {
    of: RecordingOf,
    file: File,
    rate: Rate,
    backlog: Backlog,
    /// Bytes of audio in the file.
    written: u64,
    waiting: Vec<u8>,
    flushed: Instant,
    synced: Instant,
    unsynced: bool,
    failure: Option<io::Error>,
}

impl Recording {
    fn open(path: &str, of: RecordingOf, rate: Rate, backlog: Backlog) -> io::Result<Recording> {
        // A recording never overwrites what is there, nor follows a link to somewhere else.
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o640)
            .custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC)
            .open(path)?;
        let now = Instant::now();
        let recording = Recording {
            of,
            file,
            rate,
            backlog,
            written: 0,
            waiting: Vec::new(),
            flushed: now,
            synced: now,
            unsynced: true,
            failure: None,
        };
        recording.write_header(0).inspect_err(|_| {
            // Without its header it is nothing.
            drop(std::fs::remove_file(path));
        })?;
        Ok(recording)
    }

    fn write_header(&self, audio: u64) -> io::Result<()> {
        self.file
            .write_all_at(&wav::header(audio as u32, self.rate), 0)
    }

    /// Gives up, after an error: leaves what the header tells of.
    fn abandon(&self) {
        // If not even this can be done, readers see too much of a block that is whole in itself.
        drop(self.file.set_len(wav::HEADER_LEN as u64 + self.written));
    }

    fn write(&mut self, pcm: &[i16]) -> io::Result<()> {
        self.backlog.exit(pcm.len());
        self.waiting
            .extend(pcm.iter().flat_map(|sample| sample.to_le_bytes()));
        if self.flushed.elapsed() >= FLUSH {
            self.flush()
        } else {
            Ok(())
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.flushed = Instant::now();
        if self.waiting.is_empty() {
            return Ok(());
        }
        let size = self.written + self.waiting.len() as u64;
        if size > u64::from(wav::DATA_MAX) {
            return Err(io::Error::other("a WAV file can't be longer than 4 GiB"));
        }
        self.file
            .write_all_at(&self.waiting, wav::HEADER_LEN as u64 + self.written)?;
        self.unsynced = true;
        self.write_header(size)?;
        self.waiting.clear();
        self.written = size;
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.synced = Instant::now();
        if std::mem::take(&mut self.unsynced) {
            self.file.sync_data()
        } else {
            Ok(())
        }
    }

    /// What is due by now.
    fn tend(&mut self) -> io::Result<()> {
        if self.flushed.elapsed() >= FLUSH {
            self.flush()?;
        }
        if self.synced.elapsed() >= SYNC {
            self.sync()
        } else {
            Ok(())
        }
    }

    fn close(&mut self) -> io::Result<()> {
        self.flush()?;
        self.file.sync_all()
    }
}

/// What the thread that writes tells.
#[derive(Debug)]
pub enum Report {
    /// A [`Event::RecordingEnded`].
    Ended(Event),
    /// The same after an error: no more audio is wanted.
    Failed(Event, Id, RecordingOf),
}

/// Writes what `tasks` bring until [`Task::Quit`], or until nobody can bring any.
pub fn write_recordings(tasks: &Receiver<Task>, report: impl Fn(Report)) {
    let mut recordings: HashMap<Id, Recording> = HashMap::new();
    let fail = |recording: Id, of: RecordingOf, written: u64, rate: Rate, error: &io::Error| {
        let event = ended(
            recording.clone(),
            RecordingEnd::DiskError,
            written,
            rate,
            error.to_string(),
        );
        report(Report::Failed(event, recording, of));
    };
    let mut tended = Instant::now();
    loop {
        match tasks.recv_timeout(FLUSH) {
            Ok(Task::Open {
                recording,
                of,
                path,
                rate,
                backlog,
            }) => match Recording::open(&path, of.clone(), rate, backlog) {
                Ok(open) => drop(recordings.insert(recording, open)),
                Err(error) => fail(recording, of, 0, rate, &error),
            },
            Ok(Task::Write { recording, pcm }) => {
                let written = recordings
                    .get_mut(&recording)
                    .map_or(Ok(()), |open| open.write(&pcm));
                if let Err(error) = written
                    && let Some(open) = recordings.remove(&recording)
                {
                    open.abandon();
                    fail(recording, open.of, open.written, open.rate, &error);
                }
            }
            Ok(Task::End {
                recording,
                reason,
                detail,
            }) => {
                // One that failed has ended already.
                if let Some(open) = recordings.remove(&recording) {
                    report(Report::Ended(end(recording, open, reason, detail)));
                }
            }
            Ok(Task::Quit) | Err(RecvTimeoutError::Disconnected) => {
                for (recording, open) in recordings {
                    report(Report::Ended(end(
                        recording,
                        open,
                        RecordingEnd::Shutdown,
                        String::new(),
                    )));
                }
                return;
            }
            Err(RecvTimeoutError::Timeout) => {}
        }
        if tended.elapsed() >= FLUSH {
            tended = Instant::now();
            let broken = recordings.extract_if(|_, open| {
                open.failure = open.tend().err();
                open.failure.is_some()
            });
            for (recording, open) in broken {
                if let Some(error) = &open.failure {
                    open.abandon();
                    fail(recording, open.of, open.written, open.rate, error);
                }
            }
        }
    }
}

fn end(recording: Id, mut open: Recording, reason: RecordingEnd, detail: String) -> Event {
    match open.close() {
        Ok(()) => ended(recording, reason, open.written, open.rate, detail),
        Err(error) => {
            open.abandon();
            let reason = RecordingEnd::DiskError;
            ended(
                recording,
                reason,
                open.written,
                open.rate,
                error.to_string(),
            )
        }
    }
}

fn ended(recording: Id, reason: RecordingEnd, audio: u64, rate: Rate, detail: String) -> Event {
    let bytes = audio + wav::HEADER_LEN as u64;
    Event::RecordingEnded {
        recording,
        reason,
        duration_ms: audio / 2 / rate.per_ms() as u64,
        bytes,
        detail,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;
    use std::sync::mpsc::{Sender, channel};

    /// A folder of one test's own, and the thread that writes into it.
    struct Desk {
        folder: PathBuf,
        tasks: Sender<Task>,
        reports: Receiver<Report>,
    }

    impl Desk {
        fn new(name: &str) -> Desk {
            let folder =
                std::env::temp_dir().join(format!("plenary-{name}-{}", std::process::id()));
            std::fs::create_dir_all(&folder).expect("a folder");
            let ((tasks, queue), (told, reports)) = (channel(), channel());
            std::thread::spawn(move || write_recordings(&queue, |report| drop(told.send(report))));
            Desk {
                folder,
                tasks,
                reports,
            }
        }

        fn path(&self, name: &str) -> PathBuf {
            self.folder.join(name)
        }

        fn record(&self, file: &str, blocks: usize) -> (RecordingEnd, u64, u64) {
            let recording = Id::new("rec").expect("an id");
            let path = self.path(file).to_string_lossy().into_owned();
            let (of, backlog) = (
                RecordingOf::Room(recording.clone()),
                Backlog::new(Rate::Narrow),
            );
            let open = Task::Open {
                recording: recording.clone(),
                of,
                path,
                rate: Rate::Narrow,
                backlog,
            };
            self.tasks.send(open).expect("it lives");
            for _ in 0..blocks {
                let block = Task::Write {
                    recording: recording.clone(),
                    pcm: vec![77; 800],
                };
                self.tasks.send(block).expect("it lives");
            }
            let reason = RecordingEnd::Stopped;
            self.tasks
                .send(Task::End {
                    recording,
                    reason,
                    detail: String::new(),
                })
                .expect("it lives");
            match self.reports.recv().expect("a report") {
                Report::Ended(Event::RecordingEnded {
                    reason,
                    duration_ms,
                    bytes,
                    ..
                })
                | Report::Failed(
                    Event::RecordingEnded {
                        reason,
                        duration_ms,
                        bytes,
                        ..
                    },
                    ..,
                ) => (reason, duration_ms, bytes),
                other => panic!("{other:?}"),
            }
        }
    }

    impl Drop for Desk {
        fn drop(&mut self) {
            drop(std::fs::remove_dir_all(&self.folder));
        }
    }

    #[test]
    fn a_file_is_a_wav_of_what_was_recorded() {
        let desk = Desk::new("whole");
        assert_eq!(desk.record("a.wav", 3), (RecordingEnd::Stopped, 300, 4_844));
        let bytes = std::fs::read(desk.path("a.wav")).expect("the file");
        assert_eq!(bytes.len(), 4_844);
        assert_eq!(bytes[..wav::HEADER_LEN], wav::header(4_800, Rate::Narrow));
    }

    #[test]
    fn what_is_there_is_neither_overwritten_nor_followed() {
        let desk = Desk::new("refuse");
        std::fs::write(desk.path("taken.wav"), b"precious").expect("a disk");
        std::os::unix::fs::symlink(desk.path("elsewhere"), desk.path("link.wav")).expect("a disk");
        for file in ["taken.wav", "link.wav", "no/such"] {
            assert_eq!(desk.record(file, 1).0, RecordingEnd::DiskError, "{file}");
        }
        assert_eq!(
            std::fs::read(desk.path("taken.wav")).expect("the file"),
            b"precious"
        );
        assert!(!desk.path("elsewhere").exists());
    }
}
