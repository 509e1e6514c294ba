//! Sorting, compiled once.
//!
//! The standard sort is compiled anew for every type and comparison, four kilobytes of download each
//! time. Here positions are sorted, and the comparison is called through a pointer: for the few
//! hundred rows of a page the difference cannot be measured.

use std::cmp::Ordering;

/// Puts a list in order; equals keep theirs.
pub(crate) fn sort<T>(list: &mut Vec<T>, compare: impl Fn(&T, &T) -> Ordering) {
    let order = order(list.len(), &|a, b| match (list.get(a), list.get(b)) {
        (Some(a), Some(b)) => compare(a, b),
        _ => Ordering::Equal,
    });
    let mut from: Vec<Option<T>> = std::mem::take(list).into_iter().map(Some).collect();
    list.extend(order.into_iter().filter_map(|at| from.get_mut(at)?.take()));
}

fn order(count: usize, compare: &dyn Fn(usize, usize) -> Ordering) -> Vec<usize> {
    let mut positions: Vec<usize> = (0..count).collect();
    positions.sort_by(|a, b| compare(*a, *b));
    positions
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equals_keep_their_order() {
        let mut list: Vec<(u8, usize)> = [3, 1, 2, 1, 3, 1].into_iter().zip(0..).collect();
        sort(&mut list, |a, b| a.0.cmp(&b.0));
        assert_eq!(list, [(1, 1), (1, 3), (1, 5), (2, 2), (3, 0), (3, 4)]);
        let mut none: Vec<u8> = Vec::new();
        sort(&mut none, u8::cmp);
        assert!(none.is_empty());
    }
}
