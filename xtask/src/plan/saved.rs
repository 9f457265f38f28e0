//! A plan in a file: applied later exactly as it was shown, or not at all.
//!
//! It holds no secret: of what is rendered and of what is there it has fingerprints, salted anew for each plan.

use std::{fs, io::Write as _, os::unix::fs::OpenOptionsExt as _, path::Path};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Action, Change, ObjectRef, Options, Plan, Unprotected, mask};
use crate::{
    config::Unit,
    error::{Error, Result},
    manifests::Object,
};

/// What a reader has to understand.
const FORMAT: &str = "slipway.dev/plan.v1";

/// What a file holds.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Saved {
    format: String,
    /// When it was made.
    pub made: Timestamp,
    /// The environment that it is for.
    pub environment: String,
    /// The service that it is for.
    pub service: String,
    /// The image by digest.
    pub image: String,
    take_ownership: bool,
    allow_replace: bool,
    unprotected: Unprotected,
    salt: String,
    objects: Vec<Part>,
    /// What people read of it.
    summary: String,
    changes: Vec<String>,
}

/// What was planned for one object, and from what.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Part {
    object: ObjectRef,
    action: Value,
    /// A fingerprint of what is sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    input: Option<String>,
    #[serde(flatten)]
    live: Option<Live>,
}

/// The object that was there, and its state.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Live {
    uid: String,
    resource_version: String,
    state: Option<String>,
}

impl Saved {
    /// What is to be written of a plan that was made with [`options`](Self::options) of this salt.
    pub fn new(unit: Unit<'_>, image: &str, plan: &Plan, options: &Options, salt: &str) -> Self {
        Self {
            format: FORMAT.to_owned(),
            made: Timestamp::now(),
            environment: unit.environment.name.clone(),
            service: unit.service.name.clone(),
            image: image.to_owned(),
            take_ownership: options.take_ownership,
            allow_replace: options.allow_replace,
            unprotected: options.unprotected.clone(),
            salt: salt.to_owned(),
            objects: plan.changes.iter().map(|change| Part::of(change, salt)).collect(),
            summary: plan.summary().to_string(),
            changes: plan.lines(),
        }
    }

    /// What a plan must be made with to be compared with this one.
    pub fn options(&self) -> Options {
        Options {
            take_ownership: self.take_ownership,
            allow_replace: self.allow_replace,
            unprotected: self.unprotected.clone(),
            thorough: true,
            salt: Some(self.salt.clone()),
            ..Options::default()
        }
    }

    /// Writes it so that only its owner can read it.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        let failed = |error: &dyn std::error::Error| Error::failed(format!("write {}", path.display())).source(error);
        let text = serde_json::to_string_pretty(self).map_err(|error| failed(&error))?;
        // A new file beside it takes its place, so that the mode holds and nobody reads half a plan.
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}", std::process::id()));
        let beside = path.with_file_name(name);
        let written = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside);
        let written = written.and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()));
        written.and_then(|()| fs::rename(&beside, path)).map_err(|error| failed(&error))
    }

    /// Reads a file.
    ///
    /// # Errors
    /// It is not there, is no plan, or is one of another version.
    pub fn read(path: &Path) -> Result<Self> {
        let shown = path.display();
        let text = fs::read_to_string(path).map_err(|error| Error::usage(format!("read {shown}")).source(&error))?;
        let hint = "make one: cargo xtask plan --out plan.json";
        let value: Value = serde_json::from_str(&text)
            .map_err(|error| Error::usage(format!("{shown} is no saved plan")).source(&error).hint(hint))?;
        if value["format"] != FORMAT {
            let found = value["format"].as_str().map_or("none".to_owned(), |format| format!("`{format}`"));
            return Err(Error::usage(format!("{shown} is no saved plan of format `{FORMAT}`, its format is {found}"))
                .hint(hint));
        }
        serde_json::from_value(value)
            .map_err(|error| Error::usage(format!("{shown} is no saved plan")).source(&error).hint(hint))
    }

    /// Compares a plan of now with this one.
    ///
    /// # Errors
    /// The manifests or the cluster moved; each object that did, and who moved it.
    pub fn check(&self, plan: &Plan) -> Result<()> {
        let mut moved = Vec::new();
        for part in &self.objects {
            match plan.changes.iter().find(|change| change.object == part.object) {
                Some(change) => moved.extend(part.moved(change, &self.salt)),
                None if part.input.is_some() => moved.push(format!("{} is not rendered any more", part.object)),
                None => moved.push(format!("{} is not to be deleted any more", part.object)),
            }
        }
        let is_known = |change: &&Change| self.objects.iter().any(|part| part.object == change.object);
        for change in plan.changes.iter().filter(|change| !is_known(change)) {
            moved.push(match change.action {
                Action::Delete => format!("{} is there now, and would be deleted", change.object),
                _ => format!("{} is rendered now and was not planned", change.object),
            });
        }
        if moved.is_empty() {
            return Ok(());
        }
        let count = moved.len();
        let error = Error::failed(format!("the plan of {} does not hold any more: {count} objects moved", self.made));
        let hint = format!("plan again: cargo xtask plan --env {} --out FILE", self.environment);
        Err(moved.into_iter().fold(error, Error::cause).hint(hint))
    }
}

impl Part {
    fn of(change: &Change, salt: &str) -> Self {
        let live = change.live.as_ref().map(|live| Live {
            uid: live.uid.clone(),
            resource_version: live.resource_version.clone(),
            state: change.state.clone(),
        });
        let action = serde_json::to_value(&change.action).unwrap_or_default();
        Self { object: change.object.clone(), action: action["action"].clone(), input: input(change, salt), live }
    }

    /// What is not as it was, in words.
    fn moved(&self, change: &Change, salt: &str) -> Option<String> {
        let object = &self.object;
        let by = change.last.as_ref().map(|writer| format!(", last by {writer}")).unwrap_or_default();
        if self.input != input(change, salt) {
            return Some(format!("{object} is rendered otherwise now"));
        }
        match (&self.live, &change.live) {
            (None, None) => None,
            (None, Some(_)) => Some(format!("{object} was not there, and is{by}")),
            (Some(_), None) => Some(format!("{object} was there, and is gone")),
            (Some(then), Some(now)) if then.uid != now.uid => {
                Some(format!("{object} was deleted and created anew{by}"))
            }
            // A status that moves is no reason; what somebody wrote is.
            (Some(then), Some(now)) if then.resource_version != now.resource_version && then.state != change.state => {
                Some(format!("{object} was changed{by}"))
            }
            _ if Self::of(change, salt).action != self.action => Some(format!("{object} would meet another fate now")),
            _ => None,
        }
    }
}

/// A fingerprint of what is sent; nothing for what is deleted.
fn input(change: &Change, salt: &str) -> Option<String> {
    let written: Option<&Object> = change.written.as_ref();
    written.map(|written| {
        let mut value = written.value().clone();
        mask::seal(&mut value, salt);
        mask::fingerprint(&value.to_string(), salt)
    })
}
