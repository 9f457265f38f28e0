//! The document, put together from what the handlers say of themselves.

use utoipa::{
    Modify, OpenApi, ToSchema,
    openapi::{
        Content, Ref, RefOr, Response,
        path::{Operation, PathItem},
    },
};

use crate::{api, health};

/// Why a request was refused (RFC 9457).
#[derive(ToSchema)]
#[schema(as = Problem)]
#[expect(dead_code, reason = "it describes what `problem` writes")]
struct Problem {
    /// A URI; `about:blank` means that the title says all.
    #[schema(rename = "type", example = "about:blank")]
    kind: String,
    /// The phrase of the status.
    #[schema(example = "Unprocessable Entity")]
    title: String,
    /// The status.
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    /// What went wrong this time.
    detail: String,
}

/// The whole of it.
#[derive(OpenApi)]
#[openapi(
    info(title = "app", description = "Reverses and upcases strings."),
    paths(
        api::transform,
        api::transform_at_root,
        api::usage,
        api::mirror,
        api::batch::batch,
        health::health,
        health::healthz,
        health::readyz
    ),
    components(schemas(Problem)),
    modifiers(&Refusals)
)]
struct Document;

/// The document of this version.
pub fn document() -> utoipa::openapi::OpenApi {
    Document::openapi()
}

/// The document as a file.
pub fn text() -> String {
    let mut text = serde_json::to_string_pretty(&document()).expect("a document is JSON");
    text.push('\n');
    text
}

/// What every request may be told, and what every one with a body.
struct Refusals;

const ALWAYS: [(&str, &str); 3] = [
    ("408", "The request took too long."),
    ("500", "Something broke here."),
    ("503", "There is too much to do; `Retry-After` says when to come again."),
];
const WITH_BODY: [(&str, &str); 5] = [
    ("400", "The body is malformed."),
    ("406", "There is no answer in a form that the client takes."),
    ("413", "The body is too large."),
    ("415", "The body is in a form that is not taken here."),
    ("422", "The body is well-formed and not what is asked for."),
];

impl Modify for Refusals {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        for operation in document.paths.paths.values_mut().flat_map(operations) {
            let with_body = operation.request_body.is_some().then_some(WITH_BODY);
            for (status, description) in ALWAYS.into_iter().chain(with_body.into_iter().flatten()) {
                let response = operation.responses.responses.entry(status.to_owned());
                response.or_insert_with(|| refusal(description));
            }
            for (status, response) in &mut operation.responses.responses {
                if let RefOr::T(response) = response
                    && status.starts_with(['4', '5'])
                {
                    response.content.entry("application/problem+json".to_owned()).or_insert_with(problem);
                }
            }
        }
    }
}

fn operations(path: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    let methods = [&mut path.get, &mut path.post, &mut path.put, &mut path.patch, &mut path.delete];
    methods.into_iter().filter_map(Option::as_mut)
}

fn refusal(description: &str) -> RefOr<Response> {
    RefOr::T(Response::new(description))
}

fn problem() -> RefOr<Content> {
    RefOr::T(Content::new(Some(Ref::from_schema_name("Problem"))))
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_committed_document_is_this_versions() {
        let committed = include_str!("../../openapi.json");
        assert!(committed == super::text(), "write it anew: cargo run --package app -- openapi > app/openapi.json");
    }
}
