//! The one behind a request.

use crate::audit::Actor;
use fiber_contract::ErrorCode;
use fiber_contract::access::Role;

/// Whom a request counts as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Principal {
    /// Holds the federation secret: any probe or hub of the fleet. It pushes for every node and reads
    /// like a viewer; it administers nothing, because every probe has it.
    Federation,
    /// Holds the key of one probe: pushes for that node, and no more.
    Probe { node_id: String },
    /// Holds a token of a trusted issuer (JWT): a program with a role.
    Service { subject: String, role: Role },
    /// Signed in to the dashboard.
    User { name: String, role: Role },
    /// Sent no token where none is needed: development.
    Anonymous,
}

/// Why a request goes no further.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// 401, for no token and for every kind of bad one.
    #[error("the request carries no valid token")]
    Unknown,
    /// 403: the token is good, and not for this.
    #[error("the token does not allow this")]
    Forbidden,
    /// 503: a key or a user's token that may have been revoked, as far as this engine can know yet.
    #[error("keys and users cannot be checked yet; try again shortly")]
    Unchecked,
}

impl Denied {
    pub const fn code(self) -> ErrorCode {
        match self {
            Self::Unknown => ErrorCode::InvalidToken,
            Self::Forbidden => ErrorCode::Forbidden,
            Self::Unchecked => ErrorCode::Overloaded,
        }
    }
}

impl Principal {
    /// The role it has on the query side, if any.
    pub const fn role(&self) -> Option<Role> {
        match self {
            Self::Federation | Self::Anonymous => Some(Role::Viewer),
            Self::Probe { .. } => None,
            Self::Service { role, .. } | Self::User { role, .. } => Some(*role),
        }
    }

    /// What it is called.
    pub fn name(&self) -> &str {
        match self {
            Self::Federation => "federation",
            Self::Anonymous => "anonymous",
            Self::Probe { node_id } => node_id,
            Self::Service { subject, .. } => subject,
            Self::User { name, .. } => name,
        }
    }

    /// Who it is for the audit log. Probes and the federation change nothing that is written there.
    pub(crate) fn actor(&self) -> Actor {
        match self {
            Self::User { name, .. } => Actor::User(name.clone()),
            Self::Service { subject, .. } => Actor::Service(subject.clone()),
            Self::Federation | Self::Probe { .. } | Self::Anonymous => Actor::Nobody,
        }
    }

    /// Fine for a route that asks for `least`.
    pub fn require(&self, least: Role) -> Result<(), Denied> {
        match self {
            _ if self.role().is_some_and(|role| role >= least) => Ok(()),
            // There is no token that could be too weak.
            Self::Anonymous => Err(Denied::Unknown),
            _ => Err(Denied::Forbidden),
        }
    }

    /// Fine for sending samples, of one node at least.
    pub fn require_push(&self) -> Result<(), Denied> {
        match self {
            Self::Federation | Self::Probe { .. } => Ok(()),
            Self::Service { .. } | Self::User { .. } => self.require(Role::Operator),
            Self::Anonymous => Err(Denied::Unknown),
        }
    }

    /// Asked after `require_push`, for every node that the samples name.
    pub fn may_push_for(&self, node_id: &str) -> bool {
        match self {
            Self::Probe { node_id: own } => own == node_id,
            _ => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_each_kind() -> [Principal; 7] {
        let service = |role| Principal::Service {
            subject: "job".to_owned(),
            role,
        };
        let user = |role| Principal::User {
            name: "ama".to_owned(),
            role,
        };
        [
            Principal::Anonymous,
            Principal::Probe {
                node_id: "accra-01".to_owned(),
            },
            Principal::Federation,
            service(Role::Viewer),
            service(Role::Operator),
            user(Role::Viewer),
            user(Role::Admin),
        ]
    }

    #[test]
    fn each_kind_has_its_rights_and_no_more() {
        use Denied::{Forbidden, Unknown};
        // Viewer, operator, admin, push.
        let table = [
            [Ok(()), Err(Unknown), Err(Unknown), Err(Unknown)],
            [Err(Forbidden), Err(Forbidden), Err(Forbidden), Ok(())],
            [Ok(()), Err(Forbidden), Err(Forbidden), Ok(())],
            [Ok(()), Err(Forbidden), Err(Forbidden), Err(Forbidden)],
            [Ok(()), Ok(()), Err(Forbidden), Ok(())],
            [Ok(()), Err(Forbidden), Err(Forbidden), Err(Forbidden)],
            [Ok(()), Ok(()), Ok(()), Ok(())],
        ];
        for (principal, expect) in of_each_kind().iter().zip(table) {
            let got = [
                principal.require(Role::Viewer),
                principal.require(Role::Operator),
                principal.require(Role::Admin),
                principal.require_push(),
            ];
            assert_eq!(got, expect, "{principal:?}");
        }
    }

    #[test]
    fn only_a_probes_key_is_bound_to_a_node() {
        for principal in of_each_kind() {
            let bound = matches!(principal, Principal::Probe { .. });
            assert!(principal.may_push_for("accra-01"), "{principal:?}");
            assert_eq!(principal.may_push_for("accra-1"), !bound, "{principal:?}");
        }
    }
}
