//! The OpenAPI 3.1 document.

use super::operations::{Content, Operation, Param, bounds, of};
use crate::admin::scrape::Family;
use crate::query::router::{Route, templates};
use fiber_contract::live::{LiveChange, LiveSnapshot};
use fiber_contract::{ErrorBody, ErrorCode};
use hyper::Method;
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// Any request may get these: they judge its head, or are nobody's fault but ours.
const ALWAYS: [ErrorCode; 8] = [
    ErrorCode::MalformedBatch,
    ErrorCode::RequestTimeout,
    ErrorCode::UriTooLong,
    ErrorCode::ExpectationFailed,
    ErrorCode::HeadTooLarge,
    ErrorCode::Internal,
    ErrorCode::NotImplemented,
    ErrorCode::HttpVersion,
];

/// What is read and what is written differ: a field with a default may be left out of a request,
/// and is always there in an answer.
struct Schemas {
    requests: SchemaGenerator,
    answers: SchemaGenerator,
}

impl Schemas {
    fn new() -> Self {
        let mut settings = SchemaSettings::draft2020_12();
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
        Self {
            requests: settings.clone().for_deserialize().into_generator(),
            answers: settings.for_serialize().into_generator(),
        }
    }

    fn answer<T: JsonSchema>(&mut self) -> Value {
        self.answers.subschema_for::<T>().to_value()
    }

    fn all(mut self) -> Map<String, Value> {
        let mut all = self.requests.take_definitions(true);
        all.extend(self.answers.take_definitions(true));
        all
    }
}

pub(super) fn make(families: &[Family]) -> Value {
    let mut schemas = Schemas::new();
    let mut paths = Map::new();
    for (path, route) in templates() {
        let mut item = Map::new();
        for operation in of(route) {
            let described = describe(path, route, &operation, families, &mut schemas);
            if operation.method == "GET" {
                item.insert("head".to_owned(), without_bodies(&described));
            }
            item.insert(operation.method.to_ascii_lowercase(), described);
        }
        paths.insert(path.to_owned(), item.into());
    }
    // Events of the stream, which no media type can name.
    schemas.answer::<LiveSnapshot>();
    schemas.answer::<LiveChange>();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "FiberStack",
            "version": env!("CARGO_PKG_VERSION"),
            "description": format!(
                "Samples of a fleet of probes in, answers about them out. Every refusal is an \
                 ErrorBody; its `trace_id` is also the field X-Trace-ID, yours if you sent one. {}",
                bounds()
            ),
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "paths": paths,
        "components": {
            "schemas": schemas.all(),
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "cookie": {
                    "type": "apiKey", "in": "cookie",
                    "name": fiber_contract::access::ACCESS_COOKIE,
                },
            },
        },
    })
}

fn describe(
    path: &str,
    route: Route<'_>,
    operation: &Operation,
    families: &[Family],
    schemas: &mut Schemas,
) -> Value {
    let method = Method::from_bytes(operation.method.as_bytes()).unwrap_or_default();
    let role = route.least_role(&method);
    let mut errors: BTreeSet<u16> = ALWAYS.iter().map(|code| code.http_status()).collect();
    errors.extend(operation.errors.iter().map(|code| code.http_status()));
    let brings_its_own = matches!(route, Route::Ingest(_) | Route::Heartbeat);
    let mut about = operation.about.to_owned();
    if let Some(role) = role {
        errors.extend([401, 403, 429]);
        about.push_str(&format!(" For {} and above.", role.as_str()));
    }
    let mut responses = Map::new();
    for (status, content) in &operation.answers {
        responses.insert(status.to_string(), answered(*content, schemas));
    }
    if route.is_revalidated() {
        let about = "the answer that If-None-Match names is still the right one";
        responses.insert("304".to_owned(), json!({"description": about}));
    }
    for status in errors {
        responses.insert(status.to_string(), refused(status, schemas));
    }
    let security = match (role, brings_its_own) {
        (None, false) => json!([]),
        (None, true) => json!([{"bearer": []}]),
        (Some(_), _) => json!([{"bearer": []}, {"cookie": []}]),
    };
    let mut described = json!({
        "operationId": operation_id(operation.method, path),
        "description": about,
        "security": security,
        "parameters": operation.params.iter().map(parameter).collect::<Vec<_>>(),
        "responses": responses,
    });
    if let Some(body) = operation.body {
        described["requestBody"] = json!({
            "required": true,
            "content": {"application/json": {"schema": body(&mut schemas.requests)}},
        });
    }
    if matches!(route, Route::Scrape) {
        described["x-metrics"] = families
            .iter()
            .map(|family| json!({"name": family.name, "kind": family.kind, "help": family.help}))
            .collect();
    }
    described
}

