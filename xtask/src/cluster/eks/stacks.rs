//! Stacks of CloudFormation: what is in one, and a change set made and carried out.

use std::{collections::BTreeMap, time::Duration};

use aws_sdk_cloudformation::types::{Capability, ChangeSetStatus, ChangeSetType, StackStatus, Tag};
use serde_json::Value;

use super::{
    Clients, is,
    wait::{Seen, Wait, typical},
};
use crate::{
    aws::failed,
    error::{Error, Result},
    ui::Step,
};

const TYPICAL: Duration = Duration::from_secs(60 * typical::STACK as u64);
const LIMIT: Duration = Duration::from_secs(20 * 60);
/// CloudFormation's word for a change set without changes.
const NOTHING: [&str; 2] = ["didn't contain changes", "No updates are to be performed"];

/// A stack that is there.
#[derive(Debug, Clone)]
pub(crate) struct Stack {
    pub(crate) status: StackStatus,
    pub(crate) outputs: BTreeMap<String, String>,
    pub(crate) template: Value,
    pub(crate) protected: bool,
}

impl Stack {
    /// Whether it never was whole: it cannot be changed, only made again.
    pub(crate) fn is_half_made(&self) -> bool {
        use StackStatus::{CreateFailed, DeleteFailed, ReviewInProgress, RollbackComplete, RollbackFailed};
        matches!(self.status, CreateFailed | DeleteFailed | ReviewInProgress | RollbackComplete | RollbackFailed)
    }
}

/// The stack, if there is one.
pub(crate) async fn find(clients: &Clients, name: &str) -> Result<Option<Stack>> {
    let doing = || format!("look at the stack {name}");
    let found = match clients.stacks.describe_stacks().stack_name(name).send().await {
        Ok(found) => found,
        // There is no code of its own for it.
        Err(error) if is(&error, "ValidationError") => return Ok(None),
        Err(error) => return Err(failed(doing(), "cloudformation:DescribeStacks", &clients.aws, &error)),
    };
    let Some(stack) = found.stacks().first() else { return Ok(None) };
    let Some(status) = stack.stack_status().cloned().filter(|status| *status != StackStatus::DeleteComplete) else {
        return Ok(None);
    };
    let template = match clients.stacks.get_template().stack_name(name).send().await {
        Ok(template) => serde_json::from_str(template.template_body().unwrap_or_default()).unwrap_or_default(),
        // One that was only planned has none.
        Err(error) if is(&error, "ValidationError") => Value::Null,
        Err(error) => return Err(failed(doing(), "cloudformation:GetTemplate", &clients.aws, &error)),
    };
    let outputs = stack.outputs().iter();
    let outputs =
        outputs.filter_map(|output| Some((output.output_key()?.to_owned(), output.output_value()?.to_owned())));
    let protected = stack.enable_termination_protection().unwrap_or_default();
    Ok(Some(Stack { status, outputs: outputs.collect(), template, protected }))
}

/// Makes the stack, or changes it, to be what the template says.
pub(crate) async fn put(
    clients: &Clients,
    name: &str,
    template: &Value,
    tags: &[(&str, String)],
    protected: bool,
    step: &Step,
) -> Result<()> {
    let mut there = settle(clients, name, step).await?;
    if there.as_ref().is_some_and(Stack::is_half_made) {
        step.line(format!("the stack {name} was never whole: it is removed and made again"));
        remove(clients, name, step).await?;
        there = None;
    }
    let kind = if there.is_some() { ChangeSetType::Update } else { ChangeSetType::Create };
    let doing = || format!("change the stack {name}");
    let set = format!("slipway-{}", uuid::Uuid::new_v4());
    let tags = tags.iter().map(|(key, value)| Tag::builder().key(*key).value(value).build()).collect();
    let create = clients
        .stacks
        .create_change_set()
        .stack_name(name)
        .change_set_name(&set)
        .change_set_type(kind)
        // Of roles with names, too.
        .capabilities(Capability::CapabilityNamedIam)
        .template_body(template.to_string())
        .set_tags(Some(tags))
        .send();
    match create.await {
        Ok(_) => {}
        // The answer was lost, and the set is made.
        Err(error) if is(&error, "AlreadyExistsException") => {}
        Err(error) => return Err(failed(doing(), "cloudformation:CreateChangeSet", &clients.aws, &error)),
    }
    let wait = Wait { step, what: format!("change set of {name}"), typical: Duration::from_secs(10), limit: LIMIT };
    let changes = wait.until(async || {
        let found = clients.stacks.describe_change_set().stack_name(name).change_set_name(&set).send().await;
        let found = found.map_err(|error| failed(doing(), "cloudformation:DescribeChangeSet", &clients.aws, &error))?;
        let reason = found.status_reason().unwrap_or_default();
        match found.status() {
            Some(ChangeSetStatus::CreateComplete) => Ok(Seen::Done(true)),
            Some(ChangeSetStatus::Failed) if NOTHING.iter().any(|nothing| reason.contains(nothing)) => {
                Ok(Seen::Done(false))
            }
            Some(ChangeSetStatus::Failed) => Err(Error::failed(doing()).cause(reason)),
            other => Ok(Seen::Not(other.map_or("waiting", ChangeSetStatus::as_str).to_owned())),
        }
    });
    if changes.await? {
        match clients.stacks.execute_change_set().stack_name(name).change_set_name(&set).send().await {
            Ok(_) => {}
            // The answer was lost, and it is carried out.
            Err(error) if is(&error, "InvalidChangeSetStatus") || is(&error, "ChangeSetNotFound") => {}
            Err(error) => return Err(failed(doing(), "cloudformation:ExecuteChangeSet", &clients.aws, &error)),
        }
    } else {
        let deleted = clients.stacks.delete_change_set().stack_name(name).change_set_name(&set).send().await;
        deleted.map_err(|error| failed(doing(), "cloudformation:DeleteChangeSet", &clients.aws, &error))?;
    }
    let stack = settle(clients, name, step).await?;
    match stack.as_ref().map(|stack| &stack.status) {
        Some(StackStatus::CreateComplete | StackStatus::UpdateComplete) => {}
        status => {
            let state = status.map_or("gone", word);
            return Err(Error::failed(doing())
                .cause(first_cause(clients, name).await.unwrap_or(format!("it is {state}")))
                .hint("run the same command again when the cause is mended: a stack that is half made is made again"));
        }
    }
    if stack.is_some_and(|stack| stack.protected == protected) {
        return Ok(());
    }
    let request =
        clients.stacks.update_termination_protection().stack_name(name).enable_termination_protection(protected);
    request.send().await.map(drop).map_err(|error| {
        failed(format!("protect the stack {name}"), "cloudformation:UpdateTerminationProtection", &clients.aws, &error)
    })
}

