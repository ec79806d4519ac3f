//! Checks that modules import only modules of lower layers, and that imports have no cycles.
//!
//! Reads every `use` and every path in `src`. Follows re-exports to the file that defines the item,
//! and skips test modules.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use syn::visit::{self, Visit};
use syn::{Attribute, Item, ItemMod, ItemUse, UseTree};

/// Layers from the lowest to the highest. Modules of one layer may import each other without
/// cycles.
const LAYERS: [&[&str]; 14] = [
    &["actor", "atomic_file", "bounded_read", "format", "local_time", "numeric", "panic_guard"],
    &["lm"],
    &["guidance", "judge"],
    &["packs"],
    &["records", "lab"],
    &["worker"],
    &["app::theme"],
    &["app::widgets"],
    &["app::state"],
    &["app::dialogs", "app::action", "app::options", "app::shortcuts"],
    &[
        "app::responses",
        "app::value_plot",
        "app::search_tree",
        "app::sweep",
        "app::models",
        "app::history",
        "app::settings",
        "app::example_run",
        "app::icon",
        "app::screenshot",
    ],
    &["app::layout"],
    &["app"],
    &["cli", "main"],
];

type Module = Vec<String>;

/// A file's paths to modules of this crate.
#[derive(Default)]
struct Imports {
    module: Module,
    children: BTreeSet<String>,
    paths: BTreeSet<Module>,
    /// Names exported with `pub use` and their paths.
    exports: BTreeMap<String, Module>,
}

fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|a| {
        a.path().is_ident("cfg")
            && a.meta.require_list().is_ok_and(|l| l.tokens.to_string().contains("test"))
    })
}

impl Imports {
    fn absolute(&self, path: &[String]) -> Option<Module> {
        let first = path.first()?;
        let mut base = self.module.clone();
        let mut rest = path;
        match first.as_str() {
            "crate" | "ivg_playground" => return Some(path[1..].to_vec()),
            "self" => rest = &path[1..],
            "super" => {
                while rest.first().is_some_and(|s| s == "super") {
                    base.pop();
                    rest = &rest[1..];
                }
            }
            child if self.children.contains(child) => {}
            _ => return None,
        }
        base.extend_from_slice(rest);
        Some(base)
    }

    fn flatten(tree: &UseTree, prefix: &mut Module, found: &mut Vec<(Module, String)>) {
        match tree {
            UseTree::Path(path) => {
                prefix.push(path.ident.to_string());
                Self::flatten(&path.tree, prefix, found);
                prefix.pop();
            }
            UseTree::Name(name) if name.ident == "self" => {
                found.push((prefix.clone(), prefix.last().cloned().unwrap_or_default()));
            }
            UseTree::Name(name) => {
                let path = [prefix.as_slice(), &[name.ident.to_string()]].concat();
                found.push((path, name.ident.to_string()));
            }
            UseTree::Rename(name) => {
                let path = [prefix.as_slice(), &[name.ident.to_string()]].concat();
                found.push((path, name.rename.to_string()));
            }
            UseTree::Glob(_) => found.push((prefix.clone(), "*".to_owned())),
            UseTree::Group(group) => {
                group.items.iter().for_each(|item| Self::flatten(item, prefix, found));
            }
        }
    }
}

impl<'ast> Visit<'ast> for Imports {
    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        if !is_test(&item.attrs) {
            self.module.push(item.ident.to_string());
            visit::visit_item_mod(self, item);
            self.module.pop();
        }
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        let mut found = Vec::new();
        Self::flatten(&item.tree, &mut Vec::new(), &mut found);
        let is_export = !matches!(item.vis, syn::Visibility::Inherited);
        for (path, name) in found {
            let Some(path) = self.absolute(&path) else { continue };
            if is_export {
                self.exports.insert(name, path.clone());
            }
            // Re-exporting an item of a child module is not a dependency.
            if !(is_export && path.starts_with(&self.module)) {
                self.paths.insert(path);
            }
        }
    }

    /// Skips visibilities such as `pub(in crate::lm)`, which import nothing.
    fn visit_vis_restricted(&mut self, _: &'ast syn::VisRestricted) {}

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments: Module = path.segments.iter().map(|s| s.ident.to_string()).collect();
        if segments.len() > 1 && path.leading_colon.is_none() {
            self.paths.extend(self.absolute(&segments));
        }
        visit::visit_path(self, path);
    }
}

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