/// HEAD is GET without its body.
fn without_bodies(get: &Value) -> Value {
    let mut head = get.clone();
    let id = get["operationId"].as_str().unwrap_or_default();
    head["operationId"] = id.replacen("get", "head", 1).into();
    head["description"] = "Like GET, without the body.".into();
    if let Some(responses) = head["responses"].as_object_mut() {
        for response in responses.values_mut().filter_map(Value::as_object_mut) {
            response.remove("content");
        }
    }
    if let Some(head) = head.as_object_mut() {
        head.remove("x-metrics");
    }
    head
}

fn operation_id(method: &str, path: &str) -> String {
    let parts = path.split(['/', '.', '{', '}']);
    let words = parts.filter(|part| !part.is_empty());
    words.fold(method.to_ascii_lowercase(), |id, word| id + "_" + word)
}

fn parameter(param: &Param) -> Value {
    json!({
        "name": param.name,
        "in": param.place,
        "description": param.about,
        "required": param.required,
        "schema": if param.place == "query" { or_empty(&(param.schema)()) } else { (param.schema)() },
    })
}

/// `?to=` is as if it was not there: that is what an empty field of a form sends.
fn or_empty(schema: &Value) -> Value {
    json!({"anyOf": [schema, {"type": "string", "maxLength": 0}]})
}

fn answered(content: Content, schemas: &mut Schemas) -> Value {
    let mut response = json!({"description": "done", "headers": trace_id()});
    match content {
        Content::Json(schema) => {
            let schema = schema(&mut schemas.answers);
            response["content"] = json!({"application/json": {"schema": schema}});
        }
        Content::Nothing => {}
        Content::Text(media_type, about) => {
            response["description"] = about.into();
            response["content"] = json!({media_type: {"schema": {"type": "string"}}});
        }
    }
    response
}

fn refused(status: u16, schemas: &mut Schemas) -> Value {
    let about = match status {
        400 => "cannot be read as a request",
        401 => "no valid token",
        403 => "the token's role or node does not allow it",
        404 => "there is no such thing",
        408 => "the head or the body came too slowly",
        409 => "it conflicts with what is there",
        413 => "the body is too large",
        414 => "the request target is too long",
        415 => "not JSON, or compressed in another way",
        417 => "only 100-continue can be expected",
        422 => "a field or parameter is refused by name",
        429 => "the probe sends too much",
        431 => "the head is too large",
        500 => "a mistake of the engine's",
        501 => "the method or the transfer coding is not known",
        505 => "not HTTP/1.1",
        503 => "the engine or the database is busy or away",
        _ => "refused",
    };
    let mut response = json!({
        "description": about,
        "headers": trace_id(),
        "content": {"application/json": {"schema": schemas.answer::<ErrorBody>()}},
    });
    if status == 429 || status == 503 {
        response["headers"]["Retry-After"] =
            json!({"description": "seconds", "required": true, "schema": {"type": "integer"}});
    }
    response
}

fn trace_id() -> Value {
    json!({"X-Trace-ID": {"required": true, "schema": {"type": "string"}}})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::router::resolve;

    #[test]
    fn router_and_document_agree_route_by_route_and_method_by_method() {
        let document = make(&[]);
        for (path, _) in templates() {
            let asked = path.replace("{id}", "00000000-0000-4000-8000-000000000000");
            for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
                let described = &document["paths"][path][method.to_ascii_lowercase()];
                let routed = Method::from_bytes(method.as_bytes())
                    .map(|method| resolve(&method, &asked).is_ok());
                assert_eq!(routed.unwrap(), described.is_object(), "{method} {path}");
            }
        }
    }

    #[test]
    fn every_reference_is_there_and_every_name_is_used_once() {
        let document = make(&[]);
        let text = document.to_string();
        for reference in text.split("\"$ref\":\"#").skip(1) {
            let pointer = reference.split('"').next().unwrap();
            assert!(document.pointer(pointer).is_some(), "{pointer}");
        }
        let ids: Vec<_> = text.split("\"operationId\":\"").skip(1).collect();
        let distinct: BTreeSet<_> = ids.iter().map(|rest| rest.split('"').next()).collect();
        assert_eq!(ids.len(), distinct.len());
    }

    #[test]
    fn a_type_that_is_asked_and_answered_is_described_once() {
        let mut schemas = Schemas::new();
        for (_, route) in templates() {
            for operation in of(route) {
                if let Some(body) = operation.body {
                    body(&mut schemas.requests);
                }
                for (_, content) in operation.answers {
                    answered(content, &mut schemas);
                }
            }
        }
        let requests = schemas.requests.take_definitions(true);
        let answers = schemas.answers.take_definitions(true);
        for (name, schema) in requests {
            assert!(
                answers.get(&name).is_none_or(|other| *other == schema),
                "{name}"
            );
        }
    }
}
