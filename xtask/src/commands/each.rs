//! Commands that look at services: those that are named, or all of the environment.

use futures::future::join_all;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::{
    config::{Environment, Unit},
    error::{Error, Result},
    ui::{self, Printer},
};

/// What came of looking at each service.
pub(super) type Looked<'a, T> = Vec<(Unit<'a>, Result<T>)>;

/// Looks at all of them side by side; one that cannot be looked at keeps nobody from the others.
pub(super) async fn look<'a, T>(units: &[Unit<'a>], work: impl AsyncFn(Unit<'a>) -> Result<T>) -> Looked<'a, T> {
    let look = units.iter().map(|unit| async {
        let one = work(*unit);
        let found = match units.len() {
            1 => one.await,
            _ => ui::of_service(&unit.service.name, one).await,
        };
        (*unit, found)
    });
    join_all(look).await
}

/// Writes one JSON document.
pub(super) fn documents<T: Serialize>(environment: &Environment, looked: &Looked<'_, T>, printer: &Printer) {
    match &looked[..] {
        [(_, Ok(found))] => printer.json(found),
        [_] => {}
        _ => printer.json(&document(environment, looked)),
    }
}

/// One JSON document. Of one service it is that of the service, of several it has `services`, where each has its own
/// under its name, or `error`.
pub(super) fn document<T: Serialize>(environment: &Environment, looked: &Looked<'_, T>) -> Value {
    match &looked[..] {
        [(_, Ok(found))] => json!(found),
        several => {
            let document = |(unit, found): &(Unit<'_>, Result<T>)| {
                let found =
                    found.as_ref().map_or_else(|error| json!({"error": super::describe(error)}), |one| json!(one));
                (unit.service.name.clone(), found)
            };
            let services: Map<_, _> = several.iter().map(document).collect();
            json!({"environment": environment.name, "services": services})
        }
    }
}

/// Writes lines for people; of several services each under its name.
pub(super) fn sections<T>(looked: &Looked<'_, T>, lines: impl Fn(&T) -> Vec<String>, printer: &Printer) {
    let found = looked.iter().filter_map(|(unit, found)| Some((unit, found.as_ref().ok()?)));
    for (index, (unit, found)) in found.enumerate() {
        if looked.len() > 1 {
            printer.line(format!("{}{}", if index == 0 { "" } else { "\n" }, unit.service.name));
        }
        lines(found).iter().for_each(|line| printer.line(line));
    }
}

/// What could be looked at, or one error for all that could not.
pub(super) fn all<T>(looked: Looked<'_, T>) -> Result<Vec<T>> {
    let count = looked.len();
    let (mut all, mut failed) = (Vec::new(), Vec::new());
    for (unit, found) in looked {
        match found {
            Ok(found) => all.push(found),
            Err(error) if count == 1 => return Err(error),
            Err(error) => failed.push(Error { message: format!("{}: {}", unit.service.name, error.message), ..error }),
        }
    }
    let headline = format!("{} of {count} services could not be looked at", failed.len());
    Error::gathered(headline, failed).map_or(Ok(all), Err)
}