fn word(status: &StackStatus) -> &'static str {
    match status {
        StackStatus::RollbackComplete | StackStatus::RollbackFailed => "rolled back",
        StackStatus::UpdateRollbackComplete | StackStatus::UpdateRollbackFailed => "rolled back to what it was",
        StackStatus::DeleteFailed => "not deleted",
        _ => "not whole",
    }
}

/// The stack when nothing happens to it any more, which a killed command may have begun.
async fn settle(clients: &Clients, name: &str, step: &Step) -> Result<Option<Stack>> {
    let wait = Wait { step, what: format!("stack {name}"), typical: TYPICAL, limit: LIMIT };
    wait.until(async || {
        let stack = find(clients, name).await?;
        Ok(match stack {
            Some(stack) if stack.status.as_str().ends_with("_IN_PROGRESS") && !stack.is_half_made() => {
                Seen::Not(stack.status.as_str().to_owned())
            }
            stack => Seen::Done(stack),
        })
    })
    .await
}

/// The first thing that failed in the last operation: what follows it is told as cancelled.
async fn first_cause(clients: &Clients, name: &str) -> Option<String> {
    let events = clients.stacks.describe_stack_events().stack_name(name).send().await.ok()?;
    let mut failures = events.stack_events().iter().filter(|event| {
        event.resource_status().is_some_and(|status| status.as_str().ends_with("_FAILED"))
            && !event.resource_status_reason().unwrap_or_default().contains("cancelled")
    });
    // They come newest first.
    let first = failures.next_back()?;
    let (kind, id) = (first.resource_type().unwrap_or_default(), first.logical_resource_id().unwrap_or_default());
    Some(format!("{id} ({kind}): {}", first.resource_status_reason().unwrap_or("no reason is given")))
}

/// Removes the stack and everything in it; true if there was one.
pub(super) async fn remove(clients: &Clients, name: &str, step: &Step) -> Result<bool> {
    let Some(stack) = find(clients, name).await? else { return Ok(false) };
    let doing = || format!("delete the stack {name}");
    if stack.protected {
        let request =
            clients.stacks.update_termination_protection().stack_name(name).enable_termination_protection(false);
        request
            .send()
            .await
            .map_err(|error| failed(doing(), "cloudformation:UpdateTerminationProtection", &clients.aws, &error))?;
    }
    clients
        .stacks
        .delete_stack()
        .stack_name(name)
        .send()
        .await
        .map_err(|error| failed(doing(), "cloudformation:DeleteStack", &clients.aws, &error))?;
    let wait = Wait { step, what: format!("stack {name}"), typical: TYPICAL, limit: LIMIT };
    let left = wait.until(async || {
        Ok(match find(clients, name).await? {
            Some(stack) if stack.status == StackStatus::DeleteInProgress => Seen::Not("DELETE_IN_PROGRESS".to_owned()),
            stack => Seen::Done(stack),
        })
    });
    match left.await? {
        None => Ok(true),
        Some(_) => Err(Error::failed(doing()).cause(first_cause(clients, name).await.unwrap_or_default())),
    }
}
