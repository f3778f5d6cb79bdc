//! The tree as the rules see it: text, syntax, and which lines are test code. Reads files, judges nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::ops::RangeInclusive;
use std::path::Path;

use proc_macro2::{Delimiter, Spacing, TokenStream, TokenTree};
use syn::spanned::Spanned;
use syn::visit::{self, Visit};

/// One thing that a rule has to say. Line 0 stands for the whole file.
pub(crate) struct Finding {
    pub(crate) path: String,
    pub(crate) line: usize,
    pub(crate) what: String,
}

impl Finding {
    pub(crate) fn new(path: &str, line: usize, what: impl Into<String>) -> Self {
        Self {
            path: path.to_owned(),
            line,
            what: what.into(),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.what)
    }
}

/// A text file of the tree; `syntax` is there when it is Rust and parses.
pub(crate) struct Source {
    pub(crate) path: String,
    pub(crate) text: String,
    pub(crate) syntax: Option<syn::File>,
    test_lines: Vec<RangeInclusive<usize>>,
    all_test: bool,
}

impl Source {
    fn new(path: &str, text: String) -> Self {
        let syntax = if path.ends_with(".rs") {
            syn::parse_file(&text).ok()
        } else {
            None
        };
        let mut tests = TestItems::default();
        if let Some(file) = &syntax {
            tests.visit_file(file);
        }
        let all_test = path.split('/').any(|part| part == "tests" || part == "benches") || path.ends_with("/tests.rs");
        Self {
            path: path.to_owned(),
            text,
            syntax,
            test_lines: tests.lines,
            all_test,
        }
    }

    pub(crate) fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// The folder under `crates/` that the file belongs to.
    pub(crate) fn crate_name(&self) -> Option<&str> {
        self.path.strip_prefix("crates/")?.split('/').next()
    }

    /// Whether the file is compiled into the product: `crates/*/src`.
    pub(crate) fn is_product(&self) -> bool {
        self.path.starts_with("crates/") && self.path.split('/').nth(2) == Some("src") && !self.all_test
    }

    pub(crate) fn is_test(&self, line: usize) -> bool {
        self.all_test || self.test_lines.iter().any(|range| range.contains(&line))
    }

    /// The text of test code alone, for looking up what tests name.
    pub(crate) fn test_text(&self) -> String {
        let lines = self.text.lines().enumerate();
        lines
            .filter(|(at, _)| self.is_test(at + 1))
            .map(|(_, line)| line)
            .collect::<Vec<_>>()
            .join("\n")
    }

    /// Every `a::b::c` in the file, macros included, and every method call, in order.
    pub(crate) fn chains(&self) -> Vec<Chain> {
        let mut found = Vec::new();
        if let Ok(tokens) = self.text.parse::<TokenStream>() {
            chains(tokens, &mut found);
        }
        found
    }

    /// Every path that a `use` brings in, groups spread out.
    pub(crate) fn uses(&self) -> Vec<Chain> {
        let mut uses = Uses::default();
        if let Some(file) = &self.syntax {
            uses.visit_file(file);
        }
        uses.found
    }
}

/// `a::b::c`, or with `method` the `c` of `x.c(`.
pub(crate) struct Chain {
    pub(crate) line: usize,
    pub(crate) path: String,
    pub(crate) method: bool,
}

impl Chain {
    /// Whether the path is `whole` or lies below it.
    pub(crate) fn is_under(&self, whole: &str) -> bool {
        self.path
            .strip_prefix(whole)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
    }

    /// Whether the last segments are `end`.
    pub(crate) fn ends_with(&self, end: &str) -> bool {
        self.path
            .strip_suffix(end)
            .is_some_and(|rest| rest.is_empty() || rest.ends_with("::"))
    }
}

/// All text files that belong to the project.
pub(crate) struct Tree {
    pub(crate) files: BTreeMap<String, Source>,
}

impl Tree {
    /// The checkout that this test was built from.
    pub(crate) fn read() -> Self {
        let mut texts = Vec::new();
        walk(&root(), "", &mut texts);
        Self::from_texts(texts)
    }

    /// A tree of planted files.
    pub(crate) fn of(files: &[(&str, &str)]) -> Self {
        Self::from_texts(
            files
                .iter()
                .map(|(path, text)| ((*path).to_owned(), (*text).to_owned()))
                .collect(),
        )
    }

    fn from_texts(texts: Vec<(String, String)>) -> Self {
        let mut files: BTreeMap<String, Source> = texts
            .into_iter()
            .map(|(path, text)| (path.clone(), Source::new(&path, text)))
            .collect();
        let test_modules: BTreeSet<String> = files.values().flat_map(test_modules).collect();
        for source in files.values_mut() {
            let stem = source.path.trim_end_matches(".rs").trim_end_matches("/mod");
            source.all_test |= test_modules.iter().any(|module| {
                stem == module
                    || stem
                        .strip_prefix(module.as_str())
                        .is_some_and(|rest| rest.starts_with('/'))
            });
        }
        Self { files }
    }

