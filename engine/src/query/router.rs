//! Which handler a path belongs to, and which methods it takes.

use super::error::Error;
use crate::accept::METHODS;
use crate::admit::Route as IngestRoute;
use fiber_contract::access::Role;
use hyper::Method;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route<'a> {
    Status,
    Raw,
    Series,
    Nodes,
    Node {
        encoded_id: &'a str,
    },
    Export,
    Ledger,
    Batch {
        id: &'a str,
    },
    Aggregated,
    Cluster,
    Federation,
    Heartbeat,
    Live,
    Scrape,
    OpenApi,
    Docs,
    Audit,
    Login,
    Refresh,
    Logout,
    Me,
    Users,
    User {
        encoded_name: &'a str,
    },
    Keys,
    Key {
        id: &'a str,
    },
    Ingest(IngestRoute),
    /// The dashboard's files; the path is judged by `assets`.
    Asset {
        path: &'a str,
    },
}

const EXACT: [(&str, Route<'static>); 23] = [
    ("/api/status", Route::Status),
    ("/api/metrics", Route::Raw),
    ("/api/metrics/series", Route::Series),
    ("/api/metrics/aggregated", Route::Aggregated),
    ("/api/metrics/cluster", Route::Cluster),
    ("/api/export", Route::Export),
    ("/api/ledger", Route::Ledger),
    ("/api/nodes", Route::Nodes),
    ("/api/federation/status", Route::Federation),
    ("/api/probe/heartbeat", Route::Heartbeat),
    ("/api/openapi.json", Route::OpenApi),
    ("/api/docs", Route::Docs),
    ("/api/live", Route::Live),
    ("/api/auth/login", Route::Login),
    ("/api/auth/refresh", Route::Refresh),
    ("/api/auth/logout", Route::Logout),
    ("/api/auth/me", Route::Me),
    ("/api/users", Route::Users),
    ("/api/keys", Route::Keys),
    ("/api/audit", Route::Audit),
    ("/metrics", Route::Scrape),
    ("/api/push", Route::Ingest(IngestRoute::Push)),
    ("/api/ingest", Route::Ingest(IngestRoute::Ingest)),
];
/// What stands for the one segment that follows.
const NAME: &str = "{id}";
type Member = for<'a> fn(&'a str) -> Route<'a>;
const MEMBERS: [(&str, Member); 4] = [
    ("/api/nodes/{id}", |encoded_id| Route::Node { encoded_id }),
    ("/api/batches/{id}", |id| Route::Batch { id }),
    ("/api/users/{id}", |encoded_name| Route::User {
        encoded_name,
    }),
    ("/api/keys/{id}", |id| Route::Key { id }),
];

const READ: &str = "GET, HEAD";
const WRITE: &str = "POST";
const READ_AND_ADD: &str = "GET, HEAD, POST";

impl Route<'_> {
    pub(crate) const fn allow(self) -> &'static str {
        match self {
            Self::Ingest(_) | Self::Heartbeat | Self::Login | Self::Refresh | Self::Logout => WRITE,
            Self::Users | Self::Keys | Self::Nodes => READ_AND_ADD,
            Self::Node { .. } => "GET, HEAD, PATCH, DELETE",
            Self::User { .. } => "PATCH, DELETE",
            Self::Key { .. } => "DELETE",
            _ => READ,
        }
    }

    /// Its answers are tagged, so that what did not change does not travel again.
    pub(crate) const fn is_revalidated(self) -> bool {
        matches!(
            self,
            Self::Raw
                | Self::Series
                | Self::Nodes
                | Self::Node { .. }
                | Self::Ledger
                | Self::Batch { .. }
                | Self::Aggregated
                | Self::Cluster
                | Self::Federation
        )
    }

    /// What one must be at least. Without a token are answered: liveness, the API's description,
    /// the dashboard's shell, the way in and out, and what probes send, who have rights of their own.
    pub(crate) fn least_role(self, method: &Method) -> Option<Role> {
        match self {
            Self::Status
            | Self::OpenApi
            | Self::Docs
            | Self::Asset { .. }
            | Self::Heartbeat
            | Self::Login
            | Self::Refresh
            | Self::Logout
            | Self::Ingest(_) => None,
            Self::Users | Self::User { .. } | Self::Keys | Self::Key { .. } | Self::Audit => {
                Some(Role::Admin)
            }
            _ if *method == Method::GET || *method == Method::HEAD => Some(Role::Viewer),
            // What changes something is for operators, unless its route says otherwise above.
            _ => Some(Role::Operator),
        }
    }
}

