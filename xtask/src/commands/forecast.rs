//! What a deploy would do to one service, as far as can be told without making anything: the image, the release, the
//! objects.

use kube::Client;
use serde::Serialize;
use serde_json::json;

use super::{each::Looked, infrastructure::Infrastructure, pipeline, workload};
use crate::{
    cli::PlanOutput,
    config::{Builder, Environment, Unit},
    error::Result,
    hooks::Description,
    image::{self, reference::Reference, source::Source},
    plan::{MARKDOWN_LIMIT, Plan},
    registry,
    release::{Entry, Outcome as Fate},
    ui::Printer,
};

/// The answer of `plan` for one service.
#[derive(Debug, Serialize)]
pub(super) struct Forecast {
    pub(super) image: Images,
    /// None where the records cannot be read.
    pub(super) release: Option<Release>,
    pub(super) hooks: Vec<Description>,
    #[serde(flatten)]
    pub(super) plan: Plan,
}

/// The image that runs, and the one that would.
#[derive(Debug, Serialize)]
pub(super) struct Images {
    #[serde(serialize_with = "as_text")]
    live: Option<Reference>,
    /// None as long as nobody can know.
    #[serde(serialize_with = "as_text")]
    pub(super) new: Option<Reference>,
    state: State,
    /// The version of the source, where git tells.
    source: Option<String>,
    /// Why the registry did not say whether it has the image.
    #[serde(skip_serializing_if = "Option::is_none")]
    unknown: Option<String>,
}

/// Where the new image is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    /// The command line named it.
    Given,
    /// Where pods find it: a deploy builds and pushes nothing.
    Pushed,
    /// What runs was released from this commit, and the same commit makes the same image.
    Released,
    /// On this machine; its digest is known once it is pushed.
    Built,
    /// A deploy builds it.
    Unbuilt,
}

/// The numbers of releases.
#[derive(Debug, Serialize)]
pub(super) struct Release {
    /// That of the release which a deploy would record; none if it would leave everything as it is.
    number: Option<u64>,
    /// That of the last one that succeeded.
    live: Option<u64>,
}

impl Images {
    /// Looks for the image that a deploy would run; what runs is asked for where there is a cluster.
    pub(super) async fn find(
        client: Option<&Client>,
        unit: Unit<'_>,
        source: Option<&Source>,
        past: &[Entry],
        wanted: Option<&Reference>,
    ) -> Result<Self> {
        let live = match client {
            Some(client) => workload::image(client, unit).await?,
            None => None,
        };
        let version = source.map(|source| source.tag().to_string());
        let found = |state, new| Self { live: live.clone(), new, state, source: version.clone(), unknown: None };
        if let Some(wanted) = wanted {
            return Ok(found(State::Given, Some(wanted.clone())));
        }
        let Some(source) = source else { return Ok(found(State::Unbuilt, None)) };
        let Some(built) = image::unchanged(unit, source).await else {
            let last = past.iter().rfind(|entry| entry.outcome == Fate::Succeeded).map(|entry| &entry.header);
            let same = last.filter(|last| {
                source.is_clean()
                    && !last.dirty
                    && last.commit == source.commit
                    && unit.service.image.builder == Builder::Host
                    && last.image == live.as_ref().map(ToString::to_string)
            });
            return Ok(match same.and(live.clone()) {
                Some(live) => found(State::Released, Some(live)),
                None => found(State::Unbuilt, None),
            });
        };
        Ok(match registry::find(unit.environment, &built).await {
            Ok(Some(image)) => found(State::Pushed, Some(image)),
            Ok(None) => found(State::Built, None),
            Err(error) => Self { unknown: Some(error.to_string()), ..found(State::Built, None) },
        })
    }

    /// What the manifests are compared with the cluster by.
    pub(super) fn rendered(&self) -> Option<&Reference> {
        self.new.as_ref().or(self.live.as_ref())
    }

    fn stays(&self) -> bool {
        self.new.is_some() && self.new == self.live
    }

