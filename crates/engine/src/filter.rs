//! What the filters of lists have in common.

use std::collections::BTreeMap;

/// Whether all filters hold. Of one kind one is enough, but of those that `each` names.
pub(crate) fn all_hold<F>(
    filters: &[F],
    each: impl Fn(&F) -> bool,
    holds: impl Fn(&F) -> bool,
) -> bool {
    filters.iter().all(|filter| {
        let kind = std::mem::discriminant(filter);
        let mut same = filters.iter().filter(|other| std::mem::discriminant(*other) == kind);
        if each(filter) { holds(filter) } else { same.any(&holds) }
    })
}

/// Whether there is an entry with this name, and with this value where one is given.
pub(crate) fn has(map: &BTreeMap<String, String>, name: &str, value: Option<&str>) -> bool {
    map.get(name).is_some_and(|found| value.is_none_or(|value| value == found))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Copy)]
    enum Filter {
        Is(u8),
        Divides(u8),
    }

    #[test]
    fn filters_of_one_kind_are_alternatives_unless_each_must_hold() {
        use Filter::{Divides, Is};
        let cases: [(&[Filter], bool); 6] = [
            (&[], true),
            (&[Is(5), Is(6)], true),
            (&[Is(5)], false),
            (&[Divides(2), Divides(3)], true),
            (&[Divides(2), Divides(4)], false),
            (&[Is(6), Divides(4)], false),
        ];
        for (number, (filters, expected)) in cases.into_iter().enumerate() {
            let holds = |filter: &Filter| match filter {
                Is(one) => *one == 6,
                Divides(one) => 6 % one == 0,
            };
            let each = |filter: &Filter| matches!(filter, Divides(_));
            assert_eq!(all_hold(filters, each, holds), expected, "case {number}");
        }
    }

    #[test]
    fn an_entry_is_there_with_any_value_or_with_the_one_asked_for() {
        let map = BTreeMap::from([("tier".to_owned(), "web".to_owned())]);

        assert!(has(&map, "tier", None) && has(&map, "tier", Some("web")));
        assert!(!has(&map, "tier", Some("db")) && !has(&map, "other", None));
    }
}
