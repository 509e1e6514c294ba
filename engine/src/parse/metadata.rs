//! `metadata` back into JSON text, because decoding changed the body's bytes.

use super::body::after;
use fiber_contract::limits::METADATA_BYTES_MAX;
use simd_json::{Node, StaticNode};
use std::fmt::Write as _;

/// Compact JSON of the object at `at`, or why it cannot be stored.
pub(super) fn to_text(nodes: &[Node<'_>], at: usize) -> Result<String, String> {
    let mut out = String::new();
    put(nodes, at, &mut out)?;
    Ok(out)
}

/// Recursion is bounded: the decoder refused anything deeper than `JSON_DEPTH_MAX`.
fn put(nodes: &[Node<'_>], at: usize, out: &mut String) -> Result<(), String> {
    match nodes.get(at) {
        Some(Node::Object { len, .. }) => {
            out.push('{');
            let mut member = at + 1;
            for index in 0..*len {
                if index > 0 {
                    out.push(',');
                }
                put(nodes, member, out)?;
                out.push(':');
                put(nodes, member + 1, out)?;
                member = after(nodes, member + 1);
            }
            out.push('}');
        }
        Some(Node::Array { len, .. }) => {
            out.push('[');
            let mut element = at + 1;
            for index in 0..*len {
                if index > 0 {
                    out.push(',');
                }
                put(nodes, element, out)?;
                element = after(nodes, element);
            }
            out.push(']');
        }
        Some(Node::String(text)) => put_string(text, out)?,
        Some(Node::Static(value)) => put_static(*value, out)?,
        None => return Err("is damaged".to_owned()),
    }
    if out.len() > METADATA_BYTES_MAX {
        return Err(format!("may have {METADATA_BYTES_MAX} bytes"));
    }
    Ok(())
}

fn put_string(text: &str, out: &mut String) -> Result<(), String> {
    // jsonb cannot hold it.
    if text.contains('\0') {
        return Err("must not hold NUL".to_owned());
    }
    out.push_str(&serde_json::to_string(text).map_err(|error| error.to_string())?);
    Ok(())
}

fn put_static(value: StaticNode, out: &mut String) -> Result<(), String> {
    match value {
        StaticNode::Null => out.push_str("null"),
        StaticNode::Bool(value) => out.push_str(if value { "true" } else { "false" }),
        StaticNode::I64(value) => write!(out, "{value}").map_err(|error| error.to_string())?,
        StaticNode::U64(value) => write!(out, "{value}").map_err(|error| error.to_string())?,
        StaticNode::F64(value) => {
            out.push_str(&serde_json::to_string(&value).map_err(|error| error.to_string())?);
        }
    }
    Ok(())
}
