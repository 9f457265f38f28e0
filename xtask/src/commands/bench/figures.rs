//! The figures as people and programs read them.

use std::time::Duration;

use serde::Serialize;

/// What was measured, in the order of the table.
#[derive(Debug, Serialize)]
pub(super) struct Figures {
    /// What times are given as multiples of.
    #[serde(skip)]
    pub(super) unit: Duration,
    #[serde(rename = "figures")]
    pub(super) list: Vec<Figure>,
}

/// One of them.
#[derive(Debug, Serialize)]
pub(super) struct Figure {
    name: &'static str,
    value: f64,
    unit: &'static str,
    /// A time as a multiple of the unit.
    ratio: Option<f64>,
}

impl Figures {
    /// Adds a time.
    pub(super) fn time(&mut self, name: &'static str, took: Duration) {
        let ratio = took.as_secs_f64() / self.unit.as_secs_f64();
        let value = (took.as_secs_f64() * 1000.0).round() / 1000.0;
        self.list.push(Figure { name, value, unit: "s", ratio: Some((ratio * 10.0).round() / 10.0) });
    }

    /// Adds what is no time.
    pub(super) fn amount(&mut self, name: &'static str, value: f64, unit: &'static str) {
        self.list.push(Figure { name, value: (value * 10.0).round() / 10.0, unit, ratio: None });
    }

    /// A table in Markdown.
    pub(super) fn table(&self) -> Vec<String> {
        let head = format!("| {:<56} | {:>9} | {:>7} |", "Figure", "Value", "Ratio");
        let rule = format!("|{:-<58}|{:->10}:|{:->8}:|", "", "", "");
        let row = |figure: &Figure| {
            let digits = if figure.unit == "s" { 2 } else { 1 };
            let value = format!("{:.digits$} {}", figure.value, figure.unit);
            let ratio = figure.ratio.map_or_else(String::new, |ratio| format!("{ratio:.1}"));
            format!("| {:<56} | {value:>9} | {ratio:>7} |", figure.name)
        };
        [head, rule].into_iter().chain(self.list.iter().map(row)).collect()
    }
}