    pub(crate) fn rust(&self) -> impl Iterator<Item = &Source> {
        self.files.values().filter(|source| source.is_rust())
    }

    pub(crate) fn text(&self, path: &str) -> &str {
        self.files.get(path).map_or("", |source| source.text.as_str())
    }

    /// Whether `path` is a file of the tree or a folder that holds one.
    pub(crate) fn holds(&self, path: &str) -> bool {
        let folder = format!("{}/", path.trim_end_matches('/'));
        self.files.contains_key(path) || self.files.keys().any(|file| file.starts_with(&folder))
    }
}

/// Rust files that the rules cannot read.
pub(crate) fn unparsed(tree: &Tree) -> Vec<Finding> {
    let broken = tree.rust().filter(|source| source.syntax.is_none());
    broken
        .map(|source| Finding::new(&source.path, 0, "does not parse as Rust"))
        .collect()
}

pub(crate) fn root() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .expect("the workspace's root")
}

/// Made by tools, or bytes that are vectors themselves.
const SKIPPED: &[&str] = &[
    "target",
    ".git",
    "node_modules",
    ".run",
    "corpus",
    "artifacts",
    "grown",
    "__pycache__",
];

fn walk(folder: &Path, prefix: &str, out: &mut Vec<(String, String)>) {
    let mut entries: Vec<_> = fs::read_dir(folder).expect("a readable folder").flatten().collect();
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = format!("{prefix}{name}");
        let kind = entry.file_type().expect("a file type");
        if kind.is_dir() && !SKIPPED.contains(&name.as_str()) {
            walk(&entry.path(), &format!("{path}/"), out);
        } else if kind.is_file() {
            // Binary vectors are of no interest to any rule, but their names are.
            out.push((path, fs::read_to_string(entry.path()).unwrap_or_default()));
        }
    }
}

/// Where the bodies of `#[cfg(test)] mod x;` live, without `.rs`.
fn test_modules(source: &Source) -> Vec<String> {
    let Some(file) = &source.syntax else { return Vec::new() };
    let (folder, name) = source.path.rsplit_once('/').unwrap_or(("", &source.path));
    let below = match name {
        "lib.rs" | "main.rs" | "mod.rs" => folder.to_owned(),
        other => format!("{folder}/{}", other.trim_end_matches(".rs")),
    };
    let modules = file.items.iter().filter_map(|item| match item {
        syn::Item::Mod(module) if module.content.is_none() && is_test(&module.attrs) => Some(module.ident.to_string()),
        _ => None,
    });
    modules.map(|module| format!("{below}/{module}")).collect()
}

/// `#[test]`, `#[tokio::test]`, or a `#[cfg(…)]` that asks for `test`.
pub(crate) fn is_test(attrs: &[syn::Attribute]) -> bool {
    attrs.iter().any(|attr| {
        let last = attr
            .path()
            .segments
            .last()
            .map(|segment| segment.ident.to_string())
            .unwrap_or_default();
        let tokens = attr
            .meta
            .require_list()
            .map(|list| list.tokens.to_string())
            .unwrap_or_default();
        let words: Vec<&str> = tokens.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
        last == "test" || last == "cfg" && words.contains(&"test") && !words.contains(&"not")
    })
}

#[derive(Default)]
struct TestItems {
    lines: Vec<RangeInclusive<usize>>,
}

impl TestItems {
    fn note(&mut self, attrs: &[syn::Attribute], span: proc_macro2::Span) {
        if is_test(attrs) {
            self.lines.push(span.start().line..=span.end().line);
        }
    }
}

impl<'ast> Visit<'ast> for TestItems {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        let attrs = match item {
            syn::Item::Mod(i) => &i.attrs,
            syn::Item::Fn(i) => &i.attrs,
            syn::Item::Impl(i) => &i.attrs,
            syn::Item::Struct(i) => &i.attrs,
            syn::Item::Use(i) => &i.attrs,
            syn::Item::Const(i) => &i.attrs,
            _ => &[][..],
        };
        self.note(attrs, item.span());
        visit::visit_item(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.note(&item.attrs, item.span());
        visit::visit_impl_item_fn(self, item);
    }
}

#[derive(Default)]
struct Uses {
    found: Vec<Chain>,
}

impl<'ast> Visit<'ast> for Uses {
    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        spread(&item.tree, String::new(), &mut self.found);
    }
}

