//! The pages that are loaded when somebody goes there.
//!
//! Each function here is a split point: the build (`deploy/local`, `build/split.rs`) takes what only
//! it reaches out of the main module, one file for each first word below. The overview, the frame
//! around the pages and the page of a wrong address are in the main module.
//!
//! A function answers how to make the page and not the page itself, because after the wait nothing
//! is left of the reactive owner that the page shall belong to.

use leptos::prelude::*;
use wasm_split_helpers::{SplitLoaderError, wasm_split};

use super::compare::ComparePage;
use super::keys::KeysPage;
use super::ledger::LedgerPage;
use super::node::NodePage;
use super::nodes::NodesPage;
use super::regions::RegionsPage;
use super::sign_in::SignInPage;
use super::system::SystemPage;
use super::users::UsersPage;
use crate::routes::Page;

/// Makes a page; what it is given is the node's name, for the page of a node.
pub(crate) type Make = fn(String) -> AnyView;
type Loaded = Result<Make, SplitLoaderError>;

/// `None` for a page that is there from the start.
pub(crate) async fn load(page: &Page) -> Option<Loaded> {
    Some(match page {
        Page::Overview => return None,
        Page::Nodes => nodes().await,
        Page::Node(_) => node().await,
        Page::Regions => regions().await,
        Page::Compare => compare().await,
        Page::Ledger => ledger().await,
        Page::System => system().await,
        Page::Users => users().await,
        Page::Keys => keys().await,
        Page::SignIn => sign_in().await,
    })
}

#[wasm_split(table, fallible)]
fn nodes() -> Loaded {
    Ok(|_| view! { <NodesPage/> }.into_any())
}

#[wasm_split(charts, fallible)]
fn node() -> Loaded {
    Ok(|id| view! { <NodePage id/> }.into_any())
}

#[wasm_split(charts, fallible)]
fn compare() -> Loaded {
    Ok(|_| view! { <ComparePage/> }.into_any())
}

#[wasm_split(records, fallible)]
fn regions() -> Loaded {
    Ok(|_| view! { <RegionsPage/> }.into_any())
}

#[wasm_split(records, fallible)]
fn ledger() -> Loaded {
    Ok(|_| view! { <LedgerPage/> }.into_any())
}

#[wasm_split(records, fallible)]
fn system() -> Loaded {
    Ok(|_| view! { <SystemPage/> }.into_any())
}

#[wasm_split(people, fallible)]
fn users() -> Loaded {
    Ok(|_| view! { <UsersPage/> }.into_any())
}

#[wasm_split(people, fallible)]
fn keys() -> Loaded {
    Ok(|_| view! { <KeysPage/> }.into_any())
}

#[wasm_split(people, fallible)]
fn sign_in() -> Loaded {
    Ok(|_| view! { <SignInPage/> }.into_any())
}