    fn describe(&self) -> String {
        let version = self.source.as_deref().unwrap_or("a source that git does not know");
        let name = |image: &Reference| match image {
            Reference::Pinned(pinned) => format!("{}@{}", pinned.repository, pinned.digest.short()),
            Reference::Unpushed(unpushed) => format!("{} {}", unpushed.repository, image.short()),
        };
        let live = self.live.as_ref().map(name);
        let new = match (&self.new, self.state) {
            (Some(_), State::Released) => return format!("{}, of the same commit", live.unwrap_or_default()),
            (Some(_), _) if self.stays() => return format!("{}, as it is", live.unwrap_or_default()),
            (Some(new), _) => name(new),
            (None, State::Built) => match &self.unknown {
                Some(why) => format!("built for {version}; whether it is pushed is not known: {why}"),
                None => format!("built for {version}, not pushed yet"),
            },
            (None, _) => format!("not built yet for {version}"),
        };
        live.map_or_else(|| new.clone(), |live| format!("{live} -> {new}"))
    }
}

impl Release {
    /// The numbers as they would be after a deploy of this.
    pub(super) fn next(past: &[Entry], plan: &Plan, images: &Images) -> Self {
        let stands = images.new.as_ref().is_some_and(|image| pipeline::standing(past, plan, image).is_some());
        let next = past.last().map_or(1, |last| last.header.number + 1);
        let live = past.iter().rfind(|entry| entry.outcome == Fate::Succeeded).map(|entry| entry.header.number);
        Self { number: (!stands).then_some(next), live }
    }

    fn describe(&self, is_sure: bool) -> String {
        let unless = if is_sure { "" } else { ", unless the image turns out to be the same" };
        match (self.number, self.live) {
            (Some(number), Some(live)) => format!("{number} replaces {live}{unless}"),
            (Some(number), None) => format!("{number}; none before it succeeded"),
            (None, live) => format!("{} stays", live.unwrap_or_default()),
        }
    }
}

impl Forecast {
    /// Whether a deploy would change anything.
    pub(super) fn differs(&self) -> bool {
        !self.plan.is_empty() || !self.image.stays()
    }

    fn facts(&self) -> Vec<(&'static str, String)> {
        let mut facts = vec![("image", self.image.describe())];
        let is_sure = !self.plan.is_empty() || self.image.new.is_some();
        facts.extend(self.release.as_ref().map(|release| ("release", release.describe(is_sure))));
        facts
    }

    /// As people read it.
    pub(super) fn lines(&self) -> Vec<String> {
        let facts = self.facts().into_iter().map(|(name, fact)| format!("{name:<8} {fact}"));
        facts.chain(self.plan.lines()).collect()
    }
}

/// Writes what was found of the cluster and of each service to stdout.
pub(super) fn show(
    environment: &Environment,
    looked: &Looked<'_, Forecast>,
    infrastructure: Option<&Infrastructure>,
    output: PlanOutput,
    printer: &Printer,
) {
    match (output, infrastructure) {
        (PlanOutput::Text, _) => {
            infrastructure.iter().flat_map(|found| found.lines()).for_each(|line| printer.line(line));
            super::each::sections(looked, Forecast::lines, printer);
        }
        (PlanOutput::Json, None) => super::each::documents(environment, looked, printer),
        (PlanOutput::Json, Some(infrastructure)) => {
            let mut document = super::each::document(environment, looked);
            document["infrastructure"] = json!(infrastructure);
            printer.json(&document);
        }
        (PlanOutput::Markdown, _) => {
            let text = infrastructure.map(Infrastructure::markdown).unwrap_or_default();
            if !text.is_empty() {
                printer.data(&text);
            }
            comment(
                looked,
                MARKDOWN_LIMIT.saturating_sub(text.chars().count() + 1),
                printer,
                |unit, forecast, limit| {
                    let title = format!("Plan for {} in {}", unit.service.name, environment.name);
                    forecast.plan.markdown(&title, &forecast.facts(), limit)
                },
            );
        }
    }
}

/// Writes one comment of a pull request, of so many characters: each service gets an equal part of what those before it
/// have left.
pub(super) fn comment<T>(
    looked: &Looked<'_, T>,
    mut left: usize,
    printer: &Printer,
    markdown: impl Fn(Unit<'_>, &T, usize) -> String,
) {
    let found: Vec<_> = looked.iter().filter_map(|(unit, found)| Some((unit, found.as_ref().ok()?))).collect();
    for (index, (unit, one)) in found.iter().enumerate() {
        let text = markdown(**unit, one, left / (found.len() - index));
        left = left.saturating_sub(text.chars().count() + 1);
        printer.data(text);
    }
}

fn as_text<S: serde::Serializer>(image: &Option<Reference>, serializer: S) -> Result<S::Ok, S::Error> {
    image.as_ref().map(ToString::to_string).serialize(serializer)
}
