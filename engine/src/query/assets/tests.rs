use super::*;
use std::fs;

fn built() -> Assets {
    let dir = tempfile::tempdir().unwrap();
    for (name, content) in [
        ("index.html", "<title>FiberStack</title>"),
        ("app-0123456789ab.js", "export default 1"),
        ("app-0123456789ab.js.br", "brotli"),
        ("app-0123456789ab.js.gz", "gzip"),
        ("app.wasm", "\0asm"),
        (".hidden", "secret"),
    ] {
        fs::write(dir.path().join(name), content).unwrap();
    }
    Assets::load(dir.path()).unwrap()
}

fn get(path: &str, headers: &[(HeaderName, &'static str)]) -> Response<Body> {
    let headers = headers
        .iter()
        .map(|(name, value)| (name.clone(), HeaderValue::from_static(value)))
        .collect();
    serve(&built(), path, &headers).unwrap_or_else(|error| {
        let mut response = Response::new(Body::EMPTY);
        *response.status_mut() = StatusCode::from_u16(error.code().http_status()).unwrap();
        response
    })
}

fn header(response: &Response<Body>, name: &HeaderName) -> String {
    response
        .headers()
        .get(name)
        .map_or("", |value| value.to_str().unwrap())
        .to_owned()
}

#[test]
fn routes_get_the_index_and_missing_files_do_not() {
    assert_eq!(get("/", &[]).status(), 200);
    let route = get("/nodes/accra-01", &[]);
    assert_eq!(
        header(&route, &hyper::header::CONTENT_TYPE),
        "text/html; charset=utf-8"
    );
    assert_eq!(header(&route, &CACHE_CONTROL), "no-cache");
    assert!(header(&route, &CONTENT_SECURITY_POLICY).starts_with("default-src 'self'"));
    assert_eq!(
        get("/nodes/a.b", &[(ACCEPT, "text/html,*/*;q=0.8")]).status(),
        200
    );
    assert_eq!(get("/../a.b", &[(ACCEPT, "text/html")]).status(), 404);
    for path in [
        "/missing.js",
        "/.hidden",
        "/app-0123456789ab.js.br/x.js",
        "/../index.html",
    ] {
        assert_eq!(get(path, &[]).status(), 404, "{path}");
    }
}

#[test]
fn the_best_accepted_form_is_sent() {
    for (accept, expect) in [
        ("gzip, br", "br"),
        ("gzip", "gzip"),
        ("br;q=0", ""),
        ("", ""),
    ] {
        let response = get("/app-0123456789ab.js", &[(ACCEPT_ENCODING, accept)]);
        assert_eq!(header(&response, &CONTENT_ENCODING), expect, "{accept:?}");
        assert_eq!(header(&response, &VARY), "Accept-Encoding");
        assert_eq!(
            header(&response, &CACHE_CONTROL),
            "public, max-age=31536000, immutable"
        );
    }
    let wasm = get("/app.wasm", &[(ACCEPT_ENCODING, "br")]);
    assert_eq!(
        header(&wasm, &hyper::header::CONTENT_TYPE),
        "application/wasm"
    );
    assert_eq!(header(&wasm, &CONTENT_ENCODING), "");
}

#[test]
fn a_known_tag_is_not_sent_again_and_differs_by_form() {
    let path = "/app-0123456789ab.js";
    let plain = header(&get(path, &[]), &ETAG);
    let br = header(&get(path, &[(ACCEPT_ENCODING, "br")]), &ETAG);
    assert_ne!(plain, br);
    let tag: &'static str = format!("\"other\", W/{plain}").leak();
    let again = get(path, &[(IF_NONE_MATCH, tag)]);
    assert_eq!(again.status(), 304);
    assert_eq!(header(&again, &ETAG), plain);
    let other = get(path, &[(IF_NONE_MATCH, tag), (ACCEPT_ENCODING, "br")]);
    assert_eq!(other.status(), 200);
}

#[test]
fn without_a_dashboard_the_page_says_how_to_build_it() {
    let response = serve(&Assets::missing(), "/", &HeaderMap::new()).unwrap();
    let Body::Whole(bytes) = response.into_body() else {
        panic!("a stream")
    };
    assert!(String::from_utf8_lossy(&bytes).contains("make build"));
}

#[test]
fn nginx_sends_the_same_policy() {
    let workspace = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let boot = fs::read_to_string(workspace.join("dashboard/boot.js")).unwrap();
    let conf = fs::read_to_string(workspace.join("deploy/nginx/dashboard.conf")).unwrap();
    let ours = load::policy(&format!("<script>{boot}</script>"));
    let line = format!(
        "add_header Content-Security-Policy \"{}\" always;",
        ours.to_str().unwrap()
    );
    assert!(conf.contains(&line), "dashboard.conf lacks:\n{line}");
}
