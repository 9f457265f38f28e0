//! `bench releases`: many deploys at once and many that are killed, in a clone of the repository.
//!
//! The tests do the same a few times. Here it is done often enough to meet what is rare; the first violation ends it.

use std::{
    fs,
    path::Path,
    process::{Output, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;
use tokio::process::{Child, Command};

use super::{
    figures::Figures,
    ground::{self, Ground},
};
use crate::{
    error::{Error, Result},
    ui::{Done, Outcome, Printer, Step},
};

/// Rounds of two deploys at once.
const RACES: usize = 50;
/// Deploys that are killed.
const KILLS: usize = 100;
const OVERLAY: &str = "manifests/overlays/local/kustomization.yaml";
const AUTOSCALER: &str = "manifests/base/horizontalpodautoscaler.yaml";
/// Moments are random, but always the same.
const SEED: u64 = 0x2545_f491_4f6c_dd1d;

/// Clones, races, kills, and removes what it made.
pub(super) async fn figures(root: &Path, printer: &Printer) -> Result<Figures> {
    ground::in_a_clone(root, async |clone| measure(clone, printer).await).await
}

async fn measure(clone: &Ground, printer: &Printer) -> Result<Figures> {
    // One pod is enough to roll out.
    replace(&clone.directory.join(AUTOSCALER), "minReplicas: 3", "minReplicas: 1")?;
    let prepare = async |_: &Step| {
        let report = parse(clone.xtask(&["deploy", "--quiet", "--output", "json"]).await?.as_bytes())?;
        let image = report["image"]["reference"].as_str().unwrap_or_default().to_owned();
        let overlay = fs::read_to_string(clone.directory.join(OVERLAY));
        let overlay = overlay.map_err(|error| Error::failed(format!("read {OVERLAY}")).source(&error))?;
        Ok(Done::new(Outcome::Ok, image.clone(), Rounds { clone, image, overlay }))
    };
    let rounds = printer.step("prepare").run(prepare).await?;
    rounds.change(0)?;
    let began = Instant::now();
    end(rounds.start()?).await?;
    let alone = began.elapsed();
    let back = async |_: &Step| {
        let began = Instant::now();
        clone.xtask(&["rollback", "--quiet"]).await?;
        Ok(Done::new(Outcome::Ok, "the version before serves", began.elapsed()))
    };
    let back = printer.step("rollback").run(back).await?;
    let race = async |step: &Step| {
        for round in 1..=RACES {
            step.update(format!("{round} of {RACES}"));
            rounds.race(round).await?;
        }
        Ok(Done::new(Outcome::Ok, format!("{RACES} times exactly one proceeded"), ()))
    };
    printer.step("race").run(race).await?;
    let kill = async |step: &Step| {
        let (mut seed, mut met, mut slowest) = (SEED, 0, Duration::ZERO);
        for round in 1..=KILLS {
            step.update(format!("{round} of {KILLS}, {met} in the middle of a release"));
            for shift in [13_i32, -7, 17] {
                seed ^= if shift > 0 { seed << shift } else { seed >> -shift };
            }
            let share = u32::try_from(seed % 1000).unwrap_or_default();
            let (under_way, took) = rounds.kill(RACES + round, alone * share / 1000).await?;
            met += usize::from(under_way);
            slowest = slowest.max(took);
        }
        let summary = format!("{KILLS} times the next run converged; {met} were in the middle of a release");
        Ok(Done::new(Outcome::Ok, summary, (met, slowest)))
    };
    let (met, slowest) = printer.step("kill").run(kill).await?;
    let mut figures = Figures { unit: alone, list: Vec::new() };
    figures.time("a deploy that replaces one pod, the unit", alone);
    figures.time("a rollback, until the version before serves", back);
    figures.amount("two deploys at once: exactly one proceeded", RACES as f64, "");
    figures.amount("killed deploys: the next one converged", KILLS as f64, "");
    figures.amount("of which in the middle of a release", f64::from(u32::try_from(met).unwrap_or_default()), "");
    figures.time("the slowest deploy after a kill", slowest);
    Ok(figures)
}

/// What each round needs.
struct Rounds<'a> {
    clone: &'a Ground,
    image: String,
    overlay: String,
}

impl Rounds<'_> {
    async fn race(&self, round: usize) -> Result<()> {
        self.change(round)?;
        let (first, second) = (self.start()?, self.start()?);
        let (first, second) = tokio::try_join!(wait(first), wait(second))?;
        let mut codes = [first.status.code(), second.status.code()];
        codes.sort_unstable();
        let refused = |output: &Output| String::from_utf8_lossy(&output.stderr).contains("another command is changing");
        if codes == [Some(0), Some(1)] && refused(&first) != refused(&second) {
            return Ok(());
        }
        Err(Error::failed(format!("race {round}: the two deploys ended with {codes:?}"))
            .cause(String::from_utf8_lossy(&first.stderr))
            .cause(String::from_utf8_lossy(&second.stderr)))
    }

    /// Kills a deploy and runs the next. Says whether the kill met it in the middle, and how long the next one took.
    async fn kill(&self, round: usize, after: Duration) -> Result<(bool, Duration)> {
        self.change(round)?;
        let before = self.history().await?;
        let mut child = self.start()?;
        tokio::time::sleep(after).await;
        child.kill().await.map_err(|error| Error::failed("kill a deploy").source(&error))?;
        let killed = self.history().await?;
        let new = killed[0]["number"] != before[0]["number"];
        let wrong = |what: &str, history: &Value| Err(Error::failed(format!("kill {round}: {what}")).cause(history));
        if new && killed[0]["outcome"] == "succeeded" && !self.nothing_to_do().await? {
            return wrong("a success that was none is claimed", &killed);
        }
        let began = Instant::now();
        end(self.start()?).await?;
        let took = began.elapsed();
        let history = self.history().await?;
        let begun = history.as_array().into_iter().flatten().any(|release| release["outcome"] == "begun");
        if begun || history[0]["outcome"] != "succeeded" || !self.nothing_to_do().await? {
            return wrong("the next deploy did not converge", &history);
        }
        Ok((new && killed[0]["outcome"] == "begun", took))
    }

    /// Makes the next deploy replace the pod.
    fn change(&self, round: usize) -> Result<()> {
        let patch = format!(
            "{}  - target:\n      kind: Deployment\n      name: app\n    patch: |-\n      - op: add\n        \
             path: /spec/template/metadata/annotations\n        value: {{round: \"{round}\"}}\n",
            self.overlay
        );
        let path = self.clone.directory.join(OVERLAY);
        fs::write(&path, patch).map_err(|error| Error::failed(format!("write {}", path.display())).source(&error))
    }

    fn start(&self) -> Result<Child> {
        self.command(&["deploy", "--image", &self.image])
            .spawn()
            .map_err(|error| Error::failed("start a deploy").source(&error))
    }

    /// The releases, the newest first.
    async fn history(&self) -> Result<Value> {
        let report = self.run(&["history", "--output", "json"]).await?;
        Ok(report["releases"].clone())
    }

    async fn nothing_to_do(&self) -> Result<bool> {
        let plan = self.run(&["plan", "--output", "json"]).await?;
        let mut changes = plan["changes"].as_array().into_iter().flatten();
        Ok(changes.all(|change| change["action"] == "unchanged"))
    }

    async fn run(&self, arguments: &[&str]) -> Result<Value> {
        let child = self.command(arguments).spawn();
        let child = child.map_err(|error| Error::failed("start cargo xtask").source(&error))?;
        parse(&end(child).await?.stdout)
    }

    /// The program itself: cargo would be killed in its place.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.clone.directory.join("target/debug/xtask"));
        command.args(arguments).current_dir(&self.clone.directory).kill_on_drop(true);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }
}

async fn wait(child: Child) -> Result<Output> {
    child.wait_with_output().await.map_err(|error| Error::failed("wait for a deploy").source(&error))
}

async fn end(child: Child) -> Result<Output> {
    let output = wait(child).await?;
    if output.status.success() {
        return Ok(output);
    }
    Err(Error::failed(format!("a command ended with {}", output.status)).cause(String::from_utf8_lossy(&output.stderr)))
}

fn parse(report: &[u8]) -> Result<Value> {
    serde_json::from_slice(report).map_err(|error| Error::failed("read the report of the command").source(&error))
}

fn replace(path: &Path, from: &str, to: &str) -> Result<()> {
    let failed = |error: &dyn std::error::Error| Error::failed(format!("change {}", path.display())).source(error);
    let text = fs::read_to_string(path).map_err(|error| failed(&error))?;
    fs::write(path, text.replacen(from, to, 1)).map_err(|error| failed(&error))
}
