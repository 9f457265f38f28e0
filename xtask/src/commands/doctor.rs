//! `doctor`: what would keep a deploy from working, and how to mend it.

use serde_json::json;

use super::preflight;
use crate::{
    cli::{Output, Reporting},
    error::{Error, Result},
    ui::Printer,
};

/// Looks at everything and reports on all of it.
pub(super) async fn run(options: Reporting, printer: &Printer) -> Result<()> {
    let root = super::root()?;
    let findings = preflight::look(&root, &options.target.env).await.list;
    match options.report.output {
        Output::Json => {
            let list: Vec<_> = findings
                .iter()
                .map(|finding| match &finding.result {
                    Ok(found) => json!({"name": finding.name, "ok": true, "found": found}),
                    Err(error) => json!({
                        "name": finding.name,
                        "ok": false,
                        "error": error.message,
                        "causes": error.causes,
                        "hint": error.hint,
                    }),
                })
                .collect();
            printer.json(&list);
        }
        Output::Text => {
            for finding in &findings {
                match &finding.result {
                    Ok(found) => printer.data(format!(" ok       {:<14} {found}", finding.name)),
                    Err(error) => {
                        printer.data(format!(" failed   {:<14} {}", finding.name, error.message));
                        for line in error.causes.iter().flat_map(|cause| cause.lines()) {
                            printer.data(format!("                           {line}"));
                        }
                        if let Some(hint) = &error.hint {
                            printer.data(format!("                         hint: {hint}"));
                        }
                    }
                }
            }
        }
    }
    match findings.iter().filter(|finding| finding.result.is_err()).count() {
        0 => Ok(()),
        1 => Err(Error::failed("one thing would keep a deploy from working")),
        count => Err(Error::failed(format!("{count} things would keep a deploy from working"))),
    }
}