/// The handler for a request, or why there is none.
pub(crate) fn resolve<'a>(method: &Method, path: &'a str) -> Result<Route<'a>, Error> {
    if !is_known(method) {
        return Err(Error::MethodUnknown);
    }
    let route = find(path).ok_or(Error::NotFound)?;
    if route
        .allow()
        .split(", ")
        .any(|name| name == method.as_str())
    {
        Ok(route)
    } else {
        Err(Error::MethodNotAllowed {
            allow: route.allow(),
        })
    }
}

/// Whether the handler of a request reads its body.
pub(crate) fn takes_a_body(method: &Method, path: &str) -> bool {
    *method != Method::GET && *method != Method::HEAD && resolve(method, path).is_ok()
}

fn find(path: &str) -> Option<Route<'_>> {
    if let Some((_, route)) = EXACT.iter().find(|(exact, _)| *exact == path) {
        return Some(*route);
    }
    for (template, member) in MEMBERS {
        let prefix = template.trim_end_matches(NAME);
        let name = path.strip_prefix(prefix);
        if let Some(name) = name.filter(|name| !name.is_empty() && !name.contains('/')) {
            return Some(member(name));
        }
    }
    let is_asset = path.starts_with('/') && path != "/api" && !path.starts_with("/api/");
    is_asset.then_some(Route::Asset { path })
}

/// Every path of the API, with `{id}` for a name, and what it leads to.
pub(crate) fn templates() -> impl Iterator<Item = (&'static str, Route<'static>)> {
    let members = MEMBERS.map(|(template, member)| (template, member(NAME)));
    EXACT.into_iter().chain(members)
}

fn is_known(method: &Method) -> bool {
    METHODS.contains(&method.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(method: &str, path: &str, expect: Result<Route<'_>, u16>) {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let found = resolve(&method, path).map_err(|error| error.code().http_status());
        assert_eq!(found, expect, "{method} {path}");
    }

    #[test]
    fn every_exact_path_takes_its_methods_and_refuses_the_others() {
        for (path, route) in EXACT {
            for method in [
                "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE",
            ] {
                let allowed = route.allow().split(", ").any(|name| name == method);
                check(method, path, if allowed { Ok(route) } else { Err(405) });
            }
        }
    }

    #[test]
    fn what_reads_and_what_writes() {
        let writes = |route: Route<'_>| route.allow().contains("POST");
        let written: Vec<_> = templates()
            .filter(|(_, route)| writes(*route))
            .map(|(path, _)| path)
            .collect();
        assert_eq!(
            written,
            [
                "/api/nodes",
                "/api/probe/heartbeat",
                "/api/auth/login",
                "/api/auth/refresh",
                "/api/auth/logout",
                "/api/users",
                "/api/keys",
                "/api/push",
                "/api/ingest"
            ]
        );
    }

    #[test]
    fn near_misses_under_api_are_not_found() {
        for path in [
            "/api",
            "/api/",
            "/api/statuS",
            "/api/status/",
            "/api/nodes/",
            "/api/nodes/a/b",
            "/api/batches",
            "/api/batches/",
            "/api/batches/a/b",
        ] {
            check("GET", path, Err(404));
        }
    }

    #[test]
    fn a_node_and_the_dashboard_are_found() {
        check(
            "GET",
            "/api/nodes/accra-01",
            Ok(Route::Node {
                encoded_id: "accra-01",
            }),
        );
        check("GET", "/", Ok(Route::Asset { path: "/" }));
        check("HEAD", "/nodes/x", Ok(Route::Asset { path: "/nodes/x" }));
        check("POST", "/", Err(405));
    }

    #[test]
    fn an_unknown_method_is_not_implemented_wherever_it_goes() {
        check("BREW", "/api/status", Err(501));
        check("TRACE", "/api/status", Err(405));
        check("QUERY", "/api/status", Err(405));
        check("BREW", "/api/nowhere", Err(501));
    }

    #[test]
    fn tokens_are_waived_for_liveness_shell_and_pushes_only() {
        let open: Vec<_> = EXACT
            .iter()
            .filter(|(_, route)| route.least_role(&Method::POST).is_none())
            .map(|(path, _)| *path)
            .collect();
        assert_eq!(
            open,
            [
                "/api/status",
                "/api/probe/heartbeat",
                "/api/openapi.json",
                "/api/docs",
                "/api/auth/login",
                "/api/auth/refresh",
                "/api/auth/logout",
                "/api/push",
                "/api/ingest"
            ]
        );
        let least = |route: Route<'_>, method| route.least_role(&method);
        assert_eq!(least(Route::Asset { path: "/" }, Method::GET), None);
        let node = Route::Node { encoded_id: "a" };
        assert_eq!(least(node, Method::GET), Some(Role::Viewer));
        assert_eq!(least(node, Method::DELETE), Some(Role::Operator));
    }
}