fn spread(tree: &syn::UseTree, before: String, out: &mut Vec<Chain>) {
    let join = |name: &syn::Ident| {
        if before.is_empty() {
            name.to_string()
        } else {
            format!("{before}::{name}")
        }
    };
    let leaf = |path: String, line: usize| Chain {
        line,
        path,
        method: false,
    };
    match tree {
        syn::UseTree::Path(path) => spread(&path.tree, join(&path.ident), out),
        syn::UseTree::Name(name) if name.ident == "self" => out.push(leaf(before, name.span().start().line)),
        syn::UseTree::Name(name) => out.push(leaf(join(&name.ident), name.span().start().line)),
        syn::UseTree::Rename(name) => out.push(leaf(join(&name.ident), name.span().start().line)),
        syn::UseTree::Glob(glob) => out.push(leaf(before, glob.span().start().line)),
        syn::UseTree::Group(group) => group.items.iter().for_each(|item| spread(item, before.clone(), out)),
    }
}

fn chains(tokens: TokenStream, out: &mut Vec<Chain>) {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let mut at = 0;
    while at < tokens.len() {
        match &tokens[at] {
            TokenTree::Ident(first) => {
                let mut path = first.to_string();
                let start = at;
                while let Some(next) = joined(&tokens, at) {
                    path = format!("{path}::{next}");
                    at += 3;
                }
                let method = follows_dot(&tokens, start) && calls(tokens.get(at + 1));
                out.push(Chain {
                    line: first.span().start().line,
                    path,
                    method,
                });
            }
            TokenTree::Group(group) => chains(group.stream(), out),
            TokenTree::Punct(_) | TokenTree::Literal(_) => {}
        }
        at += 1;
    }
}

/// The identifier after `::` behind the one at `at`.
fn joined(tokens: &[TokenTree], at: usize) -> Option<String> {
    let colon = |n: usize| matches!(tokens.get(at + n), Some(TokenTree::Punct(p)) if p.as_char() == ':');
    let TokenTree::Ident(next) = tokens.get(at + 3)? else {
        return None;
    };
    (colon(1) && colon(2)).then(|| next.to_string())
}

fn follows_dot(tokens: &[TokenTree], at: usize) -> bool {
    let dot = |n: usize| match at.checked_sub(n).and_then(|i| tokens.get(i)) {
        Some(TokenTree::Punct(p)) if p.as_char() == '.' => Some(p.spacing()),
        _ => None,
    };
    dot(1).is_some() && dot(2) != Some(Spacing::Joint)
}

fn calls(next: Option<&TokenTree>) -> bool {
    matches!(next, Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Parenthesis)
}

#[test]
fn test_code_is_told_from_product_code() {
    let tree = Tree::of(&[
        (
            "crates/a/src/lib.rs",
            "fn real() {}\n#[cfg(test)]\nmod tests;\n#[cfg(not(test))]\nfn other() {}\n",
        ),
        ("crates/a/src/tests.rs", "fn check() {}\n"),
        (
            "crates/a/src/b.rs",
            "fn real() {}\n#[cfg(test)]\nmod proofs;\n#[test]\nfn t() {\n}\n",
        ),
        ("crates/a/src/b/proofs.rs", "fn check() {}\n"),
    ]);
    let is_test = |path: &str, line| tree.files[path].is_test(line);
    assert!(!is_test("crates/a/src/lib.rs", 1) && !is_test("crates/a/src/lib.rs", 5));
    assert!(is_test("crates/a/src/tests.rs", 1) && is_test("crates/a/src/b/proofs.rs", 1));
    assert!(!is_test("crates/a/src/b.rs", 1) && is_test("crates/a/src/b.rs", 6));
}

#[test]
fn paths_are_seen_in_uses_and_inside_macros() {
    let tree = Tree::of(&[(
        "crates/a/src/lib.rs",
        "use std::{fs, time::{self, Instant}};\nfn f() { log!(std::net::X, a.release(1), 0..release(2)); }\n",
    )]);
    let source = &tree.files["crates/a/src/lib.rs"];
    let uses: Vec<String> = source.uses().into_iter().map(|chain| chain.path).collect();
    assert_eq!(uses, ["std::fs", "std::time", "std::time::Instant"]);
    let chains = source.chains();
    assert!(chains.iter().any(|chain| chain.is_under("std::net") && chain.line == 2));
    assert_eq!(
        chains
            .iter()
            .filter(|chain| chain.path == "release" && chain.method)
            .count(),
        1
    );
}

#[test]
fn a_file_that_does_not_parse_is_found() {
    assert_eq!(
        super::planted(unparsed, &[("crates/a/src/lib.rs", "fn {")]),
        ["crates/a/src/lib.rs:0: does not parse as Rust"]
    );
}
