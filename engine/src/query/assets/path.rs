//! Which file a request path may name. Nothing is decoded: our own names need no escape, so every
//! escape is somebody trying something.

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wanted<'a> {
    File(&'a str),
    /// A route of the dashboard, unless there is such a file.
    FileOrIndex(&'a str),
}

/// Escapes of dot, slash, backslash and the percent sign itself.
const SMUGGLED: [&str; 4] = ["%2e", "%2f", "%5c", "%25"];

/// `None` for a path that no file of ours can have. `path` starts with a slash and has no query.
pub(super) fn judge(path: &str) -> Option<Wanted<'_>> {
    let name = path.strip_prefix('/')?;
    let decoded = super::super::params::decode(name, false)?;
    let foul = |byte: u8| byte == b'\\' || byte.is_ascii_control();
    let name_lower = name.to_ascii_lowercase();
    if decoded.bytes().any(foul) || SMUGGLED.iter().any(|escape| name_lower.contains(escape)) {
        return None;
    }
    let mut segments = decoded.split('/');
    // A dot first is the current or parent directory, or a hidden file.
    if segments.any(|segment| segment.starts_with('.'))
        || decoded.starts_with('/')
        || decoded.contains("//")
    {
        return None;
    }
    let last = decoded.rsplit('/').next().unwrap_or_default();
    Some(if last.contains('.') {
        Wanted::File(name)
    } else {
        Wanted::FileOrIndex(name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::needless_pass_by_value, reason = "the table reads better")]
    fn check(path: &str, expect: Option<Wanted<'_>>) {
        assert_eq!(judge(path), expect, "{path:?}");
    }

    #[test]
    fn files_and_routes_are_told_apart() {
        check("/", Some(Wanted::FileOrIndex("")));
        check("/app-1a2b3c4d.js", Some(Wanted::File("app-1a2b3c4d.js")));
        check("/pkg/app.wasm", Some(Wanted::File("pkg/app.wasm")));
        check("/nodes/accra", Some(Wanted::FileOrIndex("nodes/accra")));
        check(
            "/regions/Greater%20Accra",
            Some(Wanted::FileOrIndex("regions/Greater%20Accra")),
        );
        check(
            "/nodes/acc%C3%A9",
            Some(Wanted::FileOrIndex("nodes/acc%C3%A9")),
        );
    }

    #[test]
    fn every_way_out_is_shut() {
        for path in [
            "/..",
            "/../etc/passwd",
            "/a/../../b",
            "/%2e%2e/etc/passwd",
            "/%2E%2E/x",
            "/.%2e/x",
            "/a/%2e%2e%2fb",
            "/a%2fb",
            "/a%5cb",
            "/a\\b",
            "/..\\b",
            "/a%00.js",
            "/a\0b",
            "/.git/config",
            "/a//b",
            "//etc/passwd",
            "/a/./b",
            "/%",
            "/%zz",
            "/%ff",
            "/a%0d%0ab",
            "/%c0%ae%c0%ae/",
            "/%252e%252e/",
            "",
        ] {
            check(path, None);
        }
    }
}
