//! The whole output of a build in a file; its end in the error when the build fails.

use std::{
    collections::VecDeque,
    fs,
    io::{self, LineWriter, Write as _},
    path::{Path, PathBuf},
};

use jiff::Timestamp;

use crate::error::{Error, Result};

/// Lines of a failed build that its error shows.
const TAIL: usize = 40;
/// Logs that are kept.
const KEEP: usize = 20;

/// The log of one build.
#[derive(Debug)]
pub(super) struct Log {
    path: PathBuf,
    /// By lines, for who follows it. None once writing has failed: a full disk is no reason to stop a build that works.
    file: Option<LineWriter<fs::File>>,
    tail: VecDeque<String>,
}

impl Log {
    /// Opens `.slipway/logs/build-TIME.log` and removes the oldest ones.
    pub(super) fn open(root: &Path) -> Result<Self> {
        let folder = root.join(".slipway/logs");
        let name = format!("build-{}.log", Timestamp::now().strftime("%Y%m%dT%H%M%S%3fZ"));
        let path = folder.join(name);
        let open = || {
            fs::create_dir_all(&folder)?;
            remove_oldest(&folder)?;
            fs::File::create(&path)
        };
        let failed = |error: io::Error| Error::failed(format!("write {}", path.display())).source(&error);
        let file = open().map_err(failed)?;
        Ok(Self { path, file: Some(LineWriter::new(file)), tail: VecDeque::new() })
    }

    pub(super) fn line(&mut self, line: &str) {
        if let Some(file) = &mut self.file
            && writeln!(file, "{line}").is_err()
        {
            self.file = None;
        }
        if self.tail.len() == TAIL {
            self.tail.pop_front();
        }
        self.tail.push_back(line.to_owned());
    }

    /// The error of a failed build: what failed, the end of its output, and where all of it is.
    pub(super) fn failure(mut self, message: impl Into<String>) -> Error {
        if let Some(mut file) = self.file.take() {
            let _ = file.flush();
        }
        let tail = Vec::from(self.tail).join("\n");
        let error = Error::failed(message);
        let error = if tail.trim().is_empty() { error } else { error.cause(tail.trim_end()) };
        error.hint(format!("the whole output is in {}", self.path.display()))
    }
}

fn remove_oldest(folder: &Path) -> io::Result<()> {
    let names = fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    let is_build = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("build-"));
    let mut logs: Vec<PathBuf> = names.into_iter().filter(is_build).collect();
    // The names sort by time.
    logs.sort();
    for old in logs.iter().take(logs.len().saturating_sub(KEEP - 1)) {
        fs::remove_file(old)?;
    }
    Ok(())
}
