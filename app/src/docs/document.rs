//! The document, put together from what the handlers say of themselves.

use utoipa::{
    OpenApi, ToSchema,
    openapi::{
        Content, Header, Ref, RefOr, Response,
        path::{Operation, PathItem},
        security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme},
    },
};

use crate::{State, api, auth::Auth, health, upload, users};

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

/// What every deployment has.
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
    components(schemas(Problem))
)]
struct Core;

/// What else a deployment may have.
#[derive(Debug, Clone, Copy)]
pub struct Parts {
    users: bool,
    uploads: bool,
    /// Whether one client may ask only so often.
    limited: bool,
    /// How those who ask prove who they are: one way in a deployment, or none.
    schemes: &'static [Scheme],
}

#[derive(Debug, Clone, Copy)]
enum Scheme {
    Basic,
    Bearer,
}

impl Parts {
    /// All that there can be.
    pub const ALL: Self = Self { users: true, uploads: true, limited: true, schemes: &[Scheme::Basic, Scheme::Bearer] };

    /// Those of this service.
    pub fn of(state: &State) -> Self {
        let schemes: &[Scheme] = match state.auth {
            Auth::Off => &[],
            Auth::Basic => &[Scheme::Basic],
            Auth::Bearer(_) => &[Scheme::Bearer],
        };
        let (users, uploads) = (state.users.is_some(), state.bucket.is_some());
        Self { users, uploads, limited: state.limit.is_some(), schemes }
    }
}

impl Scheme {
    fn name(self) -> &'static str {
        match self {
            Self::Basic => "basic",
            Self::Bearer => "bearer",
        }
    }

    fn described(self) -> SecurityScheme {
        let http = match self {
            Self::Basic => HttpBuilder::new()
                .scheme(HttpAuthScheme::Basic)
                .description(Some("The e-mail address and password of a user.")),
            Self::Bearer => HttpBuilder::new()
                .scheme(HttpAuthScheme::Bearer)
                .bearer_format("JWT")
                .description(Some("A token of the OpenID Connect issuer.")),
        };
        SecurityScheme::Http(http.build())
    }
}

/// The document of a service that has these parts, and no operation that isn't there.
pub fn document(parts: Parts) -> utoipa::openapi::OpenApi {
    let mut document = Core::openapi();
    if parts.users {
        document.merge(users::Documented::openapi());
    }
    if parts.uploads {
        document.merge(upload::Documented::openapi());
    }
    secure(&mut document, parts.schemes);
    refuse(&mut document, parts);
    document
}

/// The document with everything in it, as a file.
pub fn text() -> String {
    let mut text = serde_json::to_string_pretty(&document(Parts::ALL)).expect("a document is JSON");
    text.push('\n');
    text
}

/// Any one of the schemes will do, for every operation that does not say otherwise.
fn secure(document: &mut utoipa::openapi::OpenApi, schemes: &[Scheme]) {
    let components = document.components.get_or_insert_default();
    for scheme in schemes {
        components.add_security_scheme(scheme.name(), scheme.described());
    }
    let requirement = |scheme: &Scheme| SecurityRequirement::new(scheme.name(), [""; 0]);
    document.security = (!schemes.is_empty()).then(|| schemes.iter().map(requirement).collect());
}

type Refusals = &'static [(&'static str, &'static str)];

const ALWAYS: Refusals = &[
    ("408", "The request took too long."),
    ("500", "Something broke here."),
    ("503", "There is too much to do, or something that it takes is away; `Retry-After` says when to come again."),
];
const WITH_BODY: Refusals = &[
    ("400", "The body is malformed."),
    ("413", "The body is too large."),
    ("415", "The body is in a form that is not taken here."),
    ("422", "The body is well-formed and not what is asked for."),
];
const GUARDED: Refusals = &[
    ("400", "There are several `Authorization` headers."),
    ("401", "This needs a proof of who asks, and there is none that is good."),
];
const PERSONAL: Refusals = &[("403", "Whoever asks may not do this.")];
const LIMITED: Refusals = &[("429", "The client asks too often; `Retry-After` says when it may again.")];

/// What requests may be told besides what their handlers say, and in which form all refusals come.
fn refuse(document: &mut utoipa::openapi::OpenApi, parts: Parts) {
    for operation in document.paths.paths.values_mut().flat_map(operations) {
        // Those that are open to everybody say so themselves.
        let open = operation.security.is_some();
        let guarded = !open && !parts.schemes.is_empty();
        let personal = guarded && operation.tags.iter().flatten().any(|tag| tag == "users");
        let told = [
            (true, ALWAYS),
            (operation.request_body.is_some(), WITH_BODY),
            (guarded, GUARDED),
            (personal, PERSONAL),
            (!open && parts.limited, LIMITED),
        ];
        for (status, description) in told.into_iter().filter(|(told, _)| *told).flat_map(|(_, refusals)| refusals) {
            let response = operation.responses.responses.entry((*status).to_owned());
            response.or_insert_with(|| RefOr::T(Response::new(*description)));
        }
        for (status, response) in &mut operation.responses.responses {
            if let RefOr::T(response) = response
                && status.starts_with(['4', '5'])
            {
                response.content.entry("application/problem+json".to_owned()).or_insert_with(problem);
                let header = match status.as_str() {
                    "401" => "www-authenticate",
                    "429" | "503" => "retry-after",
                    _ => continue,
                };
                response.headers.insert(header.to_owned(), RefOr::T(Header::default()));
            }
        }
    }
}

fn operations(path: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    let methods = [&mut path.get, &mut path.post, &mut path.put, &mut path.patch, &mut path.delete];
    methods.into_iter().filter_map(Option::as_mut)
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