/// Returns the module of every file and its imports.
fn modules() -> BTreeMap<Module, Imports> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    rust_files(&root, &mut files);
    let mut modules = BTreeMap::new();
    for file in files {
        let relative = file.strip_prefix(&root).expect("below src").with_extension("");
        let mut module: Module =
            relative.iter().map(|part| part.to_string_lossy().into_owned()).collect();
        if module.last().is_some_and(|last| last == "mod" || last == "lib") {
            module.pop();
        }
        let parsed = syn::parse_file(&fs::read_to_string(&file).expect("text")).expect("Rust");
        let children = parsed.items.iter().filter_map(|item| match item {
            Item::Mod(item) => Some(item.ident.to_string()),
            _ => None,
        });
        let mut imports =
            Imports { children: children.collect(), module: module.clone(), ..Imports::default() };
        // `mod cli` in main.rs is the module `cli`, not `main::cli`.
        if module == ["main"] {
            imports.module.clear();
        }
        imports.visit_file(&parsed);
        modules.insert(module, imports);
    }
    modules
}

/// Returns the module that defines the item at `path`.
fn defining(modules: &BTreeMap<Module, Imports>, path: &[String]) -> Option<Module> {
    let length = (0..=path.len()).rev().find(|&n| modules.contains_key(&path[..n]))?;
    let (module, rest) = path.split_at(length);
    match rest.first().and_then(|name| modules[module].exports.get(name)) {
        Some(target) if target != path => {
            defining(modules, &[target.as_slice(), &rest[1..]].concat())
        }
        _ => Some(module.to_vec()),
    }
}

/// Returns the modules that each module imports.
fn graph() -> BTreeMap<Module, BTreeSet<Module>> {
    let modules = modules();
    let arrows = modules.iter().map(|(module, imports)| {
        let targets = imports.paths.iter().filter_map(|path| defining(&modules, path));
        // The root module is left out: it only declares the other modules.
        let targets = targets.filter(|target| target != module && !target.is_empty());
        (module.clone(), targets.collect())
    });
    arrows.collect()
}

fn name(module: &[String]) -> String {
    module.join("::")
}

fn layer(module: &[String]) -> usize {
    let module = name(module);
    let is_in = |parent: &&&str| module == ***parent || module.starts_with(&format!("{parent}::"));
    let parents = LAYERS.iter().flat_map(|layer| layer.iter()).filter(is_in);
    let parent = parents.max_by_key(|parent| parent.len());
    let parent = parent.unwrap_or_else(|| panic!("{module} has no layer; add it to LAYERS"));
    LAYERS.iter().position(|layer| layer.contains(parent)).expect("found above")
}

#[test]
fn modules_import_only_lower_layers() {
    let mut upward = Vec::new();
    for (from, targets) in graph().iter().filter(|(from, _)| !from.is_empty()) {
        upward.extend(
            targets
                .iter()
                .filter(|to| layer(to) > layer(from))
                .map(|to| format!("{} -> {}", name(from), name(to))),
        );
    }
    assert!(upward.is_empty(), "upward imports:\n{}", upward.join("\n"));
}

/// Returns all modules that `from` imports, directly or indirectly.
fn reached(graph: &BTreeMap<Module, BTreeSet<Module>>, from: &Module) -> BTreeSet<Module> {
    let mut reached = BTreeSet::new();
    let mut open: Vec<&Module> = graph[from].iter().collect();
    while let Some(module) = open.pop() {
        if reached.insert(module.clone()) {
            open.extend(&graph[module]);
        }
    }
    reached
}

#[test]
fn imports_have_no_cycles() {
    let graph = graph();
    let reached: BTreeMap<&Module, _> =
        graph.keys().map(|module| (module, reached(&graph, module))).collect();
    let mut cycles = BTreeMap::<BTreeSet<&Module>, Vec<String>>::new();
    for (from, targets) in &graph {
        let cycle: BTreeSet<_> =
            reached[from].iter().filter(|to| reached[to].contains(from)).collect();
        let arrows = targets.iter().filter(|to| cycle.contains(to));
        let arrows = arrows.map(|to| format!("{} -> {}", name(from), name(to)));
        cycles.entry(cycle.clone()).or_default().extend(arrows);
    }
    cycles.retain(|cycle, _| !cycle.is_empty());
    let listed: Vec<String> = cycles.values().map(|arrows| arrows.join("\n")).collect();
    assert!(listed.is_empty(), "{} cycles:\n{}", listed.len(), listed.join("\n\n"));
}
