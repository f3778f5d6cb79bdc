//! Names say the thing: no drawer for the rest, one word per thing.

use syn::visit::{self, Visit};

use super::tree::{Finding, Source, Tree};

/// File and folder names that say nothing about what is inside.
const DRAWERS: &[&str] = &[
    "util", "utils", "helper", "helpers", "common", "core", "misc", "manager", "managers", "stuff",
];

/// Words that have another, settled word here, or that name no thing at all.
const WORDS: &[(&str, &str)] = &[
    ("event", "entry, or the name of what happened"),
    ("tenant", "environment"),
    ("customer", "owner"),
    ("manager", "the thing that it does"),
    ("helper", "the thing that it does"),
    ("helpers", "the thing that it does"),
    ("util", "the thing that it does"),
    ("utils", "the thing that it does"),
    ("misc", "the thing"),
];

pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let ours = tree
        .files
        .values()
        .filter(|source| source.crate_name() != Some("russh-flow"));
    ours.flat_map(|source| drawers(source).into_iter().chain(declared(source)))
        .collect()
}

fn drawers(source: &Source) -> Vec<Finding> {
    let code = [".rs", ".ts", ".tsx", ".py", ".sh"]
        .iter()
        .any(|end| source.path.ends_with(end));
    let parts = source
        .path
        .split('/')
        .map(|part| part.split('.').next().unwrap_or(part));
    let bad = parts.filter(|part| code && DRAWERS.contains(&part.to_lowercase().as_str()));
    bad.map(|part| Finding::new(&source.path, 0, format!("`{part}` does not name a thing")))
        .collect()
}

fn declared(source: &Source) -> Vec<Finding> {
    let mut names = Declared::default();
    if let Some(file) = &source.syntax {
        names.visit_file(file);
    }
    let mut found = Vec::new();
    for (line, name) in &names.found {
        for (word, better) in WORDS {
            if segments(name)
                .iter()
                .any(|segment| segment == word || segment.strip_suffix('s') == Some(word))
            {
                found.push(Finding::new(
                    &source.path,
                    *line,
                    format!("`{name}`: for `{word}` say {better}"),
                ));
            }
        }
        if name.starts_with("get_") {
            found.push(Finding::new(
                &source.path,
                *line,
                format!("`{name}`: a verb says its effect, without `get_`"),
            ));
        }
    }
    for line in names.others {
        found.push(Finding::new(
            &source.path,
            line,
            "a variant `Other` says nothing: name the case",
        ));
    }
    found
}

/// `SessionOpened` and `session_opened` alike: session, opened.
fn segments(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    for c in name.chars() {
        if c == '_' || c.is_uppercase() && words.last().is_some_and(|word| !word.is_empty()) {
            words.push(String::new());
        }
        if c != '_' {
            words.last_mut().expect("one word at least").extend(c.to_lowercase());
        }
    }
    words
}

#[derive(Default)]
struct Declared {
    found: Vec<(usize, String)>,
    others: Vec<usize>,
}

impl Declared {
    fn note(&mut self, ident: &syn::Ident) {
        self.found.push((ident.span().start().line, ident.to_string()));
    }
}

impl<'ast> Visit<'ast> for Declared {
    fn visit_item_struct(&mut self, item: &'ast syn::ItemStruct) {
        self.note(&item.ident);
        visit::visit_item_struct(self, item);
    }

    fn visit_item_enum(&mut self, item: &'ast syn::ItemEnum) {
        self.note(&item.ident);
        visit::visit_item_enum(self, item);
    }

    fn visit_variant(&mut self, variant: &'ast syn::Variant) {
        if variant.ident == "Other" {
            self.others.push(variant.ident.span().start().line);
        }
    }

    fn visit_item_trait(&mut self, item: &'ast syn::ItemTrait) {
        self.note(&item.ident);
        visit::visit_item_trait(self, item);
    }

    fn visit_item_type(&mut self, item: &'ast syn::ItemType) {
        self.note(&item.ident);
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        self.note(&item.ident);
        visit::visit_item_mod(self, item);
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.note(&item.sig.ident);
        visit::visit_item_fn(self, item);
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        // The names inside an implementation of somebody else's trait are not ours to choose.
        if item.trait_.is_none() {
            visit::visit_item_impl(self, item);
        }
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.note(&item.sig.ident);
        visit::visit_impl_item_fn(self, item);
    }
}

#[test]
fn a_drawer_is_found() {
    let found = super::planted(
        check,
        &[
            ("crates/desk/src/utils.rs", "//! x\n"),
            ("docs/common.md", "x"),
            ("crates/desk/core/a.rs", "//! x\n"),
        ],
    );
    assert_eq!(
        found,
        [
            "crates/desk/core/a.rs:0: `core` does not name a thing",
            "crates/desk/src/utils.rs:0: `utils` does not name a thing"
        ]
    );
}

#[test]
fn words_with_another_settled_word_are_found() {
    let text = "struct AuditEvent;\nfn get_thing() {}\nenum Why { Other }\nfn prevented() {}\nimpl Theirs for X { fn handle_event() {} }\n";
    assert_eq!(
        super::planted(check, &[("crates/desk/src/a.rs", text)]),
        [
            "crates/desk/src/a.rs:1: `AuditEvent`: for `event` say entry, or the name of what happened",
            "crates/desk/src/a.rs:2: `get_thing`: a verb says its effect, without `get_`",
            "crates/desk/src/a.rs:3: a variant `Other` says nothing: name the case",
        ]
    );
}
