//! The page: the document's operations as text, without scripts and without another request.

use crate::query::assets::base64;
use hyper::header::HeaderValue;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::fmt::Write as _;

const STYLE: &str = include_str!("page.css");

/// Nothing but the style above, which it names by its hash.
pub(super) fn policy() -> HeaderValue {
    let hash = base64(&Sha256::digest(STYLE.as_bytes()));
    let text = format!(
        "default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'"
    );
    HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static("default-src 'none'"))
}

pub(super) fn make(document: &Value) -> String {
    let mut out = Page::default();
    let info = &document["info"];
    out.put(format_args!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>FiberStack API</title>\
         <style>{STYLE}</style></head><body><main><h1>FiberStack API {}</h1><p>{}</p>\
         <p>The same for programs: <a href=\"/api/openapi.json\">openapi.json</a></p>",
        text(&info["version"]),
        text(&info["description"]),
    ));
    for (path, item) in members(&document["paths"]) {
        for (method, operation) in members(item).filter(|(method, _)| *method != "head") {
            out.operation(path, method, operation);
        }
    }
    out.put(format_args!("<h2>Shapes</h2>"));
    for (name, schema) in members(&document["components"]["schemas"]) {
        out.shape(name, schema);
    }
    out.put(format_args!("</main></body></html>"));
    out.0
}

#[derive(Default)]
struct Page(String);

impl Page {
    fn put(&mut self, text: std::fmt::Arguments<'_>) {
        self.0.write_fmt(text).expect("a String takes everything");
    }

    fn operation(&mut self, path: &str, method: &str, operation: &Value) {
        let (path, method) = (escape(path), method.to_ascii_uppercase());
        let id = text(&operation["operationId"]);
        self.put(format_args!(
            "<section id=\"{id}\"><h2><code>{method}</code> {path}</h2><p>{}</p>",
            text(&operation["description"])
        ));
        let params: Vec<_> = operation["parameters"]
            .as_array()
            .into_iter()
            .flatten()
            .collect();
        if !params.is_empty() {
            self.put(format_args!(
                "<table><tr><th>parameter<th>in<th>type<th>what</tr>"
            ));
            for param in params {
                let required = if param["required"] == true {
                    ", required"
                } else {
                    ""
                };
                self.put(format_args!(
                    "<tr><td><code>{}</code><td>{}{required}<td>{}<td>{}</tr>",
                    text(&param["name"]),
                    text(&param["in"]),
                    kind(&param["schema"]),
                    text(&param["description"]),
                ));
            }
            self.put(format_args!("</table>"));
        }
        let body = &operation["requestBody"]["content"]["application/json"]["schema"];
        if body.is_object() {
            self.put(format_args!("<p>Body: {}</p>", kind(body)));
        }
        self.put(format_args!("<table><tr><th>status<th>body<th>when</tr>"));
        for (status, response) in members(&operation["responses"]) {
            let content = members(&response["content"]).next();
            let content = content.map(|(media, content)| match media {
                "application/json" => kind(&content["schema"]),
                _ => escape(media),
            });
            self.put(format_args!(
                "<tr><td>{}<td>{}<td>{}</tr>",
                escape(status),
                content.unwrap_or_default(),
                text(&response["description"]),
            ));
        }
        self.put(format_args!("</table>"));
        self.metrics(&operation["x-metrics"]);
        self.put(format_args!("</section>"));
    }

    fn metrics(&mut self, metrics: &Value) {
        let Some(metrics) = metrics.as_array() else {
            return;
        };
        self.put(format_args!("<table><tr><th>metric<th>kind<th>what</tr>"));
        for metric in metrics {
            self.put(format_args!(
                "<tr><td><code>{}</code><td>{}<td>{}</tr>",
                text(&metric["name"]),
                text(&metric["kind"]),
                text(&metric["help"]),
            ));
        }
        self.put(format_args!("</table>"));
    }

    fn shape(&mut self, name: &str, schema: &Value) {
        let name = escape(name);
        self.put(format_args!(
            "<section id=\"{name}\"><h3>{name}</h3><p>{}</p>",
            text(&schema["description"])
        ));
        let fields: Vec<_> = members(&schema["properties"]).collect();
        if fields.is_empty() {
            self.put(format_args!("<p>{}</p>", kind(schema)));
        } else {
            self.put(format_args!("<table><tr><th>field<th>type<th>what</tr>"));
            for (field, schema) in fields {
                self.put(format_args!(
                    "<tr><td><code>{}</code><td>{}<td>{}</tr>",
                    escape(field),
                    kind(schema),
                    text(&schema["description"]),
                ));
            }
            self.put(format_args!("</table>"));
        }
        self.put(format_args!("</section>"));
    }
}

fn members(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    value
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, member)| (name.as_str(), member))
}

/// A type in few words; one with a name is a link.
fn kind(schema: &Value) -> String {
    if let Some(name) = schema["$ref"]
        .as_str()
        .and_then(|path| path.rsplit('/').next())
    {
        let name = escape(name);
        return format!("<a href=\"#{name}\">{name}</a>");
    }
    for choice in ["anyOf", "oneOf"] {
        if let Some(choices) = schema[choice].as_array() {
            // That a parameter may be empty goes without saying.
            let said = choices.iter().filter(|choice| choice["maxLength"] != 0);
            return said.map(kind).collect::<Vec<_>>().join(" or ");
        }
    }
    if let Some(values) = schema["enum"].as_array() {
        let values: Vec<_> = values.iter().map(text).collect();
        return values.join(", ");
    }
    if !schema["const"].is_null() {
        return text(&schema["const"]);
    }
    let names = match &schema["type"] {
        Value::Array(names) => names.iter().map(text).collect::<Vec<_>>().join(" or "),
        name => text(name),
    };
    if names == "array" {
        return format!("list of {}", kind(&schema["items"]));
    }
    match ["format", "pattern"].map(|more| text(&schema[more])) {
        [format, _] if !format.is_empty() => format!("{names} ({format})"),
        [_, pattern] if !pattern.is_empty() => format!("{names} <code>{pattern}</code>"),
        _ => names,
    }
}

/// A string as it is, anything else as JSON, nothing as nothing.
fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => escape(text),
        other => escape(&other.to_string()),
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::openapi::document;
    use crate::query::router::templates;

    #[test]
    fn the_page_tells_every_route_and_every_link_leads_somewhere() {
        let page = make(&document::make(&[]));
        for (path, _) in templates() {
            assert!(page.contains(&format!("</code> {path}</h2>")), "{path}");
        }
        for link in page.split("href=\"#").skip(1) {
            let name = link.split('"').next().unwrap();
            assert!(page.contains(&format!("id=\"{name}\"")), "{name}");
        }
    }

    #[test]
    fn nothing_is_fetched_and_nothing_runs() {
        let page = make(&document::make(&[]));
        for word in [
            "<script", "src=", "http://", "https://", "style=\"", "@import",
        ] {
            assert!(!page.contains(word), "{word}");
        }
        let policy = policy();
        let policy = policy.to_str().unwrap();
        let style = page.split("<style>").nth(1).unwrap();
        let style = style.split("</style>").next().unwrap();
        let hash = base64(&Sha256::digest(style.as_bytes()));
        assert!(policy.contains(&hash), "{policy}");
    }

    #[test]
    fn a_name_from_outside_stays_text() {
        let hostile = serde_json::json!({"paths": {"/<script>": {"get": {
            "description": "<img src=x>", "operationId": "\"><script>"}}}});
        let page = make(&hostile);
        assert!(
            !page.contains("<script") && !page.contains("<img"),
            "{page}"
        );
    }
}
